package openapi

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

const (
	maxPageSize = 50
	// maxPages bounds what a page that is asked for by its number costs; NextToken has no bound.
	maxPages = 2000
	// maxImport is how many devices one call may register.
	maxImport = 10_000
)

// queryDevice is the operation QueryDevice: the devices of a product, 50 at most, by CurrentPage or by the NextToken of the
// page before, in the order of their names.
func (h *Handler) queryDevice(_ context.Context, c *call) ([]field, error) {
	productKey, err := productKeyOf(c)
	if err != nil {
		return nil, err
	}
	p, err := h.product(c, RightRead, productKey)
	if err != nil {
		return nil, err
	}
	size, err := c.number("PageSize", 10, maxPageSize)
	if err != nil {
		return nil, err
	}
	current, err := c.number("CurrentPage", 1, maxPages)
	if err != nil {
		return nil, err
	}
	var after string
	skip := (current - 1) * size
	if token := c.params["NextToken"]; token != "" {
		text, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || len(text) == 0 {
			return nil, badParameter("NextToken is not one that QueryDevice returned.")
		}
		after, skip = string(text), 0
	}
	page, total, err := h.page(p, after, skip, size)
	if err != nil {
		return nil, err
	}
	infos := list{}
	for i := range page {
		d := &page[i]
		infos = append(infos, []field{
			{"IotId", iotID(d)}, {"ProductKey", d.ProductKey}, {"DeviceName", d.DeviceName}, {"DeviceId", ""}, {"DeviceSecret", ""},
			{"DeviceStatus", d.status()}, {"DeviceType", productKey}, {"Nickname", ""}, {"GmtCreate", gmt(d.RegisteredAt)}, {"UtcCreate", utc(d.RegisteredAt)},
			{"GmtModified", gmt(d.changedAt())}, {"UtcModified", utc(d.changedAt())},
		})
	}
	answer := []field{
		{"Total", int64(total)}, {"PageSize", int64(size)}, {"PageCount", int64((total + size - 1) / size)}, {"Page", int64(current)},
		{"Data", []field{{"DeviceInfo", infos}}},
	}
	if len(page) == size { // there may be more
		answer = append(answer, field{"NextToken", base64.RawURLEncoding.EncodeToString([]byte(page[size-1].DeviceName))})
	}
	return answer, nil
}

// page returns up to n devices of a product, those behind after or from skip on, and how many there are.
func (h *Handler) page(p *Product, after string, skip, n int) (page []Device, total int, err error) {
	if p.Protocol == MQTT {
		if h.o.Topics == nil {
			return nil, 0, nil
		}
		for d := range h.o.Topics.Devices(p.Key) {
			total++
			switch {
			case d.DeviceName <= after:
			case skip > 0:
				skip--
			case len(page) < n:
				page = append(page, d)
			}
		}
		return page, total, nil
	}
	var from codec.VIN
	if after != "" {
		if from, err = codec.ParseVIN(after); err != nil {
			return nil, 0, badParameter("NextToken is not one that QueryDevice returned.")
		}
	}
	vehicles, total := h.o.Devices.Page(p.Key, from, skip, n)
	for i := range vehicles {
		page = append(page, h.vehicle(&vehicles[i]))
	}
	return page, total, nil
}

// number reads a parameter that is a number from 1 to most.
func (c *call) number(name string, standard, most int) (int, error) {
	text := c.params[name]
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badParameter("%s must be a number from 1 to %d.", name, most)
	}
	return n, nil
}

