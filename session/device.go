package session

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Device is a registered vehicle. Times are UTC to the millisecond, zero for never. The tags say what
// AppendJSON writes; docs/schema is made of them.
type Device struct {
	VIN           codec.VIN     `json:"vin"`
	ProductKey    string        `json:"productKey"`
	RegisteredAt  time.Time     `json:"registeredAt,omitzero" schema:"utc"`
	ActivatedAt   time.Time     `json:"activatedAt,omitzero" schema:"utc"` // of the first login
	LastOnlineAt  time.Time     `json:"lastOnlineAt,omitzero" schema:"utc"`
	LastOfflineAt time.Time     `json:"lastOfflineAt,omitzero" schema:"utc"`
	OfflineReason Reason        `json:"offlineReason,omitempty"`            // why it went offline last
	ICCID         string        `json:"iccid,omitempty"`                    // of the last login
	Edition       codec.Edition `json:"edition,omitempty"`                  // of the last login, none before the first
	Disabled      bool          `json:"disabled,omitempty"`                 // it may not log in
	Node          string        `json:"node,omitempty"`                     // the gateway that served it last
	Platform      string        `json:"platform,omitempty"`                 // the platform that relayed it last, none for a vehicle link
	Session       uint64        `json:"session,omitempty" schema:"session"` // the ID of its last session
}

// Online reports whether the device is online as far as the registry knows: after a crash it says
// so until RecoverOnline has run.
func (d *Device) Online() bool { return d.LastOnlineAt.After(d.LastOfflineAt) }

// Status is where a device is, in the words of Alibaba Cloud's API.
type Status string

// The statuses.
const (
	StatusUnactive Status = "UNACTIVE" // registered, never online
	StatusOnline   Status = "ONLINE"
	StatusOffline  Status = "OFFLINE"
	StatusDisable  Status = "DISABLE" // it may not log in, whatever it was before
)

// Status tells where the device is, as far as the registry knows.
func (d *Device) Status() Status {
	switch {
	case d.Disabled:
		return StatusDisable
	case d.Online():
		return StatusOnline
	case d.ActivatedAt.IsZero():
		return StatusUnactive
	}
	return StatusOffline
}

