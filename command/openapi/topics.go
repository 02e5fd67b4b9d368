package openapi

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Topics are the devices of MQTT products: they are found by product and name, and reached by the topics that they subscribe
// to. The MQTT broker implements it.
type Topics interface {
	// Deliver sends a message to a topic of a device and returns its message id as soon as the message is on its way. When it
	// returns an error nothing was sent; the errors below, to be tested with errors.Is, have codes of their own.
	Deliver(ctx context.Context, m TopicMessage) (id int64, err error)
	// Device finds a registered device.
	Device(productKey, deviceName string) (Device, bool)
	// Devices lists the devices of a product in the order of their names.
	Devices(productKey string) iter.Seq[Device]
}

// TopicMessage is a message to one topic of one MQTT device.
type TopicMessage struct {
	ProductKey string
	DeviceName string
	Topic      string // TopicFullName as the call gave it, not empty
	Payload    []byte // the decoded MessageContent
	// RequestID and AccessKeyID say who asked, for the message's events.
	RequestID   string
	AccessKeyID string
}

// Errors of Topics.Deliver.
var (
	ErrTopicDevice     = errors.New("the device is not registered")           // iot.Device.NotExistedDevice
	ErrTopicDisabled   = errors.New("the device is disabled")                 // iot.device.DisabledDevice
	ErrTopicInactive   = errors.New("the device has never been connected")    // iot.device.InactiveDevice
	ErrTopicOffline    = errors.New("the device is not connected")            // iot.device.OfflineDevice
	ErrTopicFormat     = errors.New("the topic has not the right form")       // iot.common.InvalidFormattedParameter
	ErrTopicPermission = errors.New("the device may not use the topic")       // iot.common.AuthActionPermissionDeny
	ErrTopicSubscriber = errors.New("the device does not subscribe to it")    // iot.messagebroker.NotSubscribed
	ErrTopicBusy       = errors.New("too many messages wait for the device")  // iot.messagebroker.RateLimit
	ErrTopicTooLong    = errors.New("the message is too long for the broker") // iot.common.InvalidFormattedParameter
)

// Device is a device of any protocol as the operations tell about it. Times are zero for never.
type Device struct {
	ProductKey    string
	DeviceName    string
	RegisteredAt  time.Time
	ActivatedAt   time.Time // first connection
	LastOnlineAt  time.Time
	LastOfflineAt time.Time
	Online        bool
	Disabled      bool
	Session       string // id of its session here while online, for log lines
	Remote        string // IP address of the connection while online, as far as this gateway knows
}
