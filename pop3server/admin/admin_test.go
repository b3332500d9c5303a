package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(handler http.Handler, method, path string) (status int, body string) {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
	return recorder.Code, recorder.Body.String()
}

func passing(context.Context) error { return nil }

func failing(context.Context) error { return errors.New("volume is gone") }

// Liveness rests on nothing that a restart would not heal.
func TestHealth(t *testing.T) {
	handler := Handler(prometheus.NewRegistry(), []Check{{"store", failing}})
	if status, body := ask(handler, "GET", "/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("/healthz gives %d %q", status, body)
	}
}

func TestReadiness(t *testing.T) {
	for _, test := range []struct {
		checks []Check
		status int
		body   string
	}{
		{nil, 200, ""},
		{[]Check{{"directory", passing}, {"store", passing}}, 200, "[+]directory ok\n[+]store ok\n"},
		{[]Check{{"store", failing}, {"directory", passing}}, 503, "[-]store failed: volume is gone\n[+]directory ok\n"},
	} {
		handler := Handler(prometheus.NewRegistry(), test.checks)
		if status, body := ask(handler, "GET", "/readyz"); status != test.status || body != test.body {
			t.Errorf("/readyz gives %d %q, want %d %q", status, body, test.status, test.body)
		}
	}
}

// A check that hangs fails the probe in time. However many probes come, it runs once; when it comes back, its result counts.
func TestReadinessWithACheckThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		release := make(chan struct{})
		handler := Handler(prometheus.NewRegistry(), []Check{{"store", func(context.Context) error {
			runs.Add(1)
			<-release // as a system call does, whatever the context says
			return nil
		}}})
		for range 3 {
			start := time.Now()
			status, body := ask(handler, "GET", "/readyz")
			if status != 503 || body != "[-]store failed: no answer within 4s\n" || time.Since(start) != checkTimeout {
				t.Errorf("gives %d %q after %v", status, body, time.Since(start))
			}
		}
		if runs.Load() != 1 {
			t.Errorf("the check was run %d times", runs.Load())
		}
		close(release)
		synctest.Wait()
		if status, _ := ask(handler, "GET", "/readyz"); status != 200 || runs.Load() != 2 {
			t.Errorf("gives %d after %d runs, want 200 after 2", status, runs.Load())
		}
	})
}

func TestMetricsAndNothingElse(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "answer"}, func() float64 { return 42 }))
	handler := Handler(registry, nil)
	if status, body := ask(handler, "GET", "/metrics"); status != 200 || !strings.Contains(body, "answer 42") {
		t.Errorf("/metrics gives %d %q", status, body)
	}
	for path, want := range map[string]int{"/": 404, "/v1/status": 404, "/debug/pprof/": 404} {
		if status, _ := ask(handler, "GET", path); status != want {
			t.Errorf("%s gives %d", path, status)
		}
	}
	if status, _ := ask(handler, "POST", "/healthz"); status != 405 {
		t.Errorf("POST /healthz gives %d", status)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Serve lets a request under way end, and comes back when its context does.
func TestServeUntilTheContextEnds(t *testing.T) {
	listener, entered, release := listen(t), make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	ctx, cancel := context.WithCancel(context.Background())
	served, got := make(chan error, 1), make(chan string, 1)
	go func() { served <- Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	go func() {
		got <- get(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+listener.Addr().String())
	}()
	<-entered
	cancel()
	time.AfterFunc(10*time.Millisecond, func() { close(release) })
	if body := <-got; body != "done" {
		t.Errorf("the request under way got %q", body)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServeTellsWhyItStopped(t *testing.T) {
	listener := listen(t)
	_ = listener.Close()
	if err := Serve(context.Background(), listener, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error from a closed listener")
	}
}

// get gives the body, or the error as text.
func get(client *http.Client, url string) string {
	response, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}
