//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// installChart installs the operator as a user does, in a namespace where nothing but restricted pods may run.
func installChart(ctx context.Context) error {
	namespace := restrictedNamespace(systemNamespace)
	if err := kube.Create(ctx, namespace); client.IgnoreAlreadyExists(err) != nil {
		return fmt.Errorf("making namespace %s: %w", systemNamespace, err)
	}
	install := exec.CommandContext(ctx, "helm", "upgrade", "--install", "popservice", root+"/charts/popservice",
		"--namespace", systemNamespace, "--wait",
		// Whatever it can say, it says here, where it is searched for secrets.
		"--set", "image.tag=dev,serverImage.tag=dev,logging.level=debug",
		"--timeout", "2m")
	output, err := install.CombinedOutput()
	if err != nil {
		return fmt.Errorf("installing the chart: %w\n%s%s", err, output, describeManager(ctx))
	}
	fmt.Fprintln(os.Stderr, "e2e: the chart is installed")
	return nil
}

func restrictedNamespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
	}}}
}

// describeManager gathers what explains an operator that does not work.
func describeManager(ctx context.Context) string {
	var told bytes.Buffer
	for _, args := range [][]string{
		{"get", "deployments,pods", "-o", "wide"}, {"describe", "pods"},
		{"get", "events", "--sort-by=.lastTimestamp"}, {"logs", "deployment/" + managerName, "--tail=100"},
	} {
		command := exec.CommandContext(ctx, "kubectl", append([]string{"--namespace", systemNamespace}, args...)...)
		command.Stdout, command.Stderr = &told, &told
		fmt.Fprintf(&told, "\n$ kubectl %v\n", args)
		_ = command.Run() // its complaints are in told
	}
	return told.String()
}

func TestChartRunsTheOperatorRestricted(t *testing.T) {
	manager := get(t, systemNamespace, managerName, &appsv1.Deployment{})
	if manager.Status.AvailableReplicas != 1 {
		t.Errorf("%d operator pods are available, want 1", manager.Status.AvailableReplicas)
	}
	for _, pod := range podsOf(t, manager) {
		checkRestricted(t, pod)
	}
}
