package resources

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"github.com/popservice/popservice/controllers/internal/apply"
	"github.com/popservice/popservice/controllers/internal/names"
)

// NetworkPolicy lets clients come to the listeners from everywhere, MTAs to LMTP, and the operator alone to the
// control port; the servers themselves reach nobody, or the ports of OAuth issuers and of DNS where there are issuers.
func NetworkPolicy(in Input) (*networkingv1ac.NetworkPolicyApplyConfiguration, error) {
	lmtp, err := in.lmtpPeers()
	if err != nil {
		return nil, err
	}
	metrics, err := peers(in.Service.Spec.NetworkPolicy.MetricsFrom)
	if err != nil {
		return nil, err
	}
	spec := networkingv1ac.NetworkPolicySpec().
		WithPodSelector(in.selector()).
		WithPolicyTypes(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress).
		WithIngress(in.ingress(in.listenerNames(), nil), in.ingress([]string{portLMTP}, lmtp),
			in.ingress([]string{portAdmin}, metrics), in.ingress([]string{portControl}, in.manager())).
		WithEgress(in.egress()...)
	return networkingv1ac.NetworkPolicy(names.NetworkPolicy(in.name()), in.namespace()).
		WithLabels(in.labels()).
		WithOwnerReferences(in.owner()).
		WithSpec(spec), nil
}

type peer = networkingv1ac.NetworkPolicyPeerApplyConfiguration

func (in Input) listenerNames() []string {
	var all []string
	for _, l := range in.Service.Spec.Listeners {
		all = append(all, l.Name)
	}
	return all
}

// ingress lets the peers come to the ports; no peers are all peers.
func (in Input) ingress(ports []string, from []*peer) *networkingv1ac.NetworkPolicyIngressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyIngressRule().WithFrom(from...)
	for _, name := range ports {
		rule.WithPorts(networkingv1ac.NetworkPolicyPort().
			WithProtocol(corev1.ProtocolTCP).
			WithPort(intstr.FromInt32(in.containerPort(name))))
	}
	return rule
}

// egress lets the servers fetch the keys of OAuth issuers. A policy knows no host names, so it is by port alone.
func (in Input) egress() []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	ports := in.issuerPorts()
	if len(ports) == 0 {
		return nil
	}
	const dns = 53
	rule := networkingv1ac.NetworkPolicyEgressRule().WithPorts(portOf(corev1.ProtocolUDP, dns), portOf(corev1.ProtocolTCP, dns))
	for _, port := range ports {
		rule.WithPorts(portOf(corev1.ProtocolTCP, port))
	}
	return []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{rule}
}

func portOf(protocol corev1.Protocol, port int32) *networkingv1ac.NetworkPolicyPortApplyConfiguration {
	return networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(port))
}

// issuerPorts are those of the issuers and of their keys, in ascending order. Where discovery leads elsewhere, that is at the
// port of https.
func (in Input) issuerPorts() []int32 {
	oauth := in.Service.Spec.Authentication.OAuth
	if oauth == nil {
		return nil
	}
	const https = 443
	ports := map[int32]bool{https: true}
	for i := range oauth.Issuers {
		for _, text := range []string{oauth.Issuers[i].URL, oauth.Issuers[i].JWKSURL} {
			if u, err := url.Parse(text); err == nil {
				if port, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
					ports[int32(port)] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(ports))
}

// lmtpPeers are those of the spec, or all pods of the namespace: LMTP has no authentication.
func (in Input) lmtpPeers() ([]*peer, error) {
	if from := in.Service.Spec.Delivery.LMTP.From; len(from) > 0 {
		return peers(from)
	}
	return []*peer{networkingv1ac.NetworkPolicyPeer().WithPodSelector(metav1ac.LabelSelector())}, nil
}

// manager is the operator.
func (in Input) manager() []*peer {
	return []*peer{networkingv1ac.NetworkPolicyPeer().
		WithNamespaceSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{corev1.LabelMetadataName: in.ManagerNamespace})).
		WithPodSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{names.LabelName: "popservice", names.LabelComponent: "manager"}))}
}

func peers(from []networkingv1.NetworkPolicyPeer) ([]*peer, error) {
	var all []*peer
	for i := range from {
		converted, err := apply.Convert[peer](from[i])
		if err != nil {
			return nil, fmt.Errorf("network policy peer %d: %w", i, err)
		}
		all = append(all, &converted)
	}
	return all, nil
}
