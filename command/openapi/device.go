package openapi

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/session"
)

// gmtFormat writes the Gmt… and LastOnlineTime members: Beijing time. The Utc… members are of timeFormat.
const gmtFormat = "2006-01-02 15:04:05"

// The operations on one device take ProductKey and DeviceName, or IotId, which wins. An IotId is <ProductKey>.<DeviceName>:
// product keys have no dot.

func iotID(d *Device) string { return d.ProductKey + "." + d.DeviceName }

// device finds the device that a call names. The access key must have the right.
func (h *Handler) device(c *call, r Right) (*Product, *Device, error) {
	var productKey, deviceName string
	if id := c.params["IotId"]; id != "" {
		var ok bool
		if productKey, deviceName, ok = splitIotID(id); !ok {
			return nil, nil, errNotExisted
		}
	} else {
		var err error
		if productKey, deviceName, err = h.addressOf(c); err != nil {
			return nil, nil, err
		}
	}
	p, err := h.product(c, r, productKey)
	if err != nil {
		return nil, nil, err
	}
	d, ok := h.find(p, deviceName)
	if !ok {
		return nil, nil, errNotExisted
	}
	return p, &d, nil
}

func splitIotID(id string) (productKey, deviceName string, ok bool) {
	productKey, deviceName, ok = strings.Cut(id, ".")
	return productKey, deviceName, ok && command.ValidProductKey(productKey) && deviceName != ""
}

// find looks a device of a product up.
func (h *Handler) find(p *Product, name string) (Device, bool) {
	if p.Protocol == MQTT {
		if h.o.Topics == nil {
			return Device{}, false
		}
		return h.o.Topics.Device(p.Key, name)
	}
	vin, err := codec.ParseVIN(name)
	if err != nil {
		return Device{}, false
	}
	d, ok := h.o.Devices.Lookup(vin)
	if !ok || d.ProductKey != p.Key {
		return Device{}, false
	}
	return h.vehicle(&d), true
}

// vehicle is a vehicle of the registry as a Device.
func (h *Handler) vehicle(d *session.Device) Device {
	out := Device{
		ProductKey: d.ProductKey, DeviceName: d.VIN.String(), RegisteredAt: d.RegisteredAt, ActivatedAt: d.ActivatedAt,
		LastOnlineAt: d.LastOnlineAt, LastOfflineAt: d.LastOfflineAt, Online: d.Online(), Disabled: d.Disabled,
	}
	if h.o.Sessions != nil {
		if s := h.o.Sessions.Get(d.VIN); s != nil && s.Link != nil {
			out.Remote = s.Link.Remote().Addr().Unmap().String()
		}
	}
	return out
}

// status is the device's state in Alibaba Cloud's words.
func (d *Device) status() string {
	switch {
	case d.Disabled:
		return string(session.StatusDisable)
	case d.Online:
		return string(session.StatusOnline)
	case d.ActivatedAt.IsZero():
		return string(session.StatusUnactive)
	}
	return string(session.StatusOffline)
}

// changedAt is when the device came into the state that status tells, as far as that is known.
func (d *Device) changedAt() time.Time {
	switch {
	case d.Online:
		return d.LastOnlineAt
	case d.ActivatedAt.IsZero():
		return d.RegisteredAt
	}
	return d.LastOfflineAt
}

func gmt(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(codec.Beijing).Format(gmtFormat)
}

func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeFormat)
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// getDeviceStatus is the operation GetDeviceStatus. Timestamp is when the device came into that state.
func (h *Handler) getDeviceStatus(_ context.Context, c *call) ([]field, error) {
	_, d, err := h.device(c, RightRead)
	if err != nil {
		return nil, err
	}
	return []field{{"Data", []field{{"Status", d.status()}, {"Timestamp", milli(d.changedAt())}}}}, nil
}

// maxStates is how many devices one call of BatchGetDeviceState may name.
const maxStates = 50