// AppendJSON appends the device as one JSON object with the keys of a registry entry: vin productKey
// registeredAt activatedAt lastOnlineAt lastOfflineAt offlineReason iccid edition disabled node
// platform session. Keys without a value are left out.
func (d *Device) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendVIN(dst, d.VIN)
	dst = append(dst, `,"productKey":`...)
	dst = appendString(dst, d.ProductKey)
	for _, f := range [...]struct {
		key string
		at  time.Time
	}{
		{`,"registeredAt":`, d.RegisteredAt},
		{`,"activatedAt":`, d.ActivatedAt},
		{`,"lastOnlineAt":`, d.LastOnlineAt},
		{`,"lastOfflineAt":`, d.LastOfflineAt},
	} {
		if !f.at.IsZero() {
			dst = append(dst, f.key...)
			dst = appendTime(dst, f.at)
		}
	}
	if d.OfflineReason != "" {
		dst = append(dst, `,"offlineReason":`...)
		dst = appendString(dst, string(d.OfflineReason))
	}
	if d.ICCID != "" {
		dst = append(dst, `,"iccid":`...)
		dst = AppendWireString(dst, d.ICCID)
	}
	if d.Edition != 0 {
		dst = append(dst, `,"edition":`...)
		dst = strconv.AppendUint(dst, uint64(d.Edition), 10)
	}
	if d.Disabled {
		dst = append(dst, `,"disabled":true`...)
	}
	if d.Node != "" {
		dst = append(dst, `,"node":`...)
		dst = appendString(dst, d.Node)
	}
	if d.Platform != "" {
		dst = append(dst, `,"platform":`...)
		dst = AppendWireString(dst, d.Platform)
	}
	if d.Session != 0 {
		dst = append(dst, `,"session":"`...)
		dst = AppendID(dst, d.Session)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// MarshalJSON returns what AppendJSON appends.
func (d Device) MarshalJSON() ([]byte, error) { return d.AppendJSON(nil), nil }

// record is a device as the registry keeps it: no pointers, so that the collector passes over a
// million of them without looking, and times in Unix milliseconds, 0 for never.
type record struct {
	registered int64
	changed    int64 // the last administrative change: registered, disabled, enabled
	activated  int64
	online     int64
	offline    int64
	session    uint64
	product    symbol
	node       symbol
	platform   symbol
	reason     symbol
	iccid      ICCID
	edition    codec.Edition
	disabled   bool
}

func (r *record) isOnline() bool { return r.online > r.offline }

// device spells the record out.
func (r *record) device(vin codec.VIN, names *symbols) Device {
	return Device{
		VIN: vin, ProductKey: names.text(r.product),
		RegisteredAt: fromMilli(r.registered), ActivatedAt: fromMilli(r.activated),
		LastOnlineAt: fromMilli(r.online), LastOfflineAt: fromMilli(r.offline),
		OfflineReason: Reason(names.text(r.reason)), ICCID: r.iccid.String(), Edition: r.edition,
		Disabled: r.disabled, Node: names.text(r.node), Platform: names.text(r.platform), Session: r.session,
	}
}

// appendStored appends the record as the bucket holds it: the device's JSON and storedMarks.
func (r *record) appendStored(dst []byte, vin codec.VIN, names *symbols, writer string) []byte {
	d := r.device(vin, names)
	dst = d.AppendJSON(dst)
	dst = append(dst[:len(dst)-1], `,"changedAt":`...)
	dst = appendTime(dst, time.UnixMilli(r.changed))
	dst = append(dst, `,"writer":`...)
	dst = appendString(dst, writer)
	return append(dst, '}')
}

// storedMarks are what nodes need to agree. docs/schema is made of Device and them.
type storedMarks struct {
	ChangedAt time.Time `json:"changedAt" schema:"utc"` // the last administrative change: registered, disabled, enabled
	Writer    string    `json:"writer"`                 // the node that wrote it
}

// storedDevice is the JSON of a bucket entry. The VIN and the product are those of the key, whose
// bytes are exact.
type storedDevice struct {
	storedMarks
	RegisteredAt  time.Time     `json:"registeredAt"`
	ActivatedAt   time.Time     `json:"activatedAt"`
	LastOnlineAt  time.Time     `json:"lastOnlineAt"`
	LastOfflineAt time.Time     `json:"lastOfflineAt"`
	OfflineReason string        `json:"offlineReason"`
	ICCID         string        `json:"iccid"`
	Edition       codec.Edition `json:"edition"`
	Disabled      bool          `json:"disabled"`
	Node          string        `json:"node"`
	Platform      string        `json:"platform"`
	Session       string        `json:"session"`
}

// parseStored reads a bucket entry of the given product.
func parseStored(value []byte, product symbol, names *symbols) (r record, writer string, err error) {
	var s storedDevice
	if err := json.Unmarshal(value, &s); err != nil {
		return record{}, "", err
	}
	r = record{
		registered: toMilli(s.RegisteredAt), changed: toMilli(s.ChangedAt), activated: toMilli(s.ActivatedAt),
		online: toMilli(s.LastOnlineAt), offline: toMilli(s.LastOfflineAt),
		product: product, node: names.intern(s.Node), platform: names.intern(s.Platform), reason: names.intern(s.OfflineReason),
		iccid: MakeICCID([]byte(s.ICCID)), edition: s.Edition, disabled: s.Disabled,
	}
	if s.Session != "" {
		if r.session, err = strconv.ParseUint(s.Session, 16, 64); err != nil {
			return record{}, "", fmt.Errorf("session: %w", err)
		}
	}
	return r, s.Writer, nil
}

func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func toMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// deviceKey returns a device's key in the bucket: <productKey>.<vin>, each as a [Token].
func deviceKey(productKey string, vin codec.VIN) string {
	key := make([]byte, 0, 3*(len(productKey)+codec.VINSize)+2)
	key = AppendToken(key, productKey)
	key = append(key, '.')
	return string(AppendToken(key, vin.String()))
}

// parseDeviceKey is the inverse of deviceKey.
func parseDeviceKey(key string) (productKey string, vin codec.VIN, err error) {
	product, id, ok := strings.Cut(key, ".")
	if !ok {
		return "", codec.VIN{}, fmt.Errorf("%w: %q has no dot", ErrToken, key)
	}
	if productKey, err = Untoken(product); err != nil {
		return "", codec.VIN{}, err
	}
	if id, err = Untoken(id); err != nil {
		return "", codec.VIN{}, err
	}
	vin, err = codec.ParseVIN(id)
	return productKey, vin, err
}
