package popservice

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/popservice/popservice/api/v1alpha1"
	"github.com/popservice/popservice/controllers/internal/names"
)

// available tells whether servers serve, and whether all of them are as they are to be.
func (s *state) available() finding {
	const kind = v1alpha1.ConditionAvailable
	wanted, ready := s.input.Replicas(), s.readyReplicas()
	switch {
	case wanted == 0:
		return finding{blocks: true, stalled: true, Condition: stalled(kind, reasonScaledToZero,
			"replicas is 0: nobody is served until it is raised").Condition}
	case ready == 0:
		reason, message := s.podTrouble()
		return pending(kind, reason, message)
	}
	f := good(kind, reasonServing, fmt.Sprintf("%d of %d servers serve", ready, wanted))
	if !s.isRolledOut() {
		f.Reason, f.blocks = reasonUpdating, true
		f.Message += "; pods are being replaced or added"
	}
	return f
}

// isRolledOut tells whether all pods are of the Deployment's newest version, and ready.
func (s *state) isRolledOut() bool {
	d, wanted := s.deployment, s.input.Replicas()
	return d != nil && !s.rollsOut && d.Status.ObservedGeneration >= d.Generation &&
		d.Status.UpdatedReplicas == wanted && d.Status.ReadyReplicas == wanted && d.Status.Replicas == wanted
}

// podTrouble says why no server serves, as far as the pods tell.
func (s *state) podTrouble() (reason, message string) {
	for i := range s.pods {
		if trouble := troubleOf(&s.pods[i]); trouble != "" {
			return reasonPodFailing, fmt.Sprintf("pod %s: %s", s.pods[i].Name, trouble)
		}
	}
	if !s.hasDeployment() && !s.isDirectoryWritten() {
		return reasonStarting, fmt.Sprintf("%d buckets of the directory are to be written before a server starts: "+
			"see DirectorySynced and the Mailboxes", len(s.directory.missing))
	}
	if len(s.pods) == 0 {
		return reasonStarting, fmt.Sprintf("Deployment %q has no pod yet", names.Deployment(s.service.Name))
	}
	return reasonStarting, fmt.Sprintf("pod %s is starting", s.pods[0].Name)
}

// troubleOf gives what holds a pod up; empty if nothing does that does not pass.
func troubleOf(pod *corev1.Pod) string {
	for _, status := range pod.Status.ContainerStatuses {
		waiting := status.State.Waiting
		if waiting != nil && !slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, waiting.Reason) {
			return fmt.Sprintf("%s: %s", waiting.Reason, waiting.Message)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return fmt.Sprintf("%s: %s", c.Reason, c.Message)
		}
	}
	return ""
}
