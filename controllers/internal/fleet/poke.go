package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/controllers/internal/names"
)

// A pod that has not seen a change is poked again: the first time soon, since the kubelet may have been poked before the change
// reached it, and then ever later.
const (
	pokeAgainMin = time.Second
	pokeAgainMax = time.Minute
	// pokeKeep is how long a pod is remembered that is not poked any more.
	pokeKeep = time.Hour
)

// poke is the last one that a pod has got.
type poke struct {
	at    time.Time
	again time.Duration // after which it may be poked again for the same change
}

// Poke makes the kubelet read the volumes of these servers anew, by patching an annotation of their pods. changed is
// the time of the change that they are to see: a pod that has been poked since is left alone, unless that was some time ago.
func (f *Fleet) Poke(ctx context.Context, namespace string, servers []Server, changed time.Time) error {
	var errs []error
	for _, server := range servers {
		if !f.due(server.UID, changed, time.Now()) {
			continue
		}
		if err := f.annotate(ctx, types.NamespacedName{Namespace: namespace, Name: server.Name}); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// due tells whether a pod is to be poked now, and notes it.
func (f *Fleet) due(pod types.UID, changed, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, known := f.poked[pod]
	next := poke{at: now, again: pokeAgainMin}
	switch {
	case !known || last.at.Before(changed): // the first for this change
	case now.Sub(last.at) < last.again:
		return false
	default:
		next.again = min(2*last.again, pokeAgainMax)
	}
	f.forgetPoked(now)
	f.poked[pod] = next
	return true
}

func (f *Fleet) forgetPoked(now time.Time) {
	if f.poked == nil {
		f.poked = make(map[types.UID]poke)
	}
	for pod, last := range f.poked {
		if now.Sub(last.at) > pokeKeep {
			delete(f.poked, pod)
		}
	}
}

func (f *Fleet) annotate(ctx context.Context, name types.NamespacedName) error {
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = name.Namespace, name.Name
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`,
		names.AnnotationRefreshed, time.Now().UTC().Format(time.RFC3339Nano))
	if err := f.Poker.Patch(ctx, pod, client.RawPatch(types.MergePatchType, patch)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("poke pod %s: %w", name.Name, err)
	}
	return nil
}
