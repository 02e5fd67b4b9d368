package openapi

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
)

// The exact content types: one generation of SDKs reads XML errors only under exactly this string, another picks its parser by it.
const (
	jsonType = "application/json;charset=utf-8"
	xmlType  = "text/xml;charset=utf-8"
)

type format int

const (
	formatXML format = iota
	formatJSON
)

// field is one member of an answer. The value is a string, bool, int64, []field (an object), list, bareList, or json.RawMessage
// (JSON as it is; in XML its text). Order is kept, so that JSON and XML are the same list written twice.
type field struct {
	name  string
	value any
}

// list is a JSON array of strings or objects; in XML its element is repeated.
type list []any

// bareList is a JSON array that stands in an object beside other members; in XML its elements have a parent of their own, of
// the same name, or the Java SDK's reader would not see a list.
type bareList list

// write sends an answer with the given root element (XML only).
func write(w http.ResponseWriter, f format, status int, root string, fields []field) {
	var b bytes.Buffer
	if f == formatJSON {
		w.Header().Set("Content-Type", jsonType)
		writeJSON(&b, fields)
	} else {
		w.Header().Set("Content-Type", xmlType)
		b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>`)
		writeXML(&b, root, fields)
	}
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that has gone is not our failure
}

func writeJSON(b *bytes.Buffer, value any) {
	switch v := value.(type) {
	case string:
		enc := json.NewEncoder(b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(v) // a string always encodes
		b.Truncate(b.Len() - 1)
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case json.RawMessage:
		b.Write(v)
	case bareList:
		writeJSON(b, list(v))
	case list:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, item)
		}
		b.WriteByte(']')
	case []field:
		b.WriteByte('{')
		for i, f := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, f.name)
			b.WriteByte(':')
			writeJSON(b, f.value)
		}
		b.WriteByte('}')
	}
}

func writeXML(b *bytes.Buffer, name string, value any) {
	if items, ok := value.(list); ok {
		for _, item := range items {
			writeXML(b, name, item)
		}
		return
	}
	b.WriteString("<" + name + ">")
	switch v := value.(type) {
	case string:
		_ = xml.EscapeText(b, []byte(v)) // a bytes.Buffer never fails
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case json.RawMessage:
		_ = xml.EscapeText(b, v)
	case bareList:
		writeXML(b, name, list(v))
	case []field:
		for _, f := range v {
			writeXML(b, f.name, f.value)
		}
	}
	b.WriteString("</" + name + ">")
}
