// Specgen turns the tables of codec/spec into Go code and documentation.
//
//	go run ./internal/specgen          write codec/zz_*.go, docs/protocol-*.md, docs/schema/v1/frame-*.json and docs/wireshark/gbt32960.lua
//	go run ./internal/specgen -check   fail when one of them is stale
//
// It runs in the folder codec; `go generate ./codec` calls it.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "write nothing, fail when a generated file is stale")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "specgen:", err)
		os.Exit(1)
	}
}

// run generates the files of the codec in folder dir.
func run(dir string, check bool) error {
	files, err := generate(dir)
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
			return fmt.Errorf("%s is stale: run go generate ./codec", path)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// editions are the editions with a table, in the order in which shared types are looked up.
var editions = []string{"2016", "2025"}

// generate returns the contents of all generated files by their path under dir.
func generate(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	var tables []*table
	for _, e := range editions {
		t, err := load(filepath.Join(dir, "spec", e+".yaml"))
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	if err := link(tables); err != nil {
		return nil, err
	}
	for _, t := range tables {
		e := fmt.Sprint(t.Edition)
		for name, write := range map[string]func(*table) string{
			"zz_types" + e + ".go":  typesFile,
			"zz_decode" + e + ".go": decodeFile,
			"zz_append" + e + ".go": appendFile,
			"zz_json" + e + ".go":   jsonFile,
			"zz_parse" + e + ".go":  parseFile,
			"zz_values" + e + ".go": valuesFile,
			"zz_fields" + e + ".go": fieldsFile,
		} {
			src, err := format.Source([]byte(write(t)))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			files[name] = src
		}
		files[filepath.Join("..", "docs", "protocol-"+e+".md")] = []byte(docsFile(t))
		schema, err := schemaFile(t)
		if err != nil {
			return nil, err
		}
		files[filepath.Join("..", "docs", "schema", fmt.Sprintf("v%d", schemaVersion), "frame-"+e+".json")] = schema
	}
	files[filepath.Join("..", "docs", "wireshark", "gbt32960.lua")] = []byte(wiresharkFile(tables))
	return files, nil
}
