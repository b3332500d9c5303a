package main

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/popservice/popservice/pop3server/directory"
)

//go:embed pop3d.yaml.tmpl
var pop3dTemplate string

// newPop3d lays out the files of pop3d.
func newPop3d(house, binary string, tls pair) (*server, error) {
	dir := filepath.Join(house, "ours")
	if err := os.MkdirAll(filepath.Join(dir, "directory"), 0o700); err != nil {
		return nil, err
	}
	free, err := freePorts()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "config.yaml")
	if err := render(file, pop3dTemplate, place{ports: free, pair: tls, Dir: dir}); err != nil {
		return nil, err
	}
	version, err := exec.Command(binary, "version").Output()
	return &server{
		name: "pop3d", version: strings.TrimSpace(string(version)), dir: dir, ports: free,
		log:  filepath.Join(dir, "log"),
		argv: []string{binary, "serve", "--config", file},
	}, err
}

// writeDirectory declares mailboxes to pop3d.
func writeDirectory(dir string, boxes []box) error {
	buckets := make(map[int][]directory.Record)
	for _, b := range boxes {
		r := directory.Record{
			ID: b.id(), Address: b.address(), Owner: owner, State: directory.Enabled,
			Credentials: []directory.Credential{{Name: "default", Verifier: b.verifier()}},
		}
		bucket := directory.Bucket(r.ID)
		buckets[bucket] = append(buckets[bucket], r)
	}
	for bucket, records := range buckets {
		header := directory.Header{
			Version: directory.Version, Bucket: directory.BucketName(bucket), Revision: time.Now().UnixMilli(),
		}
		text, err := directory.Encode(header, records)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "directory", directory.BucketFile(bucket)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
