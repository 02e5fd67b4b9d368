package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/tboxgate/tboxgate/codec"
)

// Store is what operators do with the stored data as a whole.
type Store interface {
	// Backup writes everything that is stored, as a tar file that ends with end.json when it is whole.
	Backup(ctx context.Context, w io.Writer) error
	// Erase removes a vehicle: its registration and everything that is stored of it.
	Erase(ctx context.Context, vin codec.VIN) (Erased, error)
}

// Erased counts what was removed of a vehicle.
type Erased struct {
	Registrations int    `json:"registrations"`
	Frames        uint64 `json:"frames"`
	Events        uint64 `json:"events"`
	Entries       uint64 `json:"entries"` // of buckets
	// Rewritten counts messages of the batched layout that were stored again, for the records of other vehicles in them.
	Rewritten uint64 `json:"rewritten"`
}

// storeRoutes adds what works on the whole store.
func (a API) storeRoutes(mux *http.ServeMux) {
	if a.Store == nil {
		return
	}
	mux.HandleFunc("GET /v1/backup", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-tar")
		out := &begun{w: w}
		// Once bytes have gone an error cannot be told; the file has no end then.
		if err := a.Store.Backup(r.Context(), out); err != nil && !out.yes {
			answer(w, nil, err)
		}
	})
	mux.HandleFunc("DELETE /v1/vehicles/data", func(w http.ResponseWriter, r *http.Request) {
		if vin, ok := vinOf(w, r); ok {
			e, err := a.Store.Erase(r.Context(), vin)
			answer(w, e, err)
		}
	})
}

// begun remembers that something was written.
type begun struct {
	w   io.Writer
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.w.Write(p)
}

// Backup returns everything that is stored as a tar file; it is whole when it ends with end.json.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/backup", nil, nil, "")
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(readError(resp), resp.Body.Close())
	}
	return resp.Body, nil
}

// EraseVehicle removes a vehicle and everything that is stored of it.
func (c *Client) EraseVehicle(ctx context.Context, vin codec.VIN) (e Erased, err error) {
	return e, c.do(ctx, http.MethodDelete, "/v1/vehicles/data", url.Values{"vin": {vin.String()}}, nil, &e)
}
