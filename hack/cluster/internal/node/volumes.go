//go:build linux

package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// pool is the number of volumes by declared size. Nothing enforces the size: each is a folder.
var pool = []struct {
	size  string
	count int
}{{"1Gi", 48}, {"5Gi", 6}, {"20Gi", 2}}

// A volume is what the template of a PersistentVolume fills in.
type volume struct {
	Name, Size, Path, StorageClass, NodeName string
}

func (n *Node) volumes() []volume {
	var volumes []volume
	for _, p := range pool {
		for range p.count {
			name := fmt.Sprintf("local-%02d", len(volumes)+1)
			volumes = append(volumes, volume{Name: name, Size: p.size, Path: n.path("volumes", name),
				StorageClass: storageClass, NodeName: nodeName})
		}
	}
	return volumes
}

// offerVolumes makes the storage class, and the volumes of the pool that are missing or released.
func (n *Node) offerVolumes(ctx context.Context) error {
	manifest, err := render("storageclass.yaml", n.settings(""))
	if err != nil {
		return err
	}
	if err := n.apply(ctx, manifest); err != nil {
		return fmt.Errorf("making the storage class: %w", err)
	}
	return n.recycle(ctx)
}

// addVolumes makes each volume's folder empty before it can be claimed.
func (n *Node) addVolumes(ctx context.Context, volumes []volume) error {
	var manifests []byte
	for _, v := range volumes {
		// A new folder, so that owner and mode are as at first: fsGroup changes them.
		if err := errors.Join(os.RemoveAll(v.Path), os.Mkdir(v.Path, 0o755)); err != nil {
			return fmt.Errorf("emptying volume %s: %w", v.Name, err)
		}
		manifest, err := render("volume.yaml", v)
		if err != nil {
			return err
		}
		manifests = append(manifests, manifest...)
	}
	if err := n.apply(ctx, manifests); err != nil {
		return fmt.Errorf("making volumes: %w", err)
	}
	return nil
}

func (n *Node) apply(ctx context.Context, manifests []byte) error {
	cmd := n.kubectl(ctx, "apply", "--server-side", "--field-manager=popservice-cluster", "-f", "-")
	cmd.Stdin = bytes.NewReader(manifests)
	_, err := output(cmd)
	return err
}

// Recycle makes volumes whose claims were deleted available again. Their content is lost.
func (n *Node) Recycle(ctx context.Context) error {
	unlock, err := n.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := n.check(ctx); err != nil {
		return fmt.Errorf("the cluster is not up: %w. Run `up` first", err)
	}
	return n.recycle(ctx)
}

// recycle deletes and makes anew, for a PersistentVolume that was bound keeps the data of its claim.
func (n *Node) recycle(ctx context.Context) error {
	listed, err := output(n.kubectl(ctx, "get", "persistentvolumes", "-o", "json"))
	if err != nil {
		return fmt.Errorf("listing volumes: %w", err)
	}
	phases, err := volumePhases([]byte(listed))
	if err != nil {
		return err
	}
	var free []volume
	for _, v := range n.volumes() {
		phase, exists := phases[v.Name]
		if exists && phase != "Released" && phase != "Failed" {
			continue
		}
		if exists {
			if _, err := output(n.kubectl(ctx, "delete", "persistentvolume", v.Name, "--timeout=30s")); err != nil {
				return fmt.Errorf("deleting a released volume: %w", err)
			}
		}
		free = append(free, v)
	}
	if len(free) == 0 {
		return nil
	}
	return n.addVolumes(ctx, free)
}

// volumePhases takes names and phases out of a PersistentVolumeList.
func volumePhases(list []byte) (map[string]string, error) {
	var volumes struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct{ Phase string }
		}
	}
	if err := json.Unmarshal(list, &volumes); err != nil {
		return nil, fmt.Errorf("reading the list of volumes: %w", err)
	}
	phases := make(map[string]string, len(volumes.Items))
	for _, v := range volumes.Items {
		phases[v.Metadata.Name] = v.Status.Phase
	}
	return phases, nil
}
