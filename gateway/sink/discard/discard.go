// Package discard is the sink that keeps nothing: every record counts as stored at once. It shows
// what the gateway does without a store (tests, load measurements).
package discard

import (
	"context"

	"github.com/tboxgate/tboxgate/gateway/sink"
)

// Sink drops every record. The zero value is ready to use.
type Sink struct{}

var _ sink.EventSink = Sink{}

// Publish reports the record as stored; Stored is never called.
func (Sink) Publish(*sink.Record, sink.Receiver, uint64) bool { return true }

// PublishEvent reports the event as stored; Stored is never called.
func (Sink) PublishEvent(*sink.Event, sink.Receiver, uint64) bool { return true }

// Healthy returns nil.
func (Sink) Healthy() error { return nil }

// Close returns nil: nothing is ever under way.
func (Sink) Close(context.Context) error { return nil }
