//go:build linux

package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// api is a client for the few questions that decide whether the cluster is up. All else is left to kubectl.
type api struct {
	base   string
	client *http.Client
}

// newAPI asks through the forwarder, as people's clients do.
func (n *Node) newAPI(port int) (*api, error) {
	authority, err := os.ReadFile(n.path("pki", "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's authority: %w", err)
	}
	certificate, err := tls.LoadX509KeyPair(n.path("pki/apiserver-kubelet.crt"), n.path("pki/apiserver-kubelet.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the administrator's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &api{
		base: fmt.Sprintf("https://127.0.0.1:%d", port),
		client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{certificate}}}},
	}, nil
}

func (a *api) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the API server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the API server answers %s to %s", response.Status, path)
	}
	return body, err
}

func (a *api) serverReady(ctx context.Context) error {
	_, err := a.get(ctx, "/readyz")
	return err
}

// nodeReady also waits for the account without which no pod is admitted.
func (a *api) nodeReady(ctx context.Context) error {
	body, err := a.get(ctx, "/api/v1/nodes/"+nodeName)
	if err != nil {
		return err
	}
	var node struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &node); err != nil {
		return fmt.Errorf("reading the node: %w", err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == "Ready" && c.Status != "True" {
			return fmt.Errorf("node %s is not ready: %s", nodeName, c.Message)
		}
	}
	if len(node.Status.Conditions) == 0 {
		return fmt.Errorf("node %s has not reported yet", nodeName)
	}
	_, err = a.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
	return err
}

// poll calls f until it succeeds. When the time is up it returns what f said last.
func poll(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up after %s: %w", limit, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
