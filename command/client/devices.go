package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"time"
)

// Message is a message to a topic of an MQTT device.
type Message struct {
	ProductKey string
	DeviceName string
	Topic      string // /{productKey}/{deviceName}/…, to which the device subscribes
	Payload    []byte
}

// Publish sends a message to an MQTT device (AsyncRRpc with TopicFullName) and returns its message id. Wait tells whether the
// device has acknowledged it, which it does when it subscribes with QoS 1. The error is ErrNotSubscribed when it does not
// subscribe to the topic.
func (c *Client) Publish(ctx context.Context, m Message) (messageID int64, err error) {
	var answer struct{ MessageID int64 }
	err = c.call(ctx, "AsyncRRpc", map[string]string{
		"ProductKey": m.ProductKey, "DeviceName": m.DeviceName, "TopicFullName": m.Topic,
		"MessageContent": base64.StdEncoding.EncodeToString(m.Payload),
	}, &answer)
	return answer.MessageID, err
}

// The states of a device.
const (
	StatusUnactive = "UNACTIVE" // registered, never online
	StatusOnline   = "ONLINE"
	StatusOffline  = "OFFLINE"
	StatusDisable  = "DISABLE"
)

// Status returns the state of a vehicle or MQTT device (GetDeviceStatus), and since when it is so.
func (c *Client) Status(ctx context.Context, productKey, deviceName string) (status string, since time.Time, err error) {
	var answer struct {
		Data struct {
			Status    string
			Timestamp int64
		}
	}
	err = c.call(ctx, "GetDeviceStatus", deviceParams(productKey, deviceName), &answer)
	return answer.Data.Status, fromMilli(answer.Data.Timestamp), err
}

// State is the state of one device of several.
type State struct {
	DeviceName string
	Status     string
	AsAddress  string // IP address of its connection, "" when it is not known
	Timestamp  int64  // since when, Unix milliseconds
}

// States returns the states of up to 50 devices of a product (BatchGetDeviceState). Devices that there are not are left out.
func (c *Client) States(ctx context.Context, productKey string, deviceNames ...string) ([]State, error) {
	params := map[string]string{"ProductKey": productKey}
	for i, name := range deviceNames {
		params["DeviceName."+strconv.Itoa(i+1)] = name
	}
	var answer struct {
		DeviceStatusList struct{ DeviceStatus []State }
	}
	err := c.call(ctx, "BatchGetDeviceState", params, &answer)
	return answer.DeviceStatusList.DeviceStatus, err
}

// Detail is what the gateway tells about a device. Times are zero for never.
type Detail struct {
	ProductName string
	DeviceName  string
	Status      string
	IPAddress   string
	Created     time.Time
	Active      time.Time // first time online
	Online      time.Time // last time it went online
}

// Detail returns what there is to tell about a device (QueryDeviceDetail).
func (c *Client) Detail(ctx context.Context, productKey, deviceName string) (Detail, error) {
	var answer struct {
		Data struct {
			ProductName, DeviceName, Status, IPAddress string
			UtcCreate, UtcActive, UtcOnline            string
		}
	}
	err := c.call(ctx, "QueryDeviceDetail", deviceParams(productKey, deviceName), &answer)
	d := answer.Data
	return Detail{
		ProductName: d.ProductName, DeviceName: d.DeviceName, Status: d.Status, IPAddress: d.IPAddress,
		Created: fromText(d.UtcCreate), Active: fromText(d.UtcActive), Online: fromText(d.UtcOnline),
	}, err
}

// ListedDevice is one device of a list.
type ListedDevice struct {
	DeviceName   string
	DeviceStatus string
	UtcCreate    string // RFC 3339
}

// Devices lists the devices of a product in the order of their names (QueryDevice). The loop ends with the first error.
func (c *Client) Devices(ctx context.Context, productKey string) iter.Seq2[ListedDevice, error] {
	return func(yield func(ListedDevice, error) bool) {
		token := ""
		for {
			params := map[string]string{"ProductKey": productKey, "PageSize": "50"}
			if token != "" {
				params["NextToken"] = token
			}
			var answer struct {
				Data      struct{ DeviceInfo []ListedDevice }
				NextToken string
			}
			if err := c.call(ctx, "QueryDevice", params, &answer); err != nil {
				yield(ListedDevice{}, err)
				return
			}
			for _, d := range answer.Data.DeviceInfo {
				if !yield(d, nil) {
					return
				}
			}
			if token = answer.NextToken; token == "" {
				return
			}
		}
	}
}

// Imported is what has become of a list of VINs.
type Imported struct {
	Invalid  map[string]string // those that cannot be registered, and why
	Repeated []string          // those that were registered before
}

// Register adds up to 10,000 vehicles to a product (BatchImportVehicleDevice).
func (c *Client) Register(ctx context.Context, productKey string, vins ...string) (Imported, error) {
	params := map[string]string{"ProductKey": productKey}
	for i, vin := range vins {
		params[fmt.Sprintf("DeviceList.%d.DeviceName", i+1)] = vin
	}
	var answer struct {
		Data struct {
			RepeatedDeviceNameList struct{ RepeatedDeviceNameList []string }
			InvalidDetailList      invalidDetails
		}
	}
	err := c.call(ctx, "BatchImportVehicleDevice", params, &answer)
	result := Imported{Invalid: map[string]string{}, Repeated: answer.Data.RepeatedDeviceNameList.RepeatedDeviceNameList}
	for _, d := range answer.Data.InvalidDetailList {
		result.Invalid[d.DeviceName] = d.ErrorMsg
	}
	return result, err
}

// invalidDetails is a list that signed calls get as an array, as the SDKs of the old generation want it, and unsigned ones in
// an object.
type invalidDetails []struct{ DeviceName, ErrorMsg string }

// UnmarshalJSON takes both forms.
func (l *invalidDetails) UnmarshalJSON(text []byte) error {
	type plain invalidDetails
	if bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, (*plain)(l))
	}
	var nested struct{ InvalidDetailList plain }
	err := json.Unmarshal(text, &nested)
	*l = invalidDetails(nested.InvalidDetailList)
	return err
}

// Delete removes a vehicle from a product (DeleteDevice); one that is online is cut off.
func (c *Client) Delete(ctx context.Context, productKey, deviceName string) error {
	var answer struct{}
	return c.call(ctx, "DeleteDevice", deviceParams(productKey, deviceName), &answer)
}

func deviceParams(productKey, deviceName string) map[string]string {
	return map[string]string{"ProductKey": productKey, "DeviceName": deviceName}
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// fromText reads a time of an answer; "" is never.
func fromText(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
