//go:build envtest

package envtest

import (
	"net/http"
	"strings"
	"sync"

	"k8s.io/client-go/transport"
)

type transportWrapper = transport.WrapperFunc

// writes are the requests of the operator that were to change something.
type writes struct {
	mu  sync.Mutex
	all []string
}

// record notes them on their way.
func (w *writes) record(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Method != http.MethodGet {
			w.mu.Lock()
			w.all = append(w.all, request.Method+" "+request.URL.Path)
			w.mu.Unlock()
		}
		return next.RoundTrip(request)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// in gives those in a namespace since the first n.
func (w *writes) in(namespace string, n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var some []string
	for _, write := range w.all[n:] {
		if strings.Contains(write, "/namespaces/"+namespace+"/") {
			some = append(some, write)
		}
	}
	return some
}

func (w *writes) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}
