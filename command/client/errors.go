package client

import (
	"errors"
	"fmt"
	"strings"
)

// Error is a failure that the gateway answered: of the front end (HTTPStatus 4xx or 5xx) or of the operation (usually 200).
// Nothing was sent to the vehicle. docs/api.md lists the codes; those that programs act on have an error below.
type Error struct {
	HTTPStatus int
	Code       string // such as "iot.device.OfflineDevice"
	Message    string
	RequestID  string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s, HTTP %d, request %s)", strings.TrimSuffix(e.Message, "."), e.Code, e.HTTPStatus, e.RequestID)
}

// The kinds of an *Error, to be tested with errors.Is.
var (
	ErrNoProduct     = errors.New("client: the product does not exist")
	ErrNoDevice      = errors.New("client: the vehicle is not registered in the product")
	ErrInactive      = errors.New("client: the vehicle has never been online")
	ErrOffline       = errors.New("client: the vehicle is offline")
	ErrDisabled      = errors.New("client: the vehicle is disabled")
	ErrQueueFull     = errors.New("client: too many commands wait for the vehicle")
	ErrParameter     = errors.New("client: the gateway does not take a parameter")
	ErrDenied        = errors.New("client: the access key is unknown, wrong, inactive or has no right to this")
	ErrThrottled     = errors.New("client: too many calls with this access key")
	ErrUnavailable   = errors.New("client: the gateway or its store is not available; call again later")
	ErrNotSubscribed = errors.New("client: the device does not subscribe to the topic")
	ErrNoMessage     = errors.New("client: no command has this message id")
)

// kinds says which codes make an error of a kind. Letter case does not count: Alibaba's pages differ in it.
var kinds = map[error][]string{
	ErrNoProduct: {"iot.prod.NotExistedProduct"},
	ErrNoDevice:  {"iot.device.NotExistedDevice"},
	ErrInactive:  {"iot.device.InactiveDevice"},
	ErrOffline:   {"iot.device.OfflineDevice"},
	ErrDisabled:  {"iot.device.DisabledDevice"},
	ErrQueueFull: {"iot.messagebroker.RateLimit"},
	ErrParameter: {"iot.common.InvalidFormattedParameter"},
	ErrDenied: {"InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive", "SignatureDoesNotMatch", "Forbidden.RAM",
		"iot.common.AuthActionPermissionDeny", "iot.common.RamActionPermissionDeny"},
	ErrThrottled:     {"Throttling.User", "Throttling.Api", "Throttling"},
	ErrUnavailable:   {"ServiceUnavailable", "iot.system.SystemException"},
	ErrNotSubscribed: {"iot.messagebroker.NotSubscribed"},
	ErrNoMessage:     {"iot.messagebroker.NotExistedMessage"},
}

// Is makes errors.Is find the kind of an error.
func (e *Error) Is(target error) bool {
	for _, code := range kinds[target] {
		if strings.EqualFold(code, e.Code) {
			return true
		}
	}
	return false
}

// EndError says that a command was sent and did not end with an answer of success.
type EndError struct {
	Result Result
}

func (e *EndError) Error() string {
	return fmt.Sprintf("client: command %d to %s: %s: %s", e.Result.MessageID, e.Result.DeviceName, e.Result.State, e.Result.Ending())
}

// The kinds of an *EndError, to be tested with errors.Is.
var (
	ErrRejected     = errors.New("client: the vehicle rejected the command")
	ErrTimedOut     = errors.New("client: the vehicle did not answer")
	ErrDisconnected = errors.New("client: the vehicle's session ended before an answer came")
)

// Is makes errors.Is find the kind of an error.
func (e *EndError) Is(target error) bool {
	switch e.Result.State {
	case "rejected":
		return target == ErrRejected
	case "timedOut":
		return target == ErrTimedOut
	case "disconnected", "superseded":
		return target == ErrDisconnected
	}
	return false
}

// Ending tells how a command ended that was not answered with success; "" for one that was, or is not over.
func (r *Result) Ending() string {
	var text string
	switch r.State {
	case "answered", "queued", "sent":
		return ""
	case "rejected":
		return "the vehicle answered with the flag " + r.Flag
	case "timedOut":
		text = "the vehicle did not answer"
	case "disconnected":
		text = "the vehicle's session ended before an answer came"
	case "superseded":
		text = "the vehicle logged in over another connection before an answer came"
	default:
		text = "a state that this program does not know"
	}
	if r.Reason != "" {
		text += " (" + r.Reason + ")"
	}
	return text
}
