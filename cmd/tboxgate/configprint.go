package main

import (
	"encoding"
	"fmt"
	"io"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// printConfig writes the configuration as a YAML file that reads back to the same one, secrets masked.
func printConfig(w io.Writer, c *Config) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(configNode(reflect.ValueOf(c).Elem())); err != nil {
		return err
	}
	return e.Close()
}

func configNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range settings(v.Type()) {
		f := v.FieldByIndex(s.Index)
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
