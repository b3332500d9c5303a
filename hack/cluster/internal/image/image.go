// Package image makes container images of static programs without a container registry.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// user is who the program runs as unless its pod says otherwise: nonroot of the distroless images.
const user = "65532:65532"

// Image is an image under its name.
type Image struct {
	tag name.Tag
	img v1.Image
}

// FromBinary makes an image of one layer that holds one static program as its entrypoint. The same program gives the
// same digest.
func FromBinary(reference, binary string) (*Image, error) {
	tag, err := name.NewTag(reference)
	if err != nil {
		return nil, fmt.Errorf("name of the image: %w", err)
	}
	data, err := layer(binary)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", binary, err)
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	// Stored as it is: containerd unpacks the layer at once on the same machine.
	content, err := tarball.LayerFromOpener(opener, tarball.WithCompressionLevel(0))
	if err != nil {
		return nil, fmt.Errorf("making the layer of %s: %w", reference, err)
	}
	img, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		return nil, fmt.Errorf("making the image %s: %w", reference, err)
	}
	if img, err = configure(img, "/"+filepath.Base(binary)); err != nil {
		return nil, fmt.Errorf("configuring the image %s: %w", reference, err)
	}
	return &Image{tag: tag, img: img}, nil
}

func configure(img v1.Image, entrypoint string) (v1.Image, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Entrypoint: []string{entrypoint}, User: user}
	return mutate.ConfigFile(img, config)
}

// layer is a tar archive with the program at its root. Times are left at zero, so that only the content counts.
func layer(binary string) ([]byte, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.Base(binary), Mode: 0o755, Size: int64(len(content))}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	err = w.Close()
	return archive.Bytes(), err
}

// Reference is the image's full name, as containerd lists it.
func (i *Image) Reference() string {
	return strings.Replace(i.tag.Name(), name.DefaultRegistry+"/", "docker.io/", 1)
}

// Digest names the image's content, as "sha256:…".
func (i *Image) Digest() (string, error) {
	digest, err := i.img.Digest()
	if err != nil {
		return "", fmt.Errorf("hashing the image %s: %w", i.tag, err)
	}
	return digest.String(), nil
}

// WriteFile saves the image as an archive that `ctr images import` and `docker load` read.
func (i *Image) WriteFile(path string) error {
	if err := tarball.WriteToFile(path, i.tag, i.img); err != nil {
		return fmt.Errorf("saving the image %s: %w", i.tag, err)
	}
	return nil
}
