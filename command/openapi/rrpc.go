package openapi

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
)

// How long RRpc may wait, as its page says.
const (
	shortestWait = time.Second
	longestWait  = 8 * time.Second
)

// rrpc is the operation RRpc for vehicles, an extension of this gateway: Alibaba Cloud has it for MQTT and JT/T 808 devices. It
// sends a command as AsyncRRpc does and waits up to Timeout for the vehicle's answer. PayloadBase64Byte is the data unit of
// the answer. When the wait ends first the command goes on, and GetAsyncRRpcResult tells what becomes of it.
func (h *Handler) rrpc(ctx context.Context, c *call) ([]field, error) {
	const name = "RequestBase64Byte"
	productKey, deviceName, err := h.addressOf(c)
	if err != nil {
		return nil, err
	}
	content, err := contentOf(c.params[name])
	if err != nil {
		return nil, err
	}
	if h.o.Products[productKey].Protocol == MQTT {
		return nil, errNoTopicRRpc
	}
	if err := refuseNoUnit(name, content); err != nil {
		return nil, err
	}
	wait, err := waitOf(c.params["Timeout"])
	if err != nil {
		return nil, err
	}
	cmd, err := rrpcCommandOf(c)
	if err != nil {
		return nil, err
	}
	id, err := h.sendCommand(ctx, c, productKey, deviceName, cmd, name, content)
	if err == errOfflineDevice { //nolint:errorlint // our own value, never wrapped
		return []field{{"RrpcCode", "OFFLINE"}, {"PayloadBase64Byte", ""}}, nil
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	r, err := h.o.Commands.Wait(ctx, id)
	answer := []field{{"RrpcCode", rrpcCode(r.State)}, {"PayloadBase64Byte", payloadOf(&r)}, {"MessageId", id}}
	if r.Flag != "" {
		answer = append(answer, field{"Flag", r.Flag})
	}
	if err != nil && ctx.Err() == nil {
		return nil, err // operate keeps it from becoming a 5xx
	}
	return answer, nil
}

// rrpcCommandOf reads ExtInfo as AsyncRRpc does. SDKs whose RRpc has no ExtInfo say it by Topic: query, set or control.
func rrpcCommandOf(c *call) (codec.Command, error) {
	if c.params["ExtInfo"] != "" {
		return commandOf(c.params["ExtInfo"])
	}
	switch strings.TrimPrefix(c.params["Topic"], "/") {
	case "query":
		return codec.CommandParamQuery, nil
	case "set":
		return codec.CommandParamSet, nil
	case "control":
		return codec.CommandControl, nil
	}
	return 0, badParameter(`The command is missing: Topic is query, set or control, or ExtInfo is {"commandType":128|129|130}.`)
}

func waitOf(text string) (time.Duration, error) {
	ms, err := strconv.Atoi(text)
	wait := time.Duration(ms) * time.Millisecond
	if err != nil || wait < shortestWait || wait > longestWait {
		return 0, errTimeoutValue
	}
	return wait, nil
}

// rrpcCode tells the state of a command in RRpc's words.
func rrpcCode(s command.State) string {
	switch s {
	case command.StateAnswered, command.StateRejected:
		return "SUCCESS" // the device has answered; Flag says what
	case command.StateQueued, command.StateSent, command.StateTimedOut:
		return "TIMEOUT"
	case command.StateDisconnected, command.StateSuperseded:
		return "HALFCONN"
	}
	return "UNKNOWN"
}

// payloadOf is the data unit of the answer in base64, "" for none. Passwords in it are masked: such a unit is left out.
func payloadOf(r *command.Result) string {
	if len(r.Body) == 0 {
		return ""
	}
	frame, err := codec.EncodeJSON(nil, r.Body)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(codec.Frame(frame).Unit())
}
