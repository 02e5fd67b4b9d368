package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/session"
)

// maxBody bounds a request; ten thousand VINs fit.
const maxBody = 1 << 20

// readBody reads a JSON body, or answers why it cannot and returns false.
func readBody(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &tooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, io.EOF):
		writeError(w, http.StatusBadRequest, "the body is empty; a JSON object is wanted")
	default:
		writeError(w, http.StatusBadRequest, "the body: "+err.Error())
	}
	return false
}

// change is the body that disables a vehicle, a device or a key, or enables it.
type change struct {
	Disabled *bool `json:"disabled"`
}

// readDisabled reads a change, or answers why it cannot and returns false for ok.
func readDisabled(w http.ResponseWriter, r *http.Request) (disabled, ok bool) {
	var c change
	if !readBody(w, r, &c) {
		return false, false
	}
	if c.Disabled == nil {
		writeError(w, http.StatusBadRequest, "the body: disabled is missing")
		return false, false
	}
	return *c.Disabled, true
}

// answer writes v, or the error with the status that belongs to it.
func answer(w http.ResponseWriter, v any, err error) {
	if err == nil {
		writeJSON(w, http.StatusOK, v)
		return
	}
	status := http.StatusInternalServerError
	for _, kind := range [...]struct {
		err    error
		status int
	}{
		{session.ErrNotRegistered, http.StatusNotFound},
		{session.ErrPlatformUnknown, http.StatusNotFound},
		{mqttdevice.ErrNotRegistered, http.StatusNotFound},
		{ErrNotFound, http.StatusNotFound},
		{session.ErrPlatformExists, http.StatusConflict},
		{ErrConflict, http.StatusConflict},
		{session.ErrPlatformInvalid, http.StatusBadRequest},
		{ErrInvalid, http.StatusBadRequest},
		{session.ErrUnconfirmed, http.StatusServiceUnavailable},
		{session.ErrClosed, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, kind.err) {
			status = kind.status
			break
		}
	}
	writeError(w, status, err.Error())
}

// lineWriter streams JSON lines: a list may have a million.
type lineWriter struct {
	e *json.Encoder
}

func newLineWriter(w http.ResponseWriter) lineWriter {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return lineWriter{json.NewEncoder(w)}
}

// write reports false when nobody reads any more.
func (l lineWriter) write(v any) bool { return l.e.Encode(v) == nil }

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the peer is gone if it fails
}

// errorHeader marks errors of this package, to tell them from answers of the API for commands.
const errorHeader = "Tboxgate-Admin-Error"

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set(errorHeader, "1")
	writeJSON(w, status, errorBody{message})
}

// errorBody is the JSON of every answer that is not 2xx.
type errorBody struct {
	Error string `json:"error"`
}
