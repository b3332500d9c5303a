package resources

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/popservice/popservice/controllers/internal/names"
)

// documentedJob is the manifest in the page on maildrops, which has no field that there is not.
func documentedJob(t *testing.T) batchv1.Job {
	t.Helper()
	page, err := os.ReadFile("../../../docs/operations/maildrop.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("the page has no manifest")
	}
	var job batchv1.Job
	if err := yaml.UnmarshalStrict([]byte(text), &job); err != nil {
		t.Fatal(err)
	}
	return job
}

// The Job that the page on maildrops gives for import and export is admitted where the servers' pods are, works on their
// volume, and leaves there what they can read.
func TestDocumentedJobFitsTheServers(t *testing.T) {
	pod := documentedJob(t).Spec.Template
	checkRestricted(t, &pod)
	servers := deployment(t, input()).Spec.Template
	tool, server := pod.Spec.Containers[0], servers.Spec.Containers[0]
	if !reflect.DeepEqual(pod.Spec.SecurityContext, servers.Spec.SecurityContext) ||
		!reflect.DeepEqual(tool.SecurityContext, server.SecurityContext) {
		t.Errorf("security contexts %+v and %+v, the servers' are %+v and %+v", pod.Spec.SecurityContext, tool.SecurityContext,
			servers.Spec.SecurityContext, server.SecurityContext)
	}
	mounted := slices.ContainsFunc(tool.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == volumeMaildrops && m.MountPath == volumeFolder && !m.ReadOnly
	})
	if claimOf(pod.Spec) != names.Claim("pop") || claimOf(servers.Spec) != names.Claim("pop") || !mounted ||
		!slices.Contains(tool.Args, "--store="+maildropFolder) {
		t.Errorf("the Job works on %q as %+v with %q", claimOf(pod.Spec), tool.VolumeMounts, tool.Args)
	}
	beside := pod.Spec.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
	selector, err := metav1.LabelSelectorAsSelector(beside.LabelSelector)
	if err != nil || !selector.Matches(labels.Set(servers.Labels)) || beside.TopologyKey != corev1.LabelHostname {
		t.Errorf("the Job goes to %+v (%v), the servers are %v", beside, err, servers.Labels)
	}
	if labels.SelectorFromSet(names.SelectorLabels("pop")).Matches(labels.Set(pod.Labels)) {
		t.Error("the Job's pod is taken for a server")
	}
}

// claimOf gives the claim with the maildrops.
func claimOf(pod corev1.PodSpec) string {
	for _, v := range pod.Volumes {
		if v.Name == volumeMaildrops {
			return v.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}
