package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// printConfig writes the configuration as a YAML file that reads back to the same one. Secrets are masked, and the file
// says so.
func printConfig(w io.Writer, c *Config) error {
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(configNode(reflect.ValueOf(c).Elem())), e.Close()); err != nil {
		return err
	}
	if bytes.Contains(text.Bytes(), []byte(masked)) {
		if _, err := fmt.Fprintf(w, "# Secrets are not printed: put them in where %s stands before you use this file.\n", masked); err != nil {
			return err
		}
	}
	_, err := w.Write(text.Bytes())
	return err
}

func configNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	kind := ""
	for _, s := range settings(v.Type()) {
		f := v.FieldByIndex(s.Index)
		if s.key == "type" {
			kind = f.String()
		}
		if types := s.Tag.Get("for"); types != "" && !slices.Contains(strings.Split(types, "|"), kind) {
			continue // a setting of elements of another type
		}
		var value *yaml.Node
		switch {
		case isScalar(s.Type):
			value = scalarNode(f, s.Tag.Get("secret") != "")
		case s.Type.Kind() == reflect.Slice:
			value = &yaml.Node{Kind: yaml.SequenceNode}
			for i := range f.Len() {
				if isScalar(s.Type.Elem()) {
					value.Content = append(value.Content, scalarNode(f.Index(i), false))
				} else {
					value.Content = append(value.Content, configNode(f.Index(i)))
				}
			}
			if f.Len() == 0 {
				value.Style = yaml.FlowStyle
			}
		default:
			value = configNode(f)
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: s.key}, value)
	}
	return n
}

func scalarNode(v reflect.Value, secret bool) *yaml.Node {
	text := valueText(v)
	if secret && text != "" {
		text = masked
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if v.Kind() == reflect.String || v.Kind() == reflect.Struct {
		n.Tag = "!!str" // quoted where YAML would read something else
	}
	return n
}

// valueText writes a value as the file has it. An AccessKey writes itself without its secret.
func valueText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			panic(fmt.Sprintf("config: %T: %v", x, err)) // none of ours fails
		}
		return string(text)
	case time.Duration:
		return shortDuration(x)
	default:
		return fmt.Sprint(x)
	}
}

// shortDuration writes 5m0s as 5m.
func shortDuration(d time.Duration) string {
	switch {
	case d == 0:
		return "0s"
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return d.String()
	}
}
