package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tboxgate/tboxgate/session"
)

// Platforms are the enterprise platforms; session.Platforms is one.
type Platforms interface {
	List() []session.Platform
	Create(ctx context.Context, code, user, password string, replace bool) error
	Delete(ctx context.Context, code string) error
}

func (a API) listPlatforms(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Platforms.List())
}

// newPlatform is the body that creates a platform.
type newPlatform struct {
	Code     string `json:"code"`
	User     string `json:"user"`
	Password string `json:"password"`
	Replace  bool   `json:"replace"`
}

func (a API) createPlatform(w http.ResponseWriter, r *http.Request) {
	var req newPlatform
	if readBody(w, r, &req) {
		answer(w, struct{}{}, a.Platforms.Create(r.Context(), req.Code, req.User, req.Password, req.Replace))
	}
}

func (a API) deletePlatform(w http.ResponseWriter, r *http.Request) {
	answer(w, struct{}{}, a.Platforms.Delete(r.Context(), r.URL.Query().Get("code")))
}

// Platforms lists the platforms.
func (c *Client) Platforms(ctx context.Context) ([]session.Platform, error) {
	var list []session.Platform
	return list, c.do(ctx, http.MethodGet, "/v1/platforms", nil, nil, &list)
}

// CreatePlatform adds a platform; ErrConflict when it exists and replace is not set.
func (c *Client) CreatePlatform(ctx context.Context, code, user, password string, replace bool) error {
	return c.do(ctx, http.MethodPost, "/v1/platforms", nil, newPlatform{code, user, password, replace}, nil)
}

// DeletePlatform removes a platform; ErrNotFound when there is none of that code.
func (c *Client) DeletePlatform(ctx context.Context, code string) error {
	return c.do(ctx, http.MethodDelete, "/v1/platforms", url.Values{"code": {code}}, nil, nil)
}