// batchGetDeviceState is the operation BatchGetDeviceState: ProductKey and DeviceName.1, DeviceName.2, …, or IotId.1, …, which
// win. Devices that there are not are left out.
func (h *Handler) batchGetDeviceState(_ context.Context, c *call) ([]field, error) {
	ids, err := c.list("IotId", maxStates)
	if err != nil {
		return nil, err
	}
	names := ids
	if len(ids) == 0 {
		if _, err := productKeyOf(c); err != nil {
			return nil, err
		}
		if names, err = c.list("DeviceName", maxStates); err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, errNullDeviceName
		}
	}
	states := list{}
	for _, name := range names {
		productKey := c.params["ProductKey"]
		if len(ids) > 0 {
			var ok bool
			if productKey, name, ok = splitIotID(name); !ok {
				continue
			}
		} else if !h.validDeviceName(productKey, name) {
			return nil, errBadDeviceName
		}
		p, err := h.product(c, RightRead, productKey)
		if err != nil {
			return nil, err
		}
		d, ok := h.find(p, name)
		if !ok {
			continue
		}
		states = append(states, []field{
			{"DeviceId", ""}, {"DeviceName", d.DeviceName}, {"IotId", iotID(&d)}, {"Status", d.status()}, {"AsAddress", d.Remote},
			{"LastOnlineTime", gmt(d.LastOnlineAt)}, {"Timestamp", milli(d.changedAt())},
		})
	}
	return []field{{"DeviceStatusList", []field{{"DeviceStatus", states}}}}, nil
}

// queryDeviceDetail is the operation QueryDeviceDetail. Secrets are not told.
func (h *Handler) queryDeviceDetail(_ context.Context, c *call) ([]field, error) {
	p, d, err := h.device(c, RightRead)
	if err != nil {
		return nil, err
	}
	return []field{{"Data", []field{
		{"IotId", iotID(d)}, {"ProductKey", p.Key}, {"ProductName", p.Name}, {"DeviceName", d.DeviceName}, {"DeviceSecret", ""},
		{"Status", d.status()}, {"NodeType", int64(0)}, {"Region", c.params["RegionId"]}, {"IpAddress", d.Remote},
		{"GmtCreate", gmt(d.RegisteredAt)}, {"UtcCreate", utc(d.RegisteredAt)}, {"GmtActive", gmt(d.ActivatedAt)}, {"UtcActive", utc(d.ActivatedAt)},
		{"GmtOnline", gmt(d.LastOnlineAt)}, {"UtcOnline", utc(d.LastOnlineAt)}, {"Nickname", ""}, {"FirmwareVersion", ""}, {"Owner", true},
	}}}, nil
}

// queryVehicleDevice is the operation QueryVehicleDevice.
func (h *Handler) queryVehicleDevice(_ context.Context, c *call) ([]field, error) {
	p, d, err := h.device(c, RightRead)
	if err != nil {
		return nil, err
	}
	protocol := "GB32960"
	if p.Protocol == MQTT {
		protocol = "MQTT"
	}
	changed := d.RegisteredAt
	for _, t := range []time.Time{d.LastOnlineAt, d.LastOfflineAt} {
		if t.After(changed) {
			changed = t
		}
	}
	return []field{{"Data", []field{
		{"CreateTime", milli(d.RegisteredAt)}, {"ModifiedTime", milli(changed)}, {"DeviceName", d.DeviceName}, {"IotId", iotID(d)},
		{"ProductKey", p.Key}, {"Protocol", protocol},
	}}}, nil
}

// deleteDevice is the operation DeleteDevice. A vehicle that is online is cut off.
func (h *Handler) deleteDevice(ctx context.Context, c *call) ([]field, error) {
	p, d, err := h.device(c, RightImport)
	if err != nil {
		return nil, err
	}
	if p.Protocol == MQTT {
		return nil, errNotVehicles
	}
	vin, err := codec.ParseVIN(d.DeviceName)
	if err != nil {
		return nil, errNotExisted
	}
	return nil, h.stored(c, h.o.Devices.Delete(ctx, p.Key, vin))
}

// list reads the parameters name.1, name.2, … up to the first that is missing; more than most are refused.
func (c *call) list(name string, most int) ([]string, error) {
	var values []string
	for i := 1; ; i++ {
		v, ok := c.params[name+"."+strconv.Itoa(i)]
		if !ok {
			return values, nil
		}
		if i > most {
			return nil, badParameter("%s.%d: at most %d in a call.", name, i, most)
		}
		values = append(values, v)
	}
}
