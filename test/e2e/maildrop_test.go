//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/api/v1alpha1"
)

// newServiceOf makes a PopService whose spec is edited, in a namespace of its own, and waits until it serves.
func newServiceOf(t *testing.T, name string, edit func(*v1alpha1.PopServiceSpec)) *service {
	t.Helper()
	pop := newPopService(newNamespace(t, name))
	edit(&pop.Spec)
	s := startService(t, pop)
	awaitReady(t, s.PopService)
	s.awaitReachable(t)
	return s
}

// maildrop runs a command of `pop3d maildrop` in a pod of the servers.
func (s *service) maildrop(t *testing.T, pod corev1.Pod, args ...string) (string, error) {
	t.Helper()
	return try(t, "", "kubectl", append([]string{"exec", "--namespace", s.Namespace, pod.Name, "--", "/pop3d", "maildrop",
		"--config", "/etc/pop3d/config/config.yaml"}, args...)...)
}

// mustMaildrop is a command that must succeed, and gives what it printed.
func (s *service) mustMaildrop(t *testing.T, pod corev1.Pod, args ...string) string {
	t.Helper()
	output, err := s.maildrop(t, pod, args...)
	if err != nil {
		t.Fatal(fmt.Errorf("pop3d maildrop %s: %w", strings.Join(args, " "), err))
	}
	return output
}

// volume is the folder on the node that the pods have as /var/lib/pop3d: the local cluster's volumes are such folders.
func (s *service) volume(t *testing.T) string {
	t.Helper()
	volume := &corev1.PersistentVolume{}
	if err := kube.Get(t.Context(), client.ObjectKey{Name: s.claim(t).Spec.VolumeName}, volume); err != nil {
		t.Fatal(err)
	}
	if volume.Spec.Local == nil {
		t.Fatalf("volume %s is no folder of the node", volume.Name)
	}
	return volume.Spec.Local.Path
}
