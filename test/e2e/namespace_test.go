//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// dumpVariable names the folder for what failed tests leave.
const dumpVariable = "POPSERVICE_E2E_LOGS"

// newNamespace makes a namespace where nothing but restricted pods may run. When the test has passed, nothing secret may
// have come out of it, and it is deleted; when it has failed, what there is in it is written down.
func newNamespace(t *testing.T, name string) string {
	t.Helper()
	namespace := restrictedNamespace("e2e-" + name)
	namespace.Labels[testLabel] = "true"
	create(t, namespace)
	t.Cleanup(func() {
		if !t.Failed() {
			checkNothingSecretIsTold(t, namespace.Name)
		}
		if t.Failed() {
			dump(t, namespace.Name)
			return
		}
		deleteNamespace(t, namespace)
	})
	return namespace.Name
}

// deleteNamespace does not wait for the end: names are not used twice.
func deleteNamespace(t *testing.T, namespace *corev1.Namespace) {
	t.Helper()
	if err := kube.Delete(background(t), namespace); err != nil {
		t.Errorf("delete namespace %s: %v", namespace.Name, err)
	}
}

// dump writes what there is in a namespace and what the operator says to a file, without the content of Secrets.
func dump(t *testing.T, namespace string) {
	t.Helper()
	var told strings.Builder
	for _, args := range [][]string{
		{"get", "all,pop,mbx,pvc,secrets,configmaps,networkpolicies", "-o", "wide"},
		{"get", "pop,mbx", "-o", "yaml"},
		{"describe", "pods"},
		{"get", "events", "--sort-by=.lastTimestamp"},
	} {
		output, err := try(t, "", "kubectl", append([]string{"--namespace", namespace}, args...)...)
		fmt.Fprintf(&told, "$ kubectl --namespace %s %v: %v\n%s\n", namespace, args, err, output)
	}
	for name, log := range podLogs(t, namespace) {
		fmt.Fprintf(&told, "log of %s:\n%s\n", name, log)
	}
	told.WriteString(describeManager(background(t)))
	file := filepath.Join(os.Getenv(dumpVariable), namespace+".txt")
	if err := os.WriteFile(file, []byte(told.String()), 0o600); err != nil {
		t.Log(told.String())
		return
	}
	t.Logf("what namespace %s held: %s", namespace, file)
}

// podLogs gives what the pods of a namespace have written, before their last restart too.
func podLogs(t *testing.T, namespace string) map[string]string {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(background(t), &pods, client.InNamespace(namespace)); err != nil {
		t.Fatalf("list pods of %s: %v", namespace, err)
	}
	logs := map[string]string{}
	for _, pod := range pods.Items {
		logs[pod.Name], _ = try(t, "", "kubectl", "--namespace", namespace, "logs", pod.Name, "--all-containers")
		if slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool { return c.RestartCount > 0 }) {
			logs[pod.Name+" (before)"], _ = try(t, "", "kubectl", "--namespace", namespace, "logs", pod.Name, "--previous")
		}
	}
	return logs
}
