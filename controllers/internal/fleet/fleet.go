// Package fleet asks a PopService's servers what they have loaded, over their control ports, and makes them look for what
// is new.
package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/popservice/popservice/controllers/internal/names"
	"github.com/popservice/popservice/pop3server/control"
)

const (
	// maxAge is for how long an answer serves all who ask: the buckets of a directory ask one by one.
	maxAge         = 100 * time.Millisecond
	requestTimeout = 2 * time.Second
	maxStatus      = 1 << 20 // octets
)

// Server is a pod that runs a server.
type Server struct {
	Name string
	UID  types.UID
	// Ready tells whether it gets clients.
	Ready bool
	// Status is what the server has told; nil if it could not be asked, and Err says why.
	Status *control.Status
	Err    error
}

// Fleet asks servers. Its methods may be called at the same time.
type Fleet struct {
	// Reader finds the pods, in the cache.
	Reader client.Reader
	// Credentials are what the servers are asked with.
	Credentials interface {
		// For gives those for a PopService; it is asked each time that connections are made.
		For(ctx context.Context, service types.NamespacedName) (*tls.Config, error)
		// Forget gives up what is known of a PopService that is gone.
		Forget(service types.NamespacedName)
	}
	// Poker patches the pods.
	Poker client.Writer

	calls singleflight.Group
	mu    sync.Mutex
	known map[types.NamespacedName]answer
	poked map[types.UID]poke
}

// answer is what all servers of a PopService have told at one time.
type answer struct {
	servers []Server
	at      time.Time
}

// Servers gives the pods of a PopService that run, with what each has told a moment ago.
func (f *Fleet) Servers(ctx context.Context, service types.NamespacedName) ([]Server, error) {
	if servers, ok := f.remembered(service); ok {
		return servers, nil
	}
	// The answer is everybody's who asks meanwhile: it does not depend on the first one's patience.
	result, err, _ := f.calls.Do(service.String(), func() (any, error) { return f.ask(context.WithoutCancel(ctx), service) })
	if err != nil {
		return nil, err
	}
	return result.([]Server), nil
}

func (f *Fleet) remembered(service types.NamespacedName) ([]Server, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.known[service]
	return a.servers, ok && time.Since(a.at) < maxAge
}

func (f *Fleet) remember(service types.NamespacedName, servers []Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = make(map[types.NamespacedName]answer)
	}
	f.known[service] = answer{servers: servers, at: time.Now()}
}

// Forget gives up what is known of a PopService that is gone.
func (f *Fleet) Forget(service types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, service)
	f.Credentials.Forget(service)
}

func (f *Fleet) ask(ctx context.Context, service types.NamespacedName) ([]Server, error) {
	pods, err := f.pods(ctx, service)
	if err != nil {
		return nil, err
	}
	servers := make([]Server, len(pods))
	if len(pods) > 0 {
		f.askAll(ctx, service, pods, servers)
	}
	f.remember(service, servers)
	return servers, nil
}

// pods gives those that run and are to stay.
func (f *Fleet) pods(ctx context.Context, service types.NamespacedName) ([]corev1.Pod, error) {
	var all corev1.PodList
	err := f.Reader.List(ctx, &all, client.InNamespace(service.Namespace),
		client.MatchingLabels(names.SelectorLabels(service.Name)))
	if err != nil {
		return nil, fmt.Errorf("list pods of PopService %s: %w", service, err)
	}
	var running []corev1.Pod
	for _, pod := range all.Items {
		if pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning && pod.Status.PodIP != "" {
			running = append(running, pod)
		}
	}
	return running, nil
}

// askAll asks all pods at the same time and fills in the servers.
func (f *Fleet) askAll(ctx context.Context, service types.NamespacedName, pods []corev1.Pod, servers []Server) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	credentials, err := f.Credentials.For(ctx, service)
	var waiting sync.WaitGroup
	for i := range pods {
		servers[i] = Server{Name: pods[i].Name, UID: pods[i].UID, Ready: isReady(&pods[i]), Err: err}
		if err == nil {
			waiting.Go(func() { servers[i].Status, servers[i].Err = fetch(ctx, credentials, &pods[i]) })
		}
	}
	waiting.Wait()
}

// fetch asks one server. Connections are not kept: the answers are rare, and a rotated CA counts at once.
func fetch(ctx context.Context, credentials *tls.Config, pod *corev1.Pod) (*control.Status, error) {
	address, err := controlAddress(pod)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: credentials, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+control.Path, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport, CheckRedirect: stay}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask pod %s what it has loaded: %s", pod.Name, brief(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask pod %s what it has loaded: it answers %s", pod.Name, response.Status)
	}
	var status control.Status
	if err := json.NewDecoder(io.LimitReader(response.Body, maxStatus)).Decode(&status); err != nil {
		return nil, fmt.Errorf("read what pod %s has loaded: %w", pod.Name, err)
	}
	return &status, nil
}

// brief says what went wrong in words that are the same each time: conditions hold them, and no port, address or time that
// changes with each try.
func brief(err error) string {
	var invalid x509.CertificateInvalidError
	var timeout net.Error
	switch {
	case errors.As(err, &invalid):
		return "its certificate is not valid, or the clocks differ"
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("no answer within %s", requestTimeout)
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// stay follows no redirect: a server that faces the internet does not say where the operator goes.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// ControlPort is the name of the control port of a server's container.
const ControlPort = "control"

// controlAddress finds the control port in the pod itself, which may be older than the PopService's spec.
func controlAddress(pod *corev1.Pod) (string, error) {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == ControlPort {
				return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(port.ContainerPort))), nil
			}
		}
	}
	return "", errors.New("pod " + pod.Name + " has no control port")
}

func isReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
