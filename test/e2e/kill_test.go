//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// killAll kills a server every few seconds, each time in another way and only while another one serves.
func (c *chaos) killAll(t *testing.T, duration time.Duration) map[string]int {
	t.Helper()
	ways := []struct {
		name string
		kill func(*testing.T, corev1.Pod) error
	}{{"deleted at once", deleteAtOnce}, {"SIGKILL", killProcess}, {"deleted", deletePod}}
	killed := make(map[string]int)
	deadline := time.Now().Add(duration)
	for i := 0; time.Now().Before(deadline); i++ {
		way := ways[i%len(ways)]
		pods := c.readyPods(t, 2)
		if err := way.kill(t, pods[rand.IntN(len(pods))]); err != nil {
			t.Errorf("%s: %v", way.name, err)
		}
		killed[way.name]++
		time.Sleep(time.Second + rand.N(2*time.Second)) // in which clients are at work; there is nothing to wait for
	}
	for _, way := range ways {
		if killed[way.name] == 0 {
			t.Errorf("in %s no server was %s", duration, way.name)
		}
	}
	return killed
}

// readyPods waits for so many servers to be ready.
func (c *chaos) readyPods(t *testing.T, least int) (ready []corev1.Pod) {
	t.Helper()
	await(t, settling, fmt.Sprintf("%d ready servers", least), func() (bool, string) {
		pods := podsOf(t, c.deployment(t))
		ready = slices.DeleteFunc(pods, func(pod corev1.Pod) bool { return !isReady(pod) })
		return len(ready) >= least, fmt.Sprintf("%d pods, %d ready", len(pods), len(ready))
	})
	return ready
}

func deletePod(t *testing.T, pod corev1.Pod) error { return kube.Delete(t.Context(), &pod) }

func deleteAtOnce(t *testing.T, pod corev1.Pod) error {
	return kube.Delete(t.Context(), &pod, client.GracePeriodSeconds(0))
}

// killProcess kills the server in a pod as the kernel does when memory runs out: nothing that it has begun is finished.
func killProcess(_ *testing.T, pod corev1.Pod) error { return signalProcess(pod, syscall.SIGKILL) }

// signalProcess sends a signal to the server in a pod. Pods run on this machine, and their cgroups bear their UIDs.
func signalProcess(pod corev1.Pod, signal syscall.Signal) error {
	paths, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return err
	}
	for _, path := range paths {
		groups, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(groups), string(pod.UID)) {
			continue // many processes end meanwhile
		}
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm"))
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && strings.TrimSpace(string(name)) == "pop3d" {
			return syscall.Kill(pid, signal)
		}
	}
	return fmt.Errorf("pod %s has no process pop3d on this machine", pod.Name)
}

// podAddress is where a pod's container listens, past the Service.
func podAddress(t *testing.T, pod corev1.Pod, port string) string {
	t.Helper()
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == port {
				return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(p.ContainerPort)))
			}
		}
	}
	t.Fatalf("pod %s has no port %s", pod.Name, port)
	return ""
}

// connectTo opens a connection with TLS to one server.
func (s *service) connectTo(address string, limit time.Duration) (*session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	dialer := tls.Dialer{Config: s.authority.clientConfig(s.host())}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	p := &session{Conn: textproto.NewConn(conn), tls: conn.(*tls.Conn).ConnectionState()}
	if _, err := p.reply(); err != nil {
		p.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	return p, nil
}

// lmtpConn is an LMTP connection whose end is no end of the test.
type lmtpConn struct{ *textproto.Conn }

// lmtpRefusal is a reply other than 2xx and 3xx.
type lmtpRefusal struct {
	code int
	text string
}

func (r *lmtpRefusal) Error() string { return fmt.Sprintf("%d %s", r.code, r.text) }

func (s *service) connectLMTP(limit time.Duration) (*lmtpConn, error) {
	conn, err := net.DialTimeout("tcp", s.lmtpAddress(), limit)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	c := &lmtpConn{textproto.NewConn(conn)}
	if err := c.answer(); err != nil {
		c.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	return c, nil
}

// answer reads a reply, which must be 2xx or 3xx.
func (c *lmtpConn) answer() error {
	code, text, err := c.ReadResponse(0)
	switch {
	case code == 0:
		return err
	case code >= 400:
		return &lmtpRefusal{code, text}
	}
	return nil
}

func (c *lmtpConn) command(line string) error {
	if err := c.PrintfLine("%s", line); err != nil {
		return err
	}
	return c.answer()
}
