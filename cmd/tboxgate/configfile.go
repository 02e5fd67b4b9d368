package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile reads the YAML file over the defaults. The file's tree is walked by hand, because every message names the
// file, the line and the key.
func (l *configLoader) readFile(c *Config) error {
	f, err := os.Open(l.src.file)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	defer func() { _ = f.Close() }()
	d := yaml.NewDecoder(f)
	var doc, second yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // an empty file sets nothing
	case err != nil:
		return l.syntaxError(err)
	}
	switch err := d.Decode(&second); {
	case err == nil:
		return &ConfigError{Origin: l.at(second.Content[0]), Problem: "only one YAML document is allowed"}
	case !errors.Is(err, io.EOF):
		return l.syntaxError(err)
	}
	l.read(doc.Content[0], reflect.ValueOf(c).Elem(), setting{}, "")
	return nil
}

// syntaxError turns "yaml: line 7: did not find …" into our form.
func (l *configLoader) syntaxError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if line, problem, ok := strings.Cut(rest, ": "); ok {
			return &ConfigError{Origin: l.src.file + ":" + line, Problem: "not YAML: " + problem}
		}
	}
	return &ConfigError{Origin: l.src.file, Problem: "not YAML: " + text}
}

func (l *configLoader) at(n *yaml.Node) string { return l.src.file + ":" + strconv.Itoa(n.Line) }

func (l *configLoader) read(n *yaml.Node, v reflect.Value, s setting, path string) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if path != "" {
		l.from[path] = l.at(n)
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // "nats:" with nothing under it sets nothing
	}
	switch {
	case isScalar(v.Type()):
		if n.Kind != yaml.ScalarNode {
			l.fail(l.at(n), path, "one value is wanted here, not %s", kindName(n))
			return
		}
		l.setText(v, s, n.Value, l.at(n), path)
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			l.fail(l.at(n), path, "a list is wanted here, not %s", kindName(n))
			return
		}
		v.SetZero()
		if len(n.Content) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		}
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if !isScalar(v.Type().Elem()) {
				l.setDefaults(v.Index(i), at)
			}
			l.read(item, v.Index(i), s, at)
		}
	default:
		l.readSection(n, v, path)
	}
}

func (l *configLoader) readSection(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		l.fail(l.at(n), path, "keys are wanted here, not %s", kindName(n))
		return
	}
	known := settings(v.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if line, ok := seen[key.Value]; ok {
			l.fail(l.at(key), "", "key %q is there twice, first on line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		found := false
		for _, s := range known {
			if s.key == key.Value {
				found = true
				l.read(value, v.FieldByIndex(s.Index), s, join(path, s.key))
			}
		}
		if !found {
			l.unknownKey(key, known, path)
		}
	}
}

// unknownKey names the key, where it stands and what may have been meant.
func (l *configLoader) unknownKey(key *yaml.Node, known []setting, path string) {
	problem := fmt.Sprintf("unknown key %q", key.Value)
	if path != "" {
		problem += " in " + path
	}
	names := make([]string, len(known))
	for i, s := range known {
		names[i] = s.key
	}
	problem += didYouMean(key.Value, names)
	l.fail(l.at(key), "", "%s", problem)
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys"
	case yaml.SequenceNode:
		return "a list"
	default:
		return fmt.Sprintf("the value %q", n.Value)
	}
}
