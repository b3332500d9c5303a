//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestServerHoldsNoCredential looks at the pod that faces the internet. That it runs at all shows that it meets Pod Security's
// level restricted, which its namespace enforces.
func TestServerHoldsNoCredential(t *testing.T) {
	t.Parallel()
	s := newService(t, "security")
	m := s.newMailbox(t, "alice")
	pod := s.pod(t)
	checkRestricted(t, pod)
	if mounts := pod.Spec.AutomountServiceAccountToken; mounts == nil || *mounts {
		t.Error("automountServiceAccountToken is not false")
	}
	for _, place := range tokens(pod) {
		t.Errorf("a service account's token is mounted by %s", place)
	}
	if pod.Spec.ServiceAccountName != "pop-pop3d" {
		t.Errorf("the service account is %q", pod.Spec.ServiceAccountName)
	}
	s.checkAccountHasNoRights(t)
	get(t, s.Namespace, "pop-pop3d", &networkingv1.NetworkPolicy{})
	s.checkNoPasswordIsMounted(t, m)
}

// checkRestricted checks what Pod Security's level restricted asks for, and more: the container's own files cannot be written.
func checkRestricted(t *testing.T, pod corev1.Pod) {
	t.Helper()
	if len(pod.Spec.Containers) == 0 {
		t.Fatalf("pod %s has no container", pod.Name)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		s := c.SecurityContext
		switch {
		case s == nil:
			t.Errorf("%s of %s has no securityContext", c.Name, pod.Name)
		case s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem:
			t.Errorf("%s of %s may write its root file system", c.Name, pod.Name)
		case s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation:
			t.Errorf("%s of %s may gain privileges", c.Name, pod.Name)
		case s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0:
			t.Errorf("%s of %s has capabilities", c.Name, pod.Name)
		}
	}
}

// tokens are the volumes of a pod, or the mounts of its containers, that bring a service account's token.
func tokens(pod corev1.Pod) []string {
	var places []string
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected != nil && slices.ContainsFunc(volume.Projected.Sources, func(p corev1.VolumeProjection) bool {
			return p.ServiceAccountToken != nil
		}) {
			places = append(places, "volume "+volume.Name)
		}
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, mount := range c.VolumeMounts {
			if strings.HasPrefix(mount.MountPath, "/var/run/secrets/kubernetes.io") {
				places = append(places, "mount "+mount.MountPath+" of "+c.Name)
			}
		}
	}
	return places
}

// checkAccountHasNoRights asks the API server what the servers' account may do with what an intruder would want.
func (s *service) checkAccountHasNoRights(t *testing.T) {
	t.Helper()
	account := "--as=system:serviceaccount:" + s.Namespace + ":pop-pop3d"
	for _, what := range [][]string{{"get", "secrets"}, {"list", "mailboxes"}, {"patch", "pods"}, {"get", "configmaps"}} {
		answer, err := try(t, "", "kubectl", append([]string{"auth", "can-i", "--namespace", s.Namespace, account}, what...)...)
		if err == nil || strings.TrimSpace(answer) != "no" {
			t.Errorf("may the servers' account %v? %s", what, answer)
		}
	}
}

// checkNoPasswordIsMounted looks into every Secret that the pod mounts.
func (s *service) checkNoPasswordIsMounted(t *testing.T, m *mailbox) {
	t.Helper()
	names := mountedSecrets(s.pod(t))
	if len(names) < 64 {
		t.Fatalf("the pod mounts %d Secrets, the directory alone has 64", len(names))
	}
	var list corev1.SecretList
	if err := kube.List(t.Context(), &list, client.InNamespace(s.Namespace)); err != nil {
		t.Fatal(err)
	}
	for _, secret := range list.Items {
		for key, value := range secret.Data {
			if slices.Contains(names, secret.Name) && strings.Contains(string(value), m.password) {
				t.Errorf("the pod mounts the password, in key %s of Secret %s", key, secret.Name)
			}
		}
	}
}

func mountedSecrets(pod corev1.Pod) []string {
	var names []string
	for _, volume := range pod.Spec.Volumes {
		if volume.Secret != nil {
			names = append(names, volume.Secret.SecretName)
		}
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.Secret != nil {
				names = append(names, source.Secret.Name)
			}
		}
	}
	return names
}
