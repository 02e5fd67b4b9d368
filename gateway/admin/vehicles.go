package admin

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// Vehicles is the device registry; session.Registry is one.
type Vehicles interface {
	List(productKey string) iter.Seq[session.Device] // "" for all products; in the order of the VINs
	Register(ctx context.Context, productKey string, vins []string) (session.RegisterResult, error)
	Delete(ctx context.Context, productKey string, vin codec.VIN) error
	// Disable sets whether the vehicle is kept from logging in. One that is online is cut off.
	Disable(ctx context.Context, productKey string, vin codec.VIN, disabled bool) error
}

func (a API) listVehicles(w http.ResponseWriter, r *http.Request) {
	lines := newLineWriter(w)
	for d := range a.Vehicles.List(r.URL.Query().Get("productKey")) {
		if !lines.write(d) {
			return
		}
	}
}

func (a API) importVehicles(w http.ResponseWriter, r *http.Request) {
	var req struct {
		ProductKey string   `json:"productKey"`
		VINs       []string `json:"vins"`
	}
	if !readBody(w, r, &req) {
		return
	}
	if err := a.knownProduct(req.ProductKey); err != nil {
		answer(w, nil, err)
		return
	}
	result, err := a.Vehicles.Register(r.Context(), req.ProductKey, req.VINs)
	answer(w, result, err)
}

func (a API) disableVehicle(w http.ResponseWriter, r *http.Request) {
	vin, ok := vinOf(w, r)
	if !ok {
		return
	}
	if disabled, ok := readDisabled(w, r); ok {
		answer(w, struct{}{}, a.Vehicles.Disable(r.Context(), r.URL.Query().Get("productKey"), vin, disabled))
	}
}

func (a API) deleteVehicle(w http.ResponseWriter, r *http.Request) {
	if vin, ok := vinOf(w, r); ok {
		answer(w, struct{}{}, a.Vehicles.Delete(r.Context(), r.URL.Query().Get("productKey"), vin))
	}
}

// Vehicles lists the vehicles of a product, or of all for "", as session.Device writes them. The loop ends with the
// first error.
func (c *Client) Vehicles(ctx context.Context, productKey string) iter.Seq2[json.RawMessage, error] {
	return lines[json.RawMessage](ctx, c, "/v1/vehicles", url.Values{"productKey": {productKey}})
}

// Import adds vehicles to a product. A request takes up to ten thousand.
func (c *Client) Import(ctx context.Context, productKey string, vins []string) (session.RegisterResult, error) {
	var result session.RegisterResult
	body := struct {
		ProductKey string   `json:"productKey"`
		VINs       []string `json:"vins"`
	}{productKey, vins}
	return result, c.do(ctx, http.MethodPost, "/v1/vehicles", nil, body, &result)
}

// DisableVehicle sets whether a vehicle is kept from logging in; ErrNotFound when it is not there.
func (c *Client) DisableVehicle(ctx context.Context, productKey string, vin codec.VIN, disabled bool) error {
	return c.do(ctx, http.MethodPatch, "/v1/vehicles", url.Values{"productKey": {productKey}, "vin": {vin.String()}}, change{&disabled}, nil)
}

// DeleteVehicle removes a vehicle from a product; ErrNotFound when it is not there.
func (c *Client) DeleteVehicle(ctx context.Context, productKey string, vin codec.VIN) error {
	return c.do(ctx, http.MethodDelete, "/v1/vehicles", url.Values{"productKey": {productKey}, "vin": {vin.String()}}, nil, nil)
}
