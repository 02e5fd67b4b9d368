package nats

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

// timeLayout is RFC 3339 in UTC with milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// A raw record is stored as an entry: one line of JSON with the length of the frame and the keys that the
// gateway adds to a record's JSON, in the same form, those that are empty left out; then the frame, then
// a newline.
//
//	{"rawBytes":334,"vin":"…","receivedAt":"…","node":"…","session":"…","remote":"…","platform":"…","duplicate":true}
//
// entryKeys are the keys, in their order: docs/schema is made of them.
type entryKeys struct {
	RawBytes   int            `json:"rawBytes" schema:"frameSize"`        // how many bytes the frame has
	VIN        string         `json:"vin" schema:"vin"`                   // bytes that are not text are U+FFFD; the frame has them
	ReceivedAt time.Time      `json:"receivedAt" schema:"utc"`            // when the frame was complete
	Node       string         `json:"node,omitempty"`                     // the gateway that received it
	Session    uint64         `json:"session,omitempty" schema:"session"` // none before a login
	Remote     netip.AddrPort `json:"remote,omitzero"`
	Platform   string         `json:"platform,omitempty"`  // code of the platform link that relayed it, none for a vehicle link
	Duplicate  bool           `json:"duplicate,omitempty"` // repeats a stored record
}

// The keys do not travel as headers, because nats-server looks through the headers of every message some
// twenty times and the client writes them with maps and buffers: a third of the throughput.

// keyWriter writes entries of raw records.
type keyWriter struct {
	node  []byte // as JSON; empty: there is none
	stamp atomic.Pointer[stamp]
}

// stamp is the text of one millisecond. A second is full of records, and formatting a time costs more
// than all the rest of the keys.
type stamp struct {
	milli int64
	text  string
}

func newKeyWriter(node string) *keyWriter {
	w := &keyWriter{}
	if node != "" {
		w.node, _ = json.Marshal(node) // a string always can be
	}
	return w
}

// appendEntry appends a raw record.
func (w *keyWriter) appendEntry(dst []byte, r *sink.Record) []byte {
	dst = append(dst, `{"rawBytes":`...)
	dst = strconv.AppendInt(dst, int64(len(r.Body)), 10)
	dst = append(dst, `,"vin":`...)
	dst = session.AppendWireString(dst, r.VIN.String())
	dst = append(dst, `,"receivedAt":"`...)
	dst = append(dst, w.time(r.ReceivedAt)...)
	dst = append(dst, '"')
	if len(w.node) > 0 {
		dst = append(dst, `,"node":`...)
		dst = append(dst, w.node...)
	}
	if r.Session != 0 {
		dst = append(dst, `,"session":"`...)
		dst = session.AppendID(dst, r.Session)
		dst = append(dst, '"')
	}
	if r.Remote.IsValid() {
		dst = append(dst, `,"remote":"`...)
		dst = r.Remote.AppendTo(dst)
		dst = append(dst, '"')
	}
	if r.Platform != "" {
		dst = append(dst, `,"platform":`...)
		dst = session.AppendWireString(dst, r.Platform)
	}
	if r.Duplicate {
		dst = append(dst, `,"duplicate":true`...)
	}
	dst = append(dst, '}', '\n')
	dst = append(dst, r.Body...)
	return append(dst, '\n')
}

// time returns the text of t.
func (w *keyWriter) time(t time.Time) string {
	ms := t.UnixMilli()
	s := w.stamp.Load()
	if s == nil || s.milli != ms {
		s = &stamp{milli: ms, text: t.UTC().Format(timeLayout)}
		w.stamp.Store(s)
	}
	return s.text
}
