//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/popservice/popservice/hack/cluster/internal/image"
	"github.com/popservice/popservice/hack/cluster/internal/progress"
)

// Load makes an image of each static program and gives it to the node. It returns the images' digests in order.
func (n *Node) Load(ctx context.Context, images []ImageBinary) ([]string, error) {
	unlock, err := n.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := n.check(ctx); err != nil {
		return nil, fmt.Errorf("the cluster is not up: %w. Run `up` first", err)
	}
	var digests []string
	for _, i := range images {
		digest, err := n.load(ctx, i)
		if err != nil {
			return nil, err
		}
		digests = append(digests, digest)
	}
	return digests, nil
}

// ImageBinary is an image's name and the program that it holds.
type ImageBinary struct {
	Name, Binary string
}

// load imports an image unless the node has it already.
func (n *Node) load(ctx context.Context, i ImageBinary) (string, error) {
	img, err := image.FromBinary(i.Name, i.Binary)
	if err != nil {
		return "", err
	}
	digest, err := img.Digest()
	if err != nil {
		return "", err
	}
	if n.hasImage(ctx, img.Reference(), digest) {
		return digest, nil
	}
	step := progress.Start(n.out, "loading %s", i.Name)
	err = n.importImage(ctx, img, digest)
	step.End(err)
	return digest, err
}

// hasImage compares with what was imported last under the name: importing writes a manifest of its own, so that
// containerd knows the image under another digest.
func (n *Node) hasImage(ctx context.Context, reference, digest string) bool {
	imported, err := os.ReadFile(n.importedFile(reference))
	if err != nil || string(imported) != digest {
		return false
	}
	listed, err := output(n.ctr(ctx, "images", "list", "--quiet", "name=="+reference))
	return err == nil && strings.TrimSpace(listed) == reference
}

// importedFile notes which digest a reference had when it was imported.
func (n *Node) importedFile(reference string) string {
	return n.path("images", strings.NewReplacer("/", "_", ":", "_").Replace(reference))
}

func (n *Node) importImage(ctx context.Context, img *image.Image, digest string) error {
	archive := n.path("images", "import.tar")
	defer os.Remove(archive)
	if err := img.WriteFile(archive); err != nil {
		return err
	}
	if _, err := output(n.ctr(ctx, "images", "import", archive)); err != nil {
		return fmt.Errorf("importing %s: %w", img.Reference(), err)
	}
	if err := os.WriteFile(n.importedFile(img.Reference()), []byte(digest), 0o644); err != nil {
		return fmt.Errorf("noting the image %s: %w", img.Reference(), err)
	}
	return nil
}

// ctr talks to the containerd of the node, in the namespace of the kubelet's images.
func (n *Node) ctr(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"--address", n.containerdSocket(), "--namespace", "k8s.io"}, args...)
	return exec.CommandContext(ctx, filepath.Join(n.cache.Bin(), "ctr"), args...)
}

// loadPause builds and imports the image of pods' sandboxes.
func (n *Node) loadPause(ctx context.Context) error {
	program := n.path("bin", "pause")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program,
		"github.com/popservice/popservice/hack/cluster/pause")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if _, err := output(build); err != nil {
		return fmt.Errorf("building the pause program: %w", err)
	}
	_, err := n.load(ctx, ImageBinary{Name: pauseImage, Binary: program})
	return err
}

// containerdReady tells whether containerd answers.
func (n *Node) containerdReady(ctx context.Context) error {
	_, err := output(n.ctr(ctx, "version"))
	return err
}

// ParseImages reads arguments of the form IMAGE=BINARY.
func ParseImages(args []string) ([]ImageBinary, error) {
	if len(args) == 0 {
		return nil, errors.New("load needs at least one IMAGE=BINARY, such as popservice/manager:dev=bin/manager")
	}
	var images []ImageBinary
	for _, arg := range args {
		name, binary, found := strings.Cut(arg, "=")
		if !found || name == "" || binary == "" {
			return nil, fmt.Errorf("%q: want IMAGE=BINARY, such as popservice/manager:dev=bin/manager", arg)
		}
		images = append(images, ImageBinary{Name: name, Binary: binary})
	}
	return images, nil
}
