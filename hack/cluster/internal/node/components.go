//go:build linux

package node

import (
	"fmt"
	"os"
	"strconv"
)

// A component is one process of the node.
type component struct {
	name string
	args []string
}

// foundation is what the other components talk to.
func (n *Node) foundation(port int) []component {
	return []component{
		{name: "etcd", args: []string{
			"--name=" + n.name,
			"--data-dir=" + n.path("etcd"),
			"--listen-client-urls=http://127.0.0.1:2379",
			"--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380",
			"--unsafe-no-fsync", // nothing in here outlives the cluster
		}},
		{name: "containerd", args: []string{"--config=" + n.path("containerd.toml")}},
		{name: "kube-apiserver", args: n.apiserverArgs(port)},
	}
}

// apiserverArgs makes the server listen on one port number inside the namespace and, through the forwarder, outside:
// so that one kubeconfig is right for both.
func (n *Node) apiserverArgs(port int) []string {
	return []string{
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0",
		"--secure-port=" + strconv.Itoa(port),
		"--advertise-address=" + nodeIP, // loopback is refused
		"--service-cluster-ip-range=" + serviceCIDR,
		"--client-ca-file=" + n.path("pki/ca.crt"),
		"--tls-cert-file=" + n.path("pki/apiserver.crt"),
		"--tls-private-key-file=" + n.path("pki/apiserver.key"),
		"--cert-dir=" + n.path("pki"),
		"--service-account-key-file=" + n.path("pki/service-accounts.crt"),
		"--service-account-signing-key-file=" + n.path("pki/service-accounts.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-client-certificate=" + n.path("pki/apiserver-kubelet.crt"),
		"--kubelet-client-key=" + n.path("pki/apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + n.path("pki/ca.crt"),
		"--kubelet-preferred-address-types=InternalIP", // without DNS the node's name leads nowhere
		"--allow-privileged=true",
		"--audit-policy-file=" + n.path("audit.yaml"),
		"--audit-log-path=" + n.auditLog(),
		"--audit-log-maxsize=200",
	}
}

// workers are clients of the API server.
func (n *Node) workers() []component {
	return []component{
		{name: "kube-controller-manager", args: []string{
			"--kubeconfig=" + n.path("kube-controller-manager.kubeconfig"),
			"--cluster-cidr=" + clusterCIDR,
			"--allocate-node-cidrs=true",
			"--leader-elect=false",
			"--flex-volume-plugin-dir=" + n.path("kubelet/volume-plugins"), // else made below /usr/libexec
			"--use-service-account-credentials=true",
			"--root-ca-file=" + n.path("pki/ca.crt"),
			"--service-account-private-key-file=" + n.path("pki/service-accounts.key"),
			"--cluster-signing-cert-file=" + n.path("pki/ca.crt"),
			"--cluster-signing-key-file=" + n.path("pki/ca.key"),
		}},
		{name: "kube-scheduler", args: []string{
			"--kubeconfig=" + n.path("kube-scheduler.kubeconfig"),
			"--leader-elect=false",
		}},
		{name: "kubelet", args: []string{
			"--config=" + n.path("kubelet.yaml"),
			"--kubeconfig=" + n.path("kubelet.kubeconfig"),
			"--root-dir=" + n.path("kubelet"),
			"--cert-dir=" + n.path("pki"),
			"--hostname-override=" + nodeName,
			"--node-ip=" + nodeIP,
		}},
		{name: "kube-proxy", args: []string{"--config=" + n.path("kube-proxy.yaml")}},
	}
}

// stopOrder ends those first that would start again what the later ones run. Pods are stopped after the kubelet.
var stopOrder = []string{"kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", forwarder,
	"kube-apiserver", "etcd", "containerd"}

// environment is what components see of the caller's: no proxy settings, no credentials.
func (n *Node) environment() []string {
	return []string{
		"PATH=" + n.cache.Bin() + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=" + n.dir,
		"TMPDIR=" + os.TempDir(),
		fmt.Sprintf("POPSERVICE_CLUSTER=%s", n.name),
	}
}
