package openapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
)

// asyncRRpc is the operation AsyncRRpc: it sends a command to a vehicle and answers with its MessageId as soon as the frame
// is on its way. What the vehicle answers is told by GetAsyncRRpcResult. Checks come in the order product key, device name,
// content, ExtInfo, existence, state; IotInstanceId and TopicFullName mean nothing to a GB/T 32960 device and are ignored.
func (h *Handler) asyncRRpc(ctx context.Context, c *call) ([]field, error) {
	productKey, err := productKeyOf(c)
	if err != nil {
		return nil, err
	}
	vin, err := deviceNameOf(c)
	if err != nil {
		return nil, err
	}
	unit, err := unitOf(c.params["MessageContent"])
	if err != nil {
		return nil, err
	}
	cmd, err := commandOf(c.params["ExtInfo"])
	if err != nil {
		return nil, err
	}
	if err := c.permit(rightOf(cmd), productKey); err != nil {
		return nil, err
	}
	product, known := h.o.Products[productKey]
	if !known {
		return nil, errNoProduct
	}
	if !product.allows(cmd) {
		return nil, notOfProduct("Commands of this kind (%s) may not be sent to devices of product %s.", rightOf(cmd), productKey)
	}
	device, ok := h.o.Devices.Lookup(vin)
	if !ok || device.ProductKey != productKey {
		return nil, errNoDevice
	}
	if device.Disabled {
		return nil, errDisabledDevice
	}
	id, err := h.o.Commands.Send(ctx, command.Request{
		ProductKey: productKey, DeviceName: vin.String(), Command: cmd, Unit: unit, RequestID: c.requestID, AccessKeyID: c.key.ID,
	})
	switch {
	case err == nil:
		return []field{{"MessageId", id}}, nil
	case errors.Is(err, command.ErrOffline) && device.ActivatedAt.IsZero():
		return nil, errInactiveDevice
	case errors.Is(err, command.ErrOffline):
		return nil, errOfflineDevice
	case errors.Is(err, command.ErrQueueFull):
		return nil, errQueueFull
	case errors.Is(err, command.ErrUnitTooLong):
		return nil, badParameter("MessageContent has %d bytes; a data unit has at most %d.", len(unit), codec.MaxUnitSize)
	case errors.Is(err, command.ErrClosed), errors.Is(err, command.ErrStore):
		// Nothing was written to the vehicle, so SDKs that repeat a call after a 5xx may do so.
		return nil, errServiceUnavailable
	}
	return nil, err
}

func productKeyOf(c *call) (string, error) {
	key := c.params["ProductKey"]
	if key == "" {
		return "", errNullProductKey
	}
	if !command.ValidProductKey(key) {
		return "", errBadProductKey
	}
	return key, nil
}

func deviceNameOf(c *call) (codec.VIN, error) {
	name := c.params["DeviceName"]
	if name == "" {
		return codec.VIN{}, errNullDeviceName
	}
	if !command.ValidDeviceName(name) {
		return codec.VIN{}, errBadDeviceName
	}
	vin, err := codec.ParseVIN(name)
	if err != nil {
		return codec.VIN{}, errBadDeviceName
	}
	return vin, nil
}

// unitOf decodes MessageContent: the base64 of a data unit.
func unitOf(content string) ([]byte, error) {
	if content == "" {
		return nil, errNullContent
	}
	unit, err := base64.StdEncoding.DecodeString(content)
	if err != nil {
		return nil, errContentBase64
	}
	if len(unit) == 0 {
		return nil, errNullContent
	}
	// No data unit of these commands begins so: it would be a time in month 35 or 36.
	if _, err := codec.ParseFrame(unit); err == nil || errors.Is(err, codec.ErrCheck) {
		return nil, badParameter("MessageContent is a whole GB/T 32960 frame (it begins with %q). Give the data unit only: "+
			"the gateway builds the frame around it, with the command of ExtInfo and DeviceName as VIN.", unit[:2])
	}
	return unit, nil
}

// commandOf reads ExtInfo, a JSON object as text: {"commandType":128}. 129 and 130 are the other two commands.
func commandOf(extInfo string) (codec.Command, error) {
	if extInfo == "" {
		return 0, badParameter(`ExtInfo is empty. A GB/T 32960 device needs ExtInfo={"commandType":128|129|130}.`)
	}
	var info struct {
		CommandType json.RawMessage `json:"commandType"`
	}
	if err := json.Unmarshal([]byte(extInfo), &info); err != nil {
		return 0, badParameter(`ExtInfo is not a JSON object such as {"commandType":128}.`)
	}
	// Callers that build the JSON from strings quote the number.
	switch number := string(bytes.Trim(info.CommandType, `"`)); number {
	case "128":
		return codec.CommandParamQuery, nil
	case "129":
		return codec.CommandParamSet, nil
	case "130":
		return codec.CommandControl, nil
	case "":
		return 0, badParameter("ExtInfo has no commandType. It must be 128 (query), 129 (setting) or 130 (control).")
	}
	return 0, badParameter("The commandType of ExtInfo must be 128 (query), 129 (setting) or 130 (control).")
}
