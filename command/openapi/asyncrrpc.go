package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
)

// asyncRRpc is the operation AsyncRRpc: it sends a command to a vehicle, or a message to a topic of an MQTT device, and
// answers with its MessageId as soon as it is on its way. What the vehicle answers is told by GetAsyncRRpcResult. Checks come
// in the order product key, device name, content, ExtInfo or topic, rights, product, instance, device, state, data unit.
func (h *Handler) asyncRRpc(ctx context.Context, c *call) ([]field, error) {
	const name = "MessageContent"
	productKey, deviceName, err := h.addressOf(c)
	if err != nil {
		return nil, err
	}
	content, err := contentOf(c.params[name])
	if err != nil {
		return nil, err
	}
	if h.o.Products[productKey].Protocol == MQTT {
		return h.publish(ctx, c, productKey, deviceName, content)
	}
	if err := refuseNoUnit(name, content); err != nil {
		return nil, err
	}
	cmd, err := commandOf(c.params["ExtInfo"])
	if err != nil {
		return nil, err
	}
	id, err := h.sendCommand(ctx, c, productKey, deviceName, cmd, name, content)
	if err != nil {
		return nil, err
	}
	return []field{{"MessageId", id}}, nil
}

// sendCommand does what AsyncRRpc and RRpc have in common once their parameters have the right form.
func (h *Handler) sendCommand(ctx context.Context, c *call, productKey, deviceName string, cmd codec.Command, name string, content []byte) (int64, error) {
	product, err := h.product(c, rightOf(cmd), productKey)
	if err != nil {
		return 0, err
	}
	if !product.allows(cmd) {
		return 0, notOfProduct("Commands of this kind (%s) may not be sent to devices of product %s.", rightOf(cmd), productKey)
	}
	vin, err := codec.ParseVIN(deviceName)
	if err != nil {
		return 0, errBadDeviceName
	}
	device, ok := h.o.Devices.Lookup(vin)
	switch {
	case !ok || device.ProductKey != productKey:
		return 0, errNoDevice
	case device.Disabled:
		return 0, errDisabledDevice
	case !device.Online():
		// The session table has the last word below; but a call to a vehicle that is not there is not worth a look at its unit.
		if h.o.Sessions != nil && h.o.Sessions.Get(vin) == nil {
			return 0, offline(&device)
		}
	}
	unit, err := h.checkedUnit(c, product, name, content, cmd, device.Edition)
	if err != nil {
		return 0, err
	}
	id, err := h.o.Commands.Send(ctx, command.Request{
		ProductKey: productKey, DeviceName: vin.String(), Command: cmd, Unit: unit, RequestID: c.requestID, AccessKeyID: c.key.ID,
	})
	switch {
	case err == nil:
		c.sent = true
		return id, nil
	case errors.Is(err, command.ErrOffline):
		return 0, offline(&device)
	case errors.Is(err, command.ErrQueueFull):
		return 0, errQueueFull
	case errors.Is(err, command.ErrUnitTooLong):
		return 0, badParameter("%s has %d bytes; a data unit has at most %d.", name, len(unit), codec.MaxUnitSize)
	case errors.Is(err, command.ErrClosed), errors.Is(err, command.ErrStore):
		// Nothing was written to the vehicle, so SDKs that repeat a call after a 5xx may do so.
		return 0, errServiceUnavailable
	}
	return 0, err
}

func offline(d *session.Device) error {
	if d.ActivatedAt.IsZero() {
		return errInactiveDevice
	}
	return errOfflineDevice
}

// publish sends a message to a topic of an MQTT device.
func (h *Handler) publish(ctx context.Context, c *call, productKey, deviceName string, payload []byte) ([]field, error) {
	topic := c.params["TopicFullName"]
	if topic == "" {
		return nil, badParameter("TopicFullName is empty. A device of an MQTT product (%s is one) needs the topic that it subscribes to.", productKey)
	}
	if _, err := h.product(c, RightPublish, productKey); err != nil {
		return nil, err
	}
	if h.o.Topics == nil {
		return nil, errNoBroker
	}
	id, err := h.o.Topics.Deliver(ctx, TopicMessage{
		ProductKey: productKey, DeviceName: deviceName, Topic: topic, Payload: payload, RequestID: c.requestID, AccessKeyID: c.key.ID,
	})
	switch {
	case err == nil:
		c.sent = true
		return []field{{"MessageId", id}}, nil
	case errors.Is(err, ErrTopicDevice):
		return nil, errNoDevice
	case errors.Is(err, ErrTopicDisabled):
		return nil, errDisabledDevice
	case errors.Is(err, ErrTopicInactive):
		return nil, errInactiveDevice
	case errors.Is(err, ErrTopicOffline):
		return nil, errOfflineDevice
	case errors.Is(err, ErrTopicFormat), errors.Is(err, ErrTopicTooLong):
		return nil, badParameter("TopicFullName or MessageContent: %v.", err)
	case errors.Is(err, ErrTopicPermission):
		return nil, notOfProduct("The device %s may not subscribe to the topic %s.", deviceName, topic)
	case errors.Is(err, ErrTopicSubscriber):
		return nil, errNotSubscribed
	case errors.Is(err, ErrTopicBusy):
		return nil, errQueueFull
	case errors.Is(err, command.ErrClosed), errors.Is(err, command.ErrStore):
		return nil, errServiceUnavailable
	}
	return nil, err
}

// addressOf reads ProductKey and DeviceName and holds them against their forms, in this order.
func (h *Handler) addressOf(c *call) (productKey, deviceName string, err error) {
	if productKey, err = productKeyOf(c); err != nil {
		return "", "", err
	}
	name := c.params["DeviceName"]
	if name == "" {
		return "", "", errNullDeviceName
	}
	if !h.validDeviceName(productKey, name) {
		return "", "", errBadDeviceName
	}
	return productKey, name, nil
}

// validDeviceName reports whether a name has the form that names have in a product: a VIN has up to 17 bytes, the name of an
// MQTT device up to 32.
func (h *Handler) validDeviceName(productKey, name string) bool {
	if h.o.Products[productKey].Protocol == MQTT {
		return command.ValidTopicDeviceName(name)
	}
	return command.ValidDeviceName(name)
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

// product finds the product of a call whose key must have a right to it, and holds IotInstanceId against its settings.
func (h *Handler) product(c *call, r Right, productKey string) (*Product, error) {
	if err := c.permit(r, productKey); err != nil {
		return nil, err
	}
	p, known := h.o.Products[productKey]
	switch {
	case !known:
		return nil, errNoProduct
	case p.InstanceID != "" && c.params["IotInstanceId"] != p.InstanceID:
		return nil, errNoInstance
	}
	return &p, nil
}

// commandOf reads ExtInfo, a JSON object as text: {"commandType":128}. 129 and 130 are the other two commands.
func commandOf(extInfo string) (codec.Command, error) {
	if extInfo == "" {
		return 0, badParameter(`ExtInfo is empty. A GB/T 32960 device needs ExtInfo={"commandType":128|129|130}.`)
	}
	var info *struct {
		CommandType json.RawMessage `json:"commandType"`
	}
	if err := json.Unmarshal([]byte(extInfo), &info); err != nil || info == nil {
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
	case "", "null":
		return 0, badParameter("ExtInfo has no commandType. It must be 128 (query), 129 (setting) or 130 (control).")
	}
	return 0, badParameter("The commandType of ExtInfo must be 128 (query), 129 (setting) or 130 (control).")
}
