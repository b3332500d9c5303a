//go:build linux

package node

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/popservice/popservice/hack/cluster/internal/binaries"
)

func testNode(t *testing.T) *Node {
	t.Helper()
	t.Setenv(StateVariable, t.TempDir())
	t.Setenv(binaries.CacheVariable, t.TempDir())
	cache, err := binaries.Open(filepath.Join("..", "..", "..", ".."), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(cache, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNewRefusesNamesThatBreakPaths(t *testing.T) {
	n := testNode(t)
	for _, name := range []string{"../x", "UPPER", "1st", "a-name-that-is-much-too-long", "a b"} {
		t.Setenv(NameVariable, name)
		if _, err := New(n.cache, io.Discard); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
}

func TestWrittenFilesAreYAMLAndKeysArePrivate(t *testing.T) {
	n := testNode(t)
	if err := n.writeFiles("/usr/lib/cni", 16443); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"kubelet.yaml", "kube-proxy.yaml", "audit.yaml", "kubeconfig",
		"kubelet.kubeconfig", "cni/10-popservice.conflist"} {
		data, err := os.ReadFile(n.path(file))
		if err != nil {
			t.Fatal(err)
		}
		var content map[string]any
		if err := yaml.UnmarshalStrict(data, &content); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, secret := range []string{"kubeconfig", "pki/ca.key", "pki/service-accounts.key"} {
		info, err := os.Stat(n.path(secret))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", secret, info.Mode())
		}
	}
}

func TestEveryComponentIsStopped(t *testing.T) {
	n := testNode(t)
	started := []string{forwarder}
	for _, c := range append(n.foundation(1), n.workers()...) {
		started = append(started, c.name)
	}
	stopped := slices.Sorted(slices.Values(stopOrder))
	slices.Sort(started)
	if diff := cmp.Diff(started, stopped); diff != "" {
		t.Errorf("started (-) and stopped (+) differ:\n%s", diff)
	}
}

func TestMountsBelow(t *testing.T) {
	mountinfo := `1 0 8:1 / / rw - ext4 /dev/sda rw
2 1 8:1 /x /state/popservice/kubelet rw - ext4 /dev/sda rw
3 1 8:1 /x /state/popservice-two/kubelet rw - ext4 /dev/sda rw
4 2 0:5 / /state/popservice/kubelet/a\040b rw shared:1 - tmpfs none rw
`
	want := []string{"/state/popservice/kubelet", "/state/popservice/kubelet/a b"}
	if diff := cmp.Diff(want, mountsBelow(mountinfo, "/state/popservice")); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}

func TestVolumesHaveNamesAndFoldersOfTheirOwn(t *testing.T) {
	n := testNode(t)
	seen := map[string]bool{}
	for _, v := range n.volumes() {
		if seen[v.Name] || seen[v.Path] {
			t.Errorf("%s in %s is there twice", v.Name, v.Path)
		}
		seen[v.Name], seen[v.Path] = true, true
		manifest, err := render("volume.yaml", v)
		if err != nil {
			t.Fatal(err)
		}
		var content map[string]any
		if err := yaml.UnmarshalStrict(manifest, &content); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

func TestVolumePhases(t *testing.T) {
	list := `{"items":[{"metadata":{"name":"a"},"status":{"phase":"Released"}},{"metadata":{"name":"b"},"status":{}}]}`
	got, err := volumePhases([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "Released", "b": ""}, got); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestParseImages(t *testing.T) {
	got, err := ParseImages([]string{"popservice/manager:dev=bin/manager", "a=b=c"})
	want := []ImageBinary{{"popservice/manager:dev", "bin/manager"}, {"a", "b=c"}}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("ParseImages = %v, %v, want %v", got, err, want)
	}
	for _, args := range [][]string{nil, {"image"}, {"=bin"}, {"image="}} {
		if _, err := ParseImages(args); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

func TestExecEnvironmentReplacesTheCallersCluster(t *testing.T) {
	n := testNode(t)
	got := n.execEnvironment([]string{"HOME=/h", "KUBECONFIG=/elsewhere", "KUBECONFIGS=kept"})
	want := []string{"HOME=/h", "KUBECONFIGS=kept", "KUBECONFIG=" + n.Kubeconfig(),
		"CONTAINERD_ADDRESS=" + n.containerdSocket(), "CONTAINERD_NAMESPACE=k8s.io",
		"POPSERVICE_AUDIT_LOG=" + n.auditLog()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestSocketPathsFitTheKernelsLimit(t *testing.T) {
	n := testNode(t)
	n.dir = filepath.Join(defaultState, strings.Repeat("x", 20))
	for _, socket := range []string{n.containerdSocket() + ".ttrpc", n.path("kubelet/pod-resources/kubelet.sock")} {
		if len(socket) >= 108 {
			t.Errorf("%s has %d octets", socket, len(socket))
		}
	}
}

func TestTornRecordReadsAsNone(t *testing.T) {
	n := testNode(t)
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.recordFile(), []byte(`{"port":1,"proc`), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := n.readRecord()
	if err != nil || len(r.Processes) != 0 || len(r.dead()) != len(stopOrder) {
		t.Errorf("record %+v, error %v", r, err)
	}
}

func TestJoinPassesHalfClosedConnections(t *testing.T) {
	server, client := listenLocal(t), listenLocal(t)
	go func() { // answers only when the client has said all
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		question, _ := io.ReadAll(conn)
		_, _ = conn.Write(append([]byte("answer to "), question...))
	}()
	go func() {
		conn, err := client.Accept()
		if err == nil {
			join(conn.(*net.TCPConn), server.Addr().String())
		}
	}()
	conn, err := net.Dial("tcp", client.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("question"))
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "answer to question" {
		t.Errorf("got %q, %v", got, err)
	}
}

func listenLocal(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
