// Schemagen turns the Go types of the gateway's records into the schemas of docs/schema/v1, frames of one edition aside:
// those are made of the codec's tables by codec/internal/specgen.
//
//	go run ./schemagen          write v1/*.json
//	go run ./schemagen -check   fail when one of them is stale
//
// It runs in the folder docs/schema; `go generate ./docs/schema` calls it. It reads the source, not the running types: so
// it sees what is not exported, the constants of a type, and the comments, which become descriptions.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "write nothing, fail when a generated file is stale")
	flag.Parse()
	if err := run(filepath.Join("..", ".."), "v1", *check); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

// run generates the files in dir from the module in root.
func run(root, dir string, check bool) error {
	files, err := generate(&source{root: root})
	if err != nil {
		return err
	}
	for name, want := range files {
		path := filepath.Join(dir, name)
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if bytes.Equal(have, want) {
			continue
		}
		if check {
			return fmt.Errorf("%s is stale: run go generate ./docs/schema", path)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files by their names.
func generate(src *source) (map[string][]byte, error) {
	files := map[string][]byte{}
	add := func(name string, s *schema) error {
		text, err := s.encode(name)
		files[name+".json"] = text
		return err
	}
	common, err := commonSchema(src)
	if err != nil {
		return nil, fmt.Errorf("common: %w", err)
	}
	if err := add("common", common); err != nil {
		return nil, err
	}
	frame, err := frameSchema(src)
	if err != nil {
		return nil, fmt.Errorf("frame: %w", err)
	}
	if err := add("frame", frame); err != nil {
		return nil, err
	}
	for _, r := range records {
		s, err := r.schema(src, common.Defs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		if err := add(r.name, s); err != nil {
			return nil, err
		}
	}
	return files, nil
}
