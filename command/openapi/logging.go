package openapi

import (
	"log/slog"

	"github.com/tboxgate/tboxgate/codec"
)

// about names in a log line what a call is about: productKey, and vin or, for an MQTT device, deviceName, as the call says
// them, and the session that this vehicle or device has here at this moment. Without one it is not connected here.
func (h *Handler) about(params map[string]string) slog.Attr { return slog.Any("", subject{h, params}) }

type subject struct {
	h      *Handler
	params map[string]string
}

// LogValue is what about shows; nothing is looked up for a line that is left out.
func (s subject) LogValue() slog.Value {
	product, name := s.params["ProductKey"], s.params["DeviceName"]
	attrs := make([]slog.Attr, 0, 3)
	if product != "" {
		attrs = append(attrs, slog.String("productKey", product))
	}
	id := ""
	switch {
	case name == "":
	case s.h.o.Products[product].Protocol == MQTT:
		attrs = append(attrs, slog.String("deviceName", name))
		if s.h.o.Topics != nil {
			d, _ := s.h.o.Topics.Device(product, name)
			id = d.Session
		}
	default:
		attrs = append(attrs, slog.String("vin", name))
		if vin, err := codec.ParseVIN(name); err == nil && s.h.o.Sessions != nil {
			if live := s.h.o.Sessions.Get(vin); live != nil && live.ProductKey == product {
				id = live.IDString()
			}
		}
	}
	if id != "" {
		attrs = append(attrs, slog.String("session", id))
	}
	return slog.GroupValue(attrs...)
}
