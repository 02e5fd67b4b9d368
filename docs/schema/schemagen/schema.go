package main

import (
	"bytes"
	"encoding/json"
)

// base begins the ids. They need not be fetched: they only name the schemas.
const base = "https://tboxgate.github.io/schema/v1/"

// schema is a JSON Schema (2020-12), its keywords in the order in which they are written.
type schema struct {
	Dialect       string              `json:"$schema,omitempty"`
	ID            string              `json:"$id,omitempty"`
	Comment       string              `json:"$comment,omitempty"`
	Title         string              `json:"title,omitempty"`
	Description   string              `json:"description,omitempty"`
	Ref           string              `json:"$ref,omitempty"`
	Type          any                 `json:"type,omitempty"` // string or []string
	Const         any                 `json:"const,omitempty"`
	Enum          []any               `json:"enum,omitempty"`
	Pattern       string              `json:"pattern,omitempty"`
	MinLength     int                 `json:"minLength,omitempty"`
	Encoding      string              `json:"contentEncoding,omitempty"`
	Minimum       *int64              `json:"minimum,omitempty"`
	Maximum       *int64              `json:"maximum,omitempty"`
	Items         *schema             `json:"items,omitempty"`
	AllOf         []*schema           `json:"allOf,omitempty"`
	AnyOf         []*schema           `json:"anyOf,omitempty"`
	OneOf         []*schema           `json:"oneOf,omitempty"`
	If            *schema             `json:"if,omitempty"`
	Then          *schema             `json:"then,omitempty"`
	Else          *schema             `json:"else,omitempty"`
	Required      []string            `json:"required,omitempty"`
	Properties    properties          `json:"properties,omitempty"`
	DependentReqs map[string][]string `json:"dependentRequired,omitempty"`
	Additional    *bool               `json:"additionalProperties,omitempty"`
	Unevaluated   *bool               `json:"unevaluatedProperties,omitempty"`
	Defs          properties          `json:"$defs,omitempty"`
}

// closed is the value of additionalProperties and unevaluatedProperties.
var closed = new(bool)

// encode writes the schema as the file of this name.
func (s *schema) encode(name string) ([]byte, error) {
	s.Dialect, s.ID = "https://json-schema.org/draft/2020-12/schema", base+name+".json"
	text, err := plain(s)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", " "); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// properties are schemas by key, in the order of the Go fields.
type properties []property

type property struct {
	key string
	*schema
}

// has reports whether there is a property of this key.
func (p properties) has(key string) bool {
	for _, e := range p {
		if e.key == key {
			return true
		}
	}
	return false
}

// MarshalJSON writes them as one object.
func (p properties) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, e := range p {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := plain(e.key)
		if err != nil {
			return nil, err
		}
		value, err := plain(e.schema)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, bytes.TrimSpace(key)...), ':'), bytes.TrimSpace(value)...)
	}
	return append(b, '}'), nil
}

// plain is JSON with <, > and & as they are.
func plain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
