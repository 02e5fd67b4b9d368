package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
)

// A field becomes a property by its tag json and its type; an option like omitempty says that the key may be missing. What the type does
// not say, the tag schema does, a list with commas:
//
//	utc, hex, …     the part of common.json with this name
//	frame           frame.json
//	min=1  max=9    limits of a number
//	minLength=1     of a text
//	enum=A|b.B      the constants of these types
//	or=0            one number more
//	const=text      always this text
//	frameSize       limits of a frame's length
//	downlink        the commands that are sent to vehicles, by name or, in a codec.Command, number
//
// The comment above a field, or else the one beside it, is the description; the comments of an enum's constants follow it.

// object is what a struct contributes to a schema.
type object struct {
	properties properties
	required   []string
	vin        bool // the keys vin and vinHex, of which one is there
}

// fields adds the fields of a struct in p.
func (o *object) fields(src *source, p *pkg, name string, parts properties) error {
	d, ok := p.types[name]
	if !ok {
		return fmt.Errorf("package %s has no type %s", p.dir, name)
	}
	st, ok := d.expr.(*ast.StructType)
	if !ok {
		return fmt.Errorf("%s.%s is no struct", p.dir, name)
	}
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			if len(f.Names) == 1 && !f.Names[0].IsExported() {
				continue
			}
			return fmt.Errorf("%s.%s: a field without a tag", p.dir, name)
		}
		tagText, err := strconv.Unquote(f.Tag.Value)
		if err != nil {
			return err
		}
		tag := reflect.StructTag(tagText)
		key, options, _ := strings.Cut(tag.Get("json"), ",")
		if key == "-" {
			continue
		}
		if key == "" || len(f.Names) != 1 {
			return fmt.Errorf("%s.%s: a field without a key", p.dir, name)
		}
		if o.properties.has(key) {
			return fmt.Errorf("%s.%s: key %s twice", p.dir, name, key)
		}
		optional := options == "omitempty" || options == "omitzero"
		if types.ExprString(f.Type) == "codec.VIN" {
			o.vin = true
			continue
		}
		b := builder{src: src, pkg: p, imports: d.imports, parts: parts, optional: optional}
		s, err := b.of(f.Type, tag.Get("schema"))
		if err != nil {
			return fmt.Errorf("%s.%s: key %s: %w", p.dir, name, key, err)
		}
		if doc := text(f.Doc, f.Comment); doc != "" {
			s.Description = strings.TrimSuffix(doc+"; "+s.Description, "; ")
		}
		o.properties = append(o.properties, property{key, s})
		if !optional {
			o.required = append(o.required, key)
		}
	}
	return nil
}

// builder makes the schema of one field.
type builder struct {
	src      *source
	pkg      *pkg
	imports  map[string]string
	parts    properties // of common.json
	optional bool
}

// of is the schema of a type with the options of a tag.
func (b *builder) of(t ast.Expr, tag string) (*schema, error) {
	s := &schema{}
	for option := range strings.SplitSeq(tag, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch {
		case option == "":
		case option == "frame":
			s.Ref = "frame.json"
		case option == "downlink":
			s.Enum = downlink(types.ExprString(t) == "string")
		case option == "frameSize":
			low, high := int64(codec.MinFrameSize), int64(codec.MaxFrameSize)
			s.Minimum, s.Maximum = &low, &high
		case b.parts.has(option):
			s.Ref = "common.json#/$defs/" + option
		case name == "enum":
			for _, of := range strings.Split(value, "|") {
				if err := b.constants(s, of); err != nil {
					return nil, err
				}
			}
		case name == "const":
			s.Const = value
		case name == "or":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("option %s: %w", option, err)
			}
			s.Enum = append(s.Enum, n)
		case name == "min" || name == "max" || name == "minLength":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("option %s: %w", option, err)
			}
			switch name {
			case "min":
				s.Minimum = &n
			case "max":
				s.Maximum = &n
			default:
				s.MinLength = int(n)
			}
		default:
			return nil, fmt.Errorf("no option %q of the tag schema", option)
		}
	}
	if s.Ref != "" || s.Enum != nil || s.Const != nil {
		return s, nil
	}
	return s, b.byType(s, t)
}

// byType fills in what the type says.
func (b *builder) byType(s *schema, t ast.Expr) error {
	name := types.ExprString(t)
	switch name {
	case "string":
		s.Type = "string"
	case "bool":
		if b.optional {
			s.Const = true // false is left out
		} else {
			s.Type = "boolean"
		}
	case "int", "int32", "int64":
		s.Type = "integer"
	case "uint64", "uint32", "byte":
		s.Type = "integer"
		if s.Minimum == nil {
			s.Minimum = new(int64)
		}
	case "*int32", "*int64":
		s.Type = []string{"integer", "null"}
	case "*json.Number":
		s.Type = []string{"number", "null"}
	case "*string":
		s.Type = "string"
	case "[]byte":
		s.Type, s.Encoding = "string", "base64"
	case "session.Timestamp", "Timestamp":
		s.Ref = "common.json#/$defs/utc"
	case "netip.AddrPort":
		s.Ref = "common.json#/$defs/remote"
	default:
		return b.declared(s, t, name)
	}
	return nil
}

// declared is byType for what the module declares: a struct, a list, or a type with constants.
func (b *builder) declared(s *schema, t ast.Expr, name string) error {
	if list, ok := t.(*ast.ArrayType); ok && list.Len == nil {
		s.Type, s.Items = "array", &schema{}
		return b.byType(s.Items, list.Elt)
	}
	p, short, err := b.src.resolve(b.pkg, b.imports, strings.TrimPrefix(name, "*"))
	if err != nil {
		return err
	}
	if len(p.values[short]) > 0 {
		return b.constants(s, name)
	}
	var o object
	if err := o.fields(b.src, p, short, b.parts); err != nil {
		return err
	}
	s.Type, s.Required, s.Properties, s.Additional = "object", o.required, o.properties, closed
	return nil
}

// constants adds a type's to the enum, and what they mean to the description.
func (b *builder) constants(s *schema, name string) error {
	p, short, err := b.src.resolve(b.pkg, b.imports, name)
	if err != nil {
		return err
	}
	all := p.values[short]
	if len(all) == 0 {
		return fmt.Errorf("type %s has no constants", name)
	}
	for _, c := range all {
		if slices.Contains(s.Enum, c.value) {
			return fmt.Errorf("type %s: %v is there twice", name, c.value)
		}
		s.Enum = append(s.Enum, c.value)
		if c.doc != "" {
			s.Description = strings.TrimPrefix(fmt.Sprintf("%s; %v: %s", s.Description, c.value, strings.TrimSuffix(c.doc, ".")), "; ")
		}
	}
	return nil
}

// downlink are the commands to vehicles, by name or number.
func downlink(byName bool) (all []any) {
	for c := codec.CommandParamQuery; c <= codec.CommandControl; c++ {
		if byName {
			all = append(all, c.Name(codec.Edition2025))
		} else {
			all = append(all, int64(c))
		}
	}
	return all
}
