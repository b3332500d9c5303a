//go:build linux

package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/popservice/popservice/hack/cluster/internal/process"
)

// A record tells later runs what an earlier one started. It is written before the first process starts and after each
// one, so that it is right whenever a run is cut off.
type record struct {
	Port      int                         `json:"port"`
	Programs  string                      `json:"programs"` // the folder of links, whose name says all versions
	Processes map[string]process.Identity `json:"processes"`
}

func (n *Node) recordFile() string { return n.path("cluster.json") }

// readRecord returns an empty record when there is none, or only a torn one: cleaning finds what runs in other ways
// too.
func (n *Node) readRecord() (record, error) {
	var r record
	data, err := os.ReadFile(n.recordFile())
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("reading what runs: %w", err)
	}
	if json.Unmarshal(data, &r) != nil {
		r = record{}
	}
	return r, nil
}

func (n *Node) writeRecord(r record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("noting what runs: %w", err)
	}
	unfinished := n.recordFile() + ".unfinished"
	if err := os.WriteFile(unfinished, data, 0o644); err != nil {
		return fmt.Errorf("noting what runs: %w", err)
	}
	return os.Rename(unfinished, n.recordFile())
}

// dead returns the components that were started and have ended.
func (r record) dead() []string {
	var names []string
	for _, name := range stopOrder {
		if id, started := r.Processes[name]; !started || !id.Alive() {
			names = append(names, name)
		}
	}
	return names
}
