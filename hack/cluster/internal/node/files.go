//go:build linux

package node

import (
	"bytes"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/template"

	"github.com/popservice/popservice/hack/cluster/internal/pki"
)

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").Option("missingkey=error").ParseFS(templateFiles, "templates/*.tmpl"))

func render(name string, data any) ([]byte, error) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name+".tmpl", data); err != nil {
		return nil, fmt.Errorf("filling in %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// settings is what the templates of the components fill in.
type settings struct {
	Dir, ContainerdSocket, PauseImage, CNIPlugins, CNINetwork string
	CgroupRoot, PodCIDR, NodeName, NodeIP, StorageClass       string
}

func (n *Node) settings(cniPlugins string) settings {
	return settings{
		Dir: n.dir, ContainerdSocket: n.containerdSocket(), PauseImage: pauseImage, CNIPlugins: cniPlugins,
		CNINetwork: n.cniNetwork(), CgroupRoot: n.cgroup.Path(), PodCIDR: podCIDR, NodeName: nodeName, NodeIP: nodeIP,
		StorageClass: storageClass,
	}
}

// folders are made before anything starts. The containerd folder holds sockets that give root to who can open them.
var folders = []string{"", "logs/pods", "pki", "cni", "containerd", "kubelet", "volumes", "images", "bin"}

func (n *Node) writeFiles(cniPlugins string, port int) error {
	if err := n.setLogsAside(); err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.MkdirAll(n.path(folder), 0o755); err != nil {
			return fmt.Errorf("making the cluster's folders: %w", err)
		}
	}
	for template, file := range map[string]string{
		"containerd.toml": "containerd.toml",
		"cni.conflist":    "cni/10-popservice.conflist",
		"kubelet.yaml":    "kubelet.yaml",
		"kube-proxy.yaml": "kube-proxy.yaml",
		"audit.yaml":      "audit.yaml",
	} {
		data, err := render(template, n.settings(cniPlugins))
		if err != nil {
			return err
		}
		if err := os.WriteFile(n.path(file), data, 0o644); err != nil {
			return fmt.Errorf("writing the configuration: %w", err)
		}
	}
	if err := os.WriteFile(n.path("resolv.conf"), nil, 0o644); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return n.writeCredentials(port)
}

// setLogsAside keeps the logs of the last start apart from those of this one, the audit log above all.
func (n *Node) setLogsAside() error {
	aside := n.path("logs-before")
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("removing old logs: %w", err)
	}
	if err := os.Rename(n.path("logs"), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("setting the logs of the last start aside: %w", err)
	}
	return nil
}

// servers and clients of the cluster. The names and groups are those that Kubernetes' built-in roles are bound to.
var (
	servers = map[string]pki.Leaf{
		"apiserver": {CommonName: "kube-apiserver", Hosts: []string{"127.0.0.1", "localhost", nodeIP, serviceIP,
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		"kubelet":           {CommonName: "system:node:" + nodeName, Hosts: []string{nodeIP, nodeName}},
		"apiserver-kubelet": {CommonName: "kube-apiserver-kubelet-client", Organization: "system:masters"},
	}
	clients = map[string]pki.Leaf{
		"kubeconfig":                         {CommonName: "cluster-admin", Organization: "system:masters"},
		"kubelet.kubeconfig":                 {CommonName: "system:node:" + nodeName, Organization: "system:nodes"},
		"kube-controller-manager.kubeconfig": {CommonName: "system:kube-controller-manager"},
		"kube-scheduler.kubeconfig":          {CommonName: "system:kube-scheduler"},
		"kube-proxy.kubeconfig":              {CommonName: "system:kube-proxy"},
	}
)

func (n *Node) writeCredentials(port int) error {
	authority, err := pki.NewAuthority("popservice-cluster-" + n.name)
	if err != nil {
		return err
	}
	signing, err := pki.NewSigningKey()
	if err != nil {
		return err
	}
	pairs := map[string]pki.Pair{"ca": authority.Pair, "service-accounts": signing}
	for name, leaf := range servers {
		if pairs[name], err = authority.Issue(leaf); err != nil {
			return err
		}
	}
	for name, pair := range pairs {
		if err := n.writePair(name, pair); err != nil {
			return err
		}
	}
	for file, leaf := range clients {
		if err := n.writeKubeconfig(authority, port, file, leaf); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) writePair(name string, pair pki.Pair) error {
	if err := os.WriteFile(n.path("pki", name+".crt"), pair.Certificate, 0o644); err != nil {
		return fmt.Errorf("writing a certificate: %w", err)
	}
	if err := os.WriteFile(n.path("pki", name+".key"), pair.Key, 0o600); err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	return nil
}

func (n *Node) writeKubeconfig(authority *pki.Authority, port int, file string, leaf pki.Leaf) error {
	pair, err := authority.Issue(leaf)
	if err != nil {
		return err
	}
	encode := base64.StdEncoding.EncodeToString
	data, err := render("kubeconfig", map[string]string{
		"Cluster": n.cniNetwork(), "User": leaf.CommonName,
		"Server":    fmt.Sprintf("https://127.0.0.1:%d", port),
		"Authority": encode(authority.Certificate), "Certificate": encode(pair.Certificate), "Key": encode(pair.Key),
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(n.path(file), data, 0o600); err != nil {
		return fmt.Errorf("writing the configuration of a client: %w", err)
	}
	return nil
}
