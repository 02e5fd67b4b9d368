package admin

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"

	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
)

// Devices is the registry of MQTT devices; mqttdevice.Devices is one.
type Devices interface {
	List(productKey string) iter.Seq[mqttdevice.Device]
	// Register adds a device and returns its secret, made up when secret is "".
	Register(ctx context.Context, productKey, deviceName, secret string) (string, error)
	Disable(ctx context.Context, productKey, deviceName string, disabled bool) error
	Delete(ctx context.Context, productKey, deviceName string) error
}

// NewDevice is an MQTT device to be registered, or what has become of it.
type NewDevice struct {
	DeviceName   string `json:"deviceName"`
	DeviceSecret string `json:"deviceSecret,omitempty"` // of the answer: shown this once
	Error        string `json:"error,omitempty"`        // why it is not registered
	Exists       bool   `json:"exists,omitempty"`       // it was registered before, which is an error
}

// newDevices is the body that registers devices, and the answer.
type newDevices struct {
	ProductKey string      `json:"productKey"`
	Devices    []NewDevice `json:"devices"`
}

func (a API) handleDevices(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/devices", func(w http.ResponseWriter, r *http.Request) {
		lines := newLineWriter(w)
		for d := range a.Devices.List(r.URL.Query().Get("productKey")) {
			if !lines.write(d) {
				return
			}
		}
	})
	mux.HandleFunc("POST /v1/devices", a.registerDevices)
	mux.HandleFunc("PATCH /v1/devices", func(w http.ResponseWriter, r *http.Request) {
		if disabled, ok := readDisabled(w, r); ok {
			q := r.URL.Query()
			answer(w, struct{}{}, a.Devices.Disable(r.Context(), q.Get("productKey"), q.Get("deviceName"), disabled))
		}
	})
	mux.HandleFunc("DELETE /v1/devices", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		answer(w, struct{}{}, a.Devices.Delete(r.Context(), q.Get("productKey"), q.Get("deviceName")))
	})
}

// registerDevices registers one after the other; what is wrong with one does not keep the others back.
func (a API) registerDevices(w http.ResponseWriter, r *http.Request) {
	var req newDevices
	if !readBody(w, r, &req) {
		return
	}
	for i := range req.Devices {
		d := &req.Devices[i]
		secret, err := a.Devices.Register(r.Context(), req.ProductKey, d.DeviceName, d.DeviceSecret)
		*d = NewDevice{DeviceName: d.DeviceName, DeviceSecret: secret}
		if err != nil {
			d.Error, d.Exists = err.Error(), errors.Is(err, mqttdevice.ErrRegistered)
		}
	}
	writeJSON(w, http.StatusOK, req)
}

// Devices lists the MQTT devices of a product, or of all for "". The loop ends with the first error.
func (c *Client) Devices(ctx context.Context, productKey string) iter.Seq2[mqttdevice.Device, error] {
	return lines[mqttdevice.Device](ctx, c, "/v1/devices", url.Values{"productKey": {productKey}})
}

// RegisterDevices adds MQTT devices to a product and returns them with their secrets, or with what is wrong.
func (c *Client) RegisterDevices(ctx context.Context, productKey string, devices []NewDevice) ([]NewDevice, error) {
	var result newDevices
	err := c.do(ctx, http.MethodPost, "/v1/devices", nil, newDevices{productKey, devices}, &result)
	return result.Devices, err
}

// DisableDevice sets whether an MQTT device is kept from connecting; ErrNotFound when it is not there.
func (c *Client) DisableDevice(ctx context.Context, productKey, deviceName string, disabled bool) error {
	return c.do(ctx, http.MethodPatch, "/v1/devices", deviceQuery(productKey, deviceName), change{&disabled}, nil)
}

// DeleteDevice removes an MQTT device from a product; ErrNotFound when it is not there.
func (c *Client) DeleteDevice(ctx context.Context, productKey, deviceName string) error {
	return c.do(ctx, http.MethodDelete, "/v1/devices", deviceQuery(productKey, deviceName), nil, nil)
}

func deviceQuery(productKey, deviceName string) url.Values {
	return url.Values{"productKey": {productKey}, "deviceName": {deviceName}}
}
