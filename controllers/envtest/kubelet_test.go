//go:build envtest

package envtest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/controllers"
	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/server"
)

// held are the namespaces whose pods see no change, and in which no pod starts, until they are taken out.
var held sync.Map

// kubelet runs the servers of all pods in this process, each on a loopback address of its own. As the real one does,
// it reads a pod's volumes when the pod starts and when it changes; it never does so by itself, so a change that
// nobody pokes it for stays unseen.
type kubelet struct {
	client client.WithWatch
	folder string

	pods map[types.UID]*runningPod
	last int // number of the last address
}

type runningPod struct {
	pod     *corev1.Pod
	folder  string
	address string
	stop    context.CancelFunc
	ended   chan struct{}
	version string // of the pod when its volumes were last read
}

func startKubelet(ctx context.Context) (func(), error) {
	c, err := client.NewWithWatch(config, client.Options{Scheme: controllers.Scheme()})
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "popservice-envtest-pods-")
	if err != nil {
		return nil, err
	}
	k := &kubelet{client: c, folder: folder, pods: make(map[types.UID]*runningPod)}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx) })
	return func() {
		cancel()
		running.Wait()
		_ = os.RemoveAll(folder)
	}, nil
}

// run looks at all pods a few times a second.
func (k *kubelet) run(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		var pods corev1.PodList
		if err := k.client.List(ctx, &pods, client.MatchingLabels{names.LabelName: names.ServerName}); err == nil {
			k.sync(ctx, pods.Items)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	k.sync(context.Background(), nil)
}

func (k *kubelet) sync(ctx context.Context, pods []corev1.Pod) {
	there := make(map[types.UID]bool)
	for i := range pods {
		pod := &pods[i]
		there[pod.UID] = true
		if err := k.syncPod(ctx, pod); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			fmt.Fprintf(os.Stderr, "envtest: pod %s/%s: %v\n", pod.Namespace, pod.Name, err)
		}
	}
	for uid, running := range k.pods {
		if !there[uid] {
			running.stop()
			<-running.ended
			delete(k.pods, uid)
		}
	}
}

func (k *kubelet) syncPod(ctx context.Context, pod *corev1.Pod) error {
	running, ok := k.pods[pod.UID]
	if !ok {
		return k.start(ctx, pod)
	}
	_, isHeld := held.Load(pod.Namespace)
	if poked := pod.Annotations[names.AnnotationRefreshed]; poked != running.version && !isHeld {
		running.version = poked
		if err := k.mount(ctx, running); err != nil {
			return err
		}
	}
	return k.report(ctx, pod, running)
}

// start mounts the volumes and runs the server, if what the pod needs is there.
func (k *kubelet) start(ctx context.Context, pod *corev1.Pod) error {
	if _, isHeld := held.Load(pod.Namespace); isHeld || !k.isBound(ctx, pod) {
		return nil
	}
	k.last++
	running := &runningPod{pod: pod, folder: filepath.Join(k.folder, string(pod.UID)), ended: make(chan struct{}),
		address: fmt.Sprintf("127.0.1.%d", k.last), version: pod.Annotations[names.AnnotationRefreshed]}
	if err := k.mount(ctx, running); err != nil {
		return err
	}
	life, stop := context.WithCancel(context.Background())
	running.stop = stop
	k.pods[pod.UID] = running
	log, err := os.Create(running.folder + ".log")
	if err != nil {
		return err
	}
	go func() {
		defer close(running.ended)
		defer func() { _ = log.Close() }()
		err := server.Run(life, server.Options{
			ConfigPath: filepath.Join(running.folder, "config", "config.yaml"), Version: "test", Log: log, Cut: life.Done(),
		})
		if err != nil {
			fmt.Fprintf(os.Stderr, "envtest: server of pod %s/%s: %v\n", pod.Namespace, pod.Name, err)
		}
	}()
	return k.report(ctx, pod, running)
}

func (k *kubelet) isBound(ctx context.Context, pod *corev1.Pod) bool {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		var claim corev1.PersistentVolumeClaim
		err := k.client.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: v.PersistentVolumeClaim.ClaimName}, &claim)
		if err != nil || claim.Status.Phase != corev1.ClaimBound {
			return false
		}
	}
	return true
}

// report writes the pod's status, if it has changed. Here the readiness probe is asked.
func (k *kubelet) report(ctx context.Context, pod *corev1.Pod, running *runningPod) error {
	ready := corev1.ConditionFalse
	if running.isReady(ctx) {
		ready = corev1.ConditionTrue
	}
	if pod.Status.Phase == corev1.PodRunning && len(pod.Status.Conditions) == 1 && pod.Status.Conditions[0].Status == ready {
		return nil
	}
	before := pod.DeepCopy()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.PodIP = running.address
	pod.Status.PodIPs = []corev1.PodIP{{IP: running.address}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return k.client.Status().Patch(ctx, pod, client.MergeFrom(before))
}

func (r *runningPod) isReady(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+":8080/readyz", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// mount puts what the pod's volumes hold into files. The configuration's paths and ports are brought to where they are here.
func (k *kubelet) mount(ctx context.Context, running *runningPod) error {
	var secrets corev1.SecretList
	if err := k.client.List(ctx, &secrets, client.InNamespace(running.pod.Namespace)); err != nil {
		return err
	}
	data := make(map[string]map[string][]byte)
	for _, secret := range secrets.Items {
		data[secret.Name] = secret.Data
	}
	for _, v := range running.pod.Spec.Volumes {
		files, err := k.read(ctx, running, v, data)
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		if err := running.write(v.Name, files); err != nil {
			return err
		}
	}
	return nil
}

func (r *runningPod) write(volume string, files map[string][]byte) error {
	folder := filepath.Join(r.folder, volume)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for name, data := range files {
		next := filepath.Join(r.folder, "next")
		if err := os.WriteFile(next, data, 0o600); err != nil {
			return err
		}
		if err := os.Rename(next, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *runningPod) claim() string {
	for _, v := range r.pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			return v.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}

func (r *runningPod) localize(text []byte) []byte {
	return []byte(strings.NewReplacer(
		"/etc/pop3d/", r.folder+"/",
		"/var/lib/pop3d", filepath.Join(filepath.Dir(r.folder), "volumes", r.pod.Namespace, r.claim()),
		"address: :", "address: "+r.address+":",
	).Replace(string(text)))
}

// read gives the files of a volume.
func (k *kubelet) read(
	ctx context.Context, running *runningPod, v corev1.Volume, secrets map[string]map[string][]byte,
) (map[string][]byte, error) {
	files := make(map[string][]byte)
	switch {
	case v.ConfigMap != nil:
		var configMap corev1.ConfigMap
		key := client.ObjectKey{Namespace: running.pod.Namespace, Name: v.ConfigMap.Name}
		if err := k.client.Get(ctx, key, &configMap); err != nil {
			return nil, err
		}
		for name, text := range configMap.Data {
			files[name] = running.localize([]byte(text))
		}
	case v.Secret != nil:
		maps.Copy(files, secrets[v.Secret.SecretName])
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			maps.Copy(files, secrets[source.Secret.Name])
		}
	}
	return files, nil
}
