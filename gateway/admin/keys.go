package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tboxgate/tboxgate/session"
)

// Keys are the access keys of the HTTP API.
type Keys interface {
	List() []Key
	// Create makes a key; an id that is there is ErrConflict.
	Create(ctx context.Context, n NewKey) (Key, error)
	// SetDisabled switches a key off or on at once. The error is ErrNotFound when there is none of that id.
	SetDisabled(ctx context.Context, id string, disabled bool) error
	// Delete revokes a key at once. The error is ErrNotFound when there is none of that id.
	Delete(ctx context.Context, id string) error
}

// Key is an access key. Its secrets are shown once, by the answer that creates it.
type Key struct {
	ID            string            `json:"id"`
	Secret        string            `json:"secret,omitempty"`
	SecurityToken string            `json:"securityToken,omitempty"`
	CreatedAt     session.Timestamp `json:"createdAt,omitzero"` // zero for a static key
	ExpiresAt     session.Timestamp `json:"expiresAt,omitzero"`
	Products      []string          `json:"products,omitempty"` // those it may work with; none: all
	Allow         []string          `json:"allow,omitempty"`    // what it may do; none: everything
	Temporary     bool              `json:"temporary,omitempty"`
	Disabled      bool              `json:"disabled,omitempty"`
	Static        bool              `json:"static,omitempty"`     // given by a flag, the environment or the file: cannot be changed
	Unreadable    bool              `json:"unreadable,omitempty"` // sealed with another seal key: does not work, delete it
}

// NewKey says which key is to be made. What is empty is made up or not limited.
type NewKey struct {
	ID        string            `json:"id,omitempty"`
	Secret    string            `json:"secret,omitempty"`
	Products  []string          `json:"products,omitempty"`
	Allow     []string          `json:"allow,omitempty"` // query set control publish read import
	ExpiresAt session.Timestamp `json:"expiresAt,omitzero"`
	Temporary bool              `json:"temporary,omitempty"` // with a security token; needs expiresAt
}

func (a API) listKeys(w http.ResponseWriter, _ *http.Request) {
	keys := a.Keys.List()
	for i := range keys {
		keys[i].Secret, keys[i].SecurityToken = "", ""
	}
	writeJSON(w, http.StatusOK, keys)
}

func (a API) createKey(w http.ResponseWriter, r *http.Request) {
	var req NewKey
	if !readBody(w, r, &req) {
		return
	}
	for _, key := range req.Products {
		if err := a.knownProduct(key); err != nil {
			answer(w, nil, err)
			return
		}
	}
	key, err := a.Keys.Create(r.Context(), req)
	answer(w, key, err)
}

func (a API) changeKey(w http.ResponseWriter, r *http.Request) {
	if disabled, ok := readDisabled(w, r); ok {
		answer(w, struct{}{}, a.Keys.SetDisabled(r.Context(), r.URL.Query().Get("id"), disabled))
	}
}

func (a API) deleteKey(w http.ResponseWriter, r *http.Request) {
	answer(w, struct{}{}, a.Keys.Delete(r.Context(), r.URL.Query().Get("id")))
}

// Keys lists the access keys without their secrets.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	var list []Key
	return list, c.do(ctx, http.MethodGet, "/v1/keys", nil, nil, &list)
}

// CreateKey makes an access key and returns it with its secrets.
func (c *Client) CreateKey(ctx context.Context, n NewKey) (Key, error) {
	var key Key
	return key, c.do(ctx, http.MethodPost, "/v1/keys", nil, n, &key)
}

// DisableKey switches an access key off, or on again; ErrNotFound when there is none of that id.
func (c *Client) DisableKey(ctx context.Context, id string, disabled bool) error {
	return c.do(ctx, http.MethodPatch, "/v1/keys", url.Values{"id": {id}}, change{&disabled}, nil)
}

// DeleteKey revokes an access key; ErrNotFound when there is none of that id.
func (c *Client) DeleteKey(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/keys", url.Values{"id": {id}}, nil, nil)
}