// batchImportVehicleDevice is the operation BatchImportVehicleDevice: it registers vehicles, DeviceList.1.DeviceName being the
// VIN, and returns when they are stored. Those that cannot be registered are listed; the others are registered all the same.
func (h *Handler) batchImportVehicleDevice(ctx context.Context, c *call) ([]field, error) {
	l, err := h.vehicleList(c)
	if err != nil {
		return nil, err
	}
	result, err := h.o.Devices.Register(ctx, l.product.Key, l.valid)
	if err := h.stored(c, err); err != nil {
		return nil, err
	}
	for _, item := range result.Items {
		l.note(item)
	}
	var details any = []field{{"InvalidDetailList", l.details}}
	if c.old { // the Go SDK of the old generation has another type for this one
		details = bareList(l.details)
	}
	return []field{{"Data", []field{
		{"ApplyId", h.o.Now().UnixMilli()},
		{"InvalidDeviceNameList", []field{{"InvalidDeviceNameList", l.invalid}}},
		{"RepeatedDeviceNameList", []field{{"RepeatedDeviceNameList", l.repeated}}},
		{"InvalidDetailList", details},
	}}}, nil
}

// batchCheckVehicleDevice is the operation BatchCheckVehicleDevice: the same without registering anything.
func (h *Handler) batchCheckVehicleDevice(_ context.Context, c *call) ([]field, error) {
	l, err := h.vehicleList(c)
	if err != nil {
		return nil, err
	}
	for i, name := range l.valid {
		item := session.RegisterItem{VIN: name, Status: session.Registered}
		vin, err := codec.ParseVIN(name)
		if err != nil {
			item.Status, item.Detail = session.InvalidVIN, err.Error()
		} else if d, known := h.o.Devices.Lookup(vin); known && d.ProductKey != l.product.Key {
			item.Status, item.Detail = session.OtherProduct, d.ProductKey
		} else if known || slices.Contains(l.valid[:i], name) {
			item.Status = session.AlreadyRegistered
		}
		l.note(item)
	}
	return []field{{"Data", []field{
		{"InvalidDeviceNameList", bareList(l.invalid)}, {"RepeatedDeviceNameList", bareList(l.repeated)}, {"InvalidDetailList", bareList(l.details)},
	}}}, nil
}

// vehicleList is the DeviceList of a call.
type vehicleList struct {
	product                    *Product
	valid                      []string
	invalid, repeated, details list
}

func (h *Handler) vehicleList(c *call) (*vehicleList, error) {
	productKey, err := productKeyOf(c)
	if err != nil {
		return nil, err
	}
	p, err := h.product(c, RightImport, productKey)
	if err != nil {
		return nil, err
	}
	if p.Protocol == MQTT {
		return nil, errNotVehicles
	}
	l := &vehicleList{product: p, invalid: list{}, repeated: list{}, details: list{}}
	for i := 1; ; i++ {
		name, ok := c.params["DeviceList."+strconv.Itoa(i)+".DeviceName"]
		switch {
		case !ok && i == 1:
			return nil, errNullDeviceName
		case !ok:
			return l, nil
		case i > maxImport:
			return nil, badParameter("DeviceList.%d: at most %d in a call.", i, maxImport)
		case h.validDeviceName(productKey, name):
			l.valid = append(l.valid, name)
		default:
			l.refuse(name, "A DeviceName is a VIN: 1 to 17 of A-Z a-z 0-9 - _ @ . :")
		}
	}
}

// note sorts the result for one VIN into the lists.
func (l *vehicleList) note(item session.RegisterItem) {
	switch item.Status {
	case session.AlreadyRegistered:
		l.repeated = append(l.repeated, item.VIN)
	case session.OtherProduct:
		l.refuse(item.VIN, "The VIN belongs to another product.")
	case session.InvalidVIN:
		l.refuse(item.VIN, item.Detail)
	}
}

func (l *vehicleList) refuse(name, why string) {
	l.invalid = append(l.invalid, name)
	l.details = append(l.details, []field{{"DeviceName", name}, {"ErrorMsg", why}})
}

// stored translates the errors of the registry's changes.
func (h *Handler) stored(c *call, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, session.ErrNotRegistered):
		return errNotExisted
	case errors.Is(err, session.ErrUnconfirmed), errors.Is(err, session.ErrClosed):
		h.o.Logger.Error("the registry does not store", "requestId", c.requestID, h.about(c.params), "error", err)
		return errServiceUnavailable // a repeated call changes nothing twice
	}
	return err
}
