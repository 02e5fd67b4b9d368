package openapi

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const formType = "application/x-www-form-urlencoded"

// request is an HTTP request as the signatures see it: decoded parameters and the raw body.
type request struct {
	http  *http.Request
	query map[string]string // decoded query parameters
	all   map[string]string // query and form body together
	body  []byte
}

// readRequest reads the whole body (at most limit bytes) and all parameters. net/http's ParseForm does not fit: it ignores the
// form body of a GET, which the old Go SDK sends and signs, and it keeps repeated parameters, which a signature over a sorted
// list cannot tell apart.
func readRequest(w http.ResponseWriter, r *http.Request, limit int64) (*request, *frontError) {
	req := &request{http: r, query: map[string]string{}, all: map[string]string{}}
	// The query comes first: even when the body is refused, Format says how to write the answer.
	if err := parseParams(r.URL.RawQuery, req.query, req.all); err != nil {
		return req, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return req, errBodyTooLarge(limit)
		}
		return req, errBodyCut
	}
	req.body = body
	if len(body) == 0 {
		return req, nil
	}
	if given := r.Header.Get("Content-Type"); given != "" {
		if media, _, err := mime.ParseMediaType(given); err != nil || media != formType {
			return req, errContentType
		}
	}
	return req, parseParams(string(body), req.all)
}

// parseParams decodes name=value pairs joined by & into each of the maps. A repeated name is refused.
func parseParams(encoded string, into ...map[string]string) *frontError {
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return errParamEncoding
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return errParamEncoding
		}
		for _, m := range into {
			if _, twice := m[name]; twice {
				return errParamRepeated(name)
			}
			m[name] = value
		}
	}
	return nil
}
