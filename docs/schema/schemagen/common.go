package main

import (
	"fmt"
	"strings"

	"github.com/tboxgate/tboxgate/codec"
)

const hexPattern = "^([0-9a-f]{2})*$"

// commonSchema is common.json: the forms of texts that types do not tell, the header of frames, and the gateway's keys.
func commonSchema(src *source) (*schema, error) {
	gateway, err := gatewayKeys(src)
	if err != nil {
		return nil, err
	}
	vinHex := fmt.Sprintf("^[0-9a-f]{%d}$", 2*codec.VINSize)
	return &schema{
		Comment: comment("gateway/sink.Record and codec"), Title: "What records share", Description: "Parts of the other schemas.",
		Defs: properties{
			{"utc", &schema{Type: "string", Pattern: `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, Description: "RFC 3339 in UTC with milliseconds, the gateway's clock"}},
			{"wireTime", &schema{Type: "string", Pattern: `^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00$`, Description: "RFC 3339 at +08:00, the vehicle's clock"}},
			{"session", &schema{Type: "string", Pattern: "^[0-9a-f]{16}$", Description: "the login a record belongs to; zeros before one"}},
			{"remote", &schema{Type: "string", Description: "address:port of the peer"}},
			{"hex", &schema{Type: "string", Pattern: hexPattern}},
			{"vin", &schema{Type: "string", Description: fmt.Sprintf("the %d identifier bytes without padding: a VIN, or a platform's code", codec.VINSize)}},
			{"vinKeys", &schema{
				Properties: properties{
					{"vin", &schema{Ref: "#/$defs/vin"}},
					{"vinHex", &schema{Type: "string", Pattern: vinHex, Description: fmt.Sprintf("the %d bytes, where the text alone would not give them", codec.VINSize)}},
				},
				AnyOf: []*schema{{Required: []string{"vin"}}, {Required: []string{"vinHex"}}},
			}},
			{"header", &schema{Properties: properties{
				{"flag", &schema{AnyOf: names(func(b byte) string { return codec.Flag(b).String() }), Description: "the response flag; command: the frame is no answer"}},
				{"encryption", &schema{AnyOf: names(func(b byte) string { return codec.Encryption(b).String() })}},
				{"vin", &schema{Ref: "#/$defs/vin"}},
				{"vinHex", &schema{Type: "string", Pattern: vinHex}},
			}}},
			{"gateway", gateway},
		},
	}, nil
}

// names are those that bytes have in JSON, and the hex of the others.
func names(of func(byte) string) []*schema {
	var known []any
	for b := range 256 {
		if name := of(byte(b)); !strings.HasPrefix(name, "0x") {
			known = append(known, name)
		}
	}
	return []*schema{{Enum: known}, {Type: "string", Pattern: "^0x[0-9A-F]{2}$"}}
}

// gatewayKeys are the keys that the gateway adds to a frame's JSON: all that must be there, or none.
func gatewayKeys(src *source) (*schema, error) {
	p, err := src.pkg("gateway/sink")
	if err != nil {
		return nil, err
	}
	var o object
	if err := o.fields(src, p, "Record", properties{{"utc", nil}, {"session", nil}}); err != nil {
		return nil, err
	}
	for i := range o.properties { // the definitions stand in the same file
		o.properties[i].Ref = strings.TrimPrefix(o.properties[i].Ref, "common.json")
	}
	two := int64(2)
	first, second := o.required[0], o.required[1]
	return &schema{
		Description: "the gateway's own keys, in records of the stream",
		Properties: append(o.properties,
			property{"raw", &schema{Type: "string", Pattern: hexPattern, Description: "the frame's bytes (payload both)"}},
			property{"merged", &schema{Type: "integer", Minimum: &two, Description: "number of frames of a split pack that were merged; never in the stream"}}),
		DependentReqs: map[string][]string{first: o.required[1:], second: {first}},
	}, nil
}

// frameSchema is frame.json: which schema is an edition's.
func frameSchema(src *source) (*schema, error) {
	p, err := src.pkg("codec")
	if err != nil {
		return nil, err
	}
	editions := p.values["Edition"]
	if len(editions) == 0 {
		return nil, fmt.Errorf("codec has no editions")
	}
	var s *schema
	for _, e := range editions {
		one := &schema{Ref: fmt.Sprintf("frame-%d.json", e.value)}
		if s != nil {
			s = &schema{If: &schema{Properties: properties{{"edition", &schema{Const: e.value}}}}, Then: one, Else: s}
			continue
		}
		s = one
	}
	s.Comment, s.Title = comment("codec.Edition"), "A frame"
	s.Description = "A frame of either edition: what the stream GBT32960 holds, what tboxgate decode prints and tboxgate encode reads."
	s.Type, s.Required = "object", []string{"edition"}
	return s, nil
}
