package openapi

import (
	"context"
	"errors"
	"strconv"

	"github.com/tboxgate/tboxgate/command"
)

// timeFormat writes the times of results: RFC 3339, UTC, milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z"

// getAsyncRRpcResult is the operation GetAsyncRRpcResult(ProductKey, MessageId), an extension of this gateway: what became of
// a command that AsyncRRpc sent. Results are kept for 7 days.
func (h *Handler) getAsyncRRpcResult(ctx context.Context, c *call) ([]field, error) {
	productKey, err := productKeyOf(c)
	if err != nil {
		return nil, err
	}
	text := c.params["MessageId"]
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return nil, badParameter("MessageId must be the number that AsyncRRpc returned.")
	}
	if _, known := h.o.Products[productKey]; !known {
		return nil, errNoProduct
	}
	if !c.key.Grant.covers(productKey) {
		return nil, c.permit(RightRead, productKey)
	}
	result, err := h.o.Commands.Result(ctx, productKey, id)
	// Whoever sent a command may know what became of it.
	if (err != nil || result.AccessKeyID != c.key.ID) && !c.key.Grant.allows(RightRead) {
		return nil, c.permit(RightRead, productKey)
	}
	switch {
	case errors.Is(err, command.ErrNotFound):
		return nil, errResultNotFound
	case err != nil:
		h.o.Logger.Error("command result cannot be read", "messageId", id, "requestId", c.requestID, h.about(c.params), "error", err)
		return nil, errResultUnavailable
	}
	return []field{{"Data", resultFields(result)}}, nil
}

// resultFields lists the members of Data. Those that do not apply (no answer yet, nothing sent yet) are left out.
func resultFields(r command.Result) []field {
	data := []field{{"State", string(r.State)}}
	if r.Flag != "" {
		data = append(data, field{"Flag", r.Flag})
	}
	data = append(data, field{"Command", r.CommandName()})
	if r.Topic != "" {
		data = append(data, field{"Topic", r.Topic})
	}
	if !r.SentAt.IsZero() {
		data = append(data, field{"SentTime", r.SentAt.UTC().Format(timeFormat)})
	}
	if !r.AnsweredAt.IsZero() {
		data = append(data, field{"AnsweredTime", r.AnsweredAt.UTC().Format(timeFormat)})
	}
	if r.Reason != "" {
		data = append(data, field{"Reason", string(r.Reason)})
	}
	data = append(data, field{"MessageId", r.MessageID}, field{"DeviceName", r.DeviceName})
	if len(r.Body) > 0 {
		data = append(data, field{"Body", r.Body})
	}
	return data
}
