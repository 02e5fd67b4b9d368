package mqttdevice

import (
	"fmt"
	"strings"

	"github.com/tboxgate/tboxgate/session"
)

// Device is a registered MQTT device. Its secret is not part of it. Times are UTC to the millisecond, zero for never.
type Device struct {
	ProductKey    string            `json:"productKey"`
	DeviceName    string            `json:"deviceName"`
	RegisteredAt  session.Timestamp `json:"registeredAt,omitzero"`
	Disabled      bool              `json:"disabled,omitempty"`
	ActivatedAt   session.Timestamp `json:"activatedAt,omitzero"` // of the first connection
	LastOnlineAt  session.Timestamp `json:"lastOnlineAt,omitzero"`
	LastOfflineAt session.Timestamp `json:"lastOfflineAt,omitzero"`
	OfflineReason session.Reason    `json:"offlineReason,omitempty"`
	Node          string            `json:"node,omitempty"`    // the node that served it last
	Session       string            `json:"session,omitempty"` // of the last connection
	Remote        string            `json:"remote,omitempty"`  // where it connected from last
}

// Online reports whether the device is connected, as far as the registry knows.
func (d *Device) Online() bool { return d.LastOnlineAt.After(d.LastOfflineAt.Time) }

// Status tells where the device is, in the words of Alibaba Cloud's API.
func (d *Device) Status() session.Status {
	switch {
	case d.Disabled:
		return session.StatusDisable
	case d.Online():
		return session.StatusOnline
	case d.ActivatedAt.IsZero():
		return session.StatusUnactive
	}
	return session.StatusOffline
}

// registration is the administrative entry of the bucket, under <productKey>.<deviceName>.
type registration struct {
	RegisteredAt session.Timestamp `json:"registeredAt"`
	Secret       []byte            `json:"secret"`             // sealed
	Disabled     bool              `json:"disabled,omitempty"` // it may not connect
}

// presence is the other entry, under <productKey>.<deviceName>.last. The two are apart because different nodes write them.
type presence struct {
	ActivatedAt   session.Timestamp `json:"activatedAt"` // of the first connection
	LastOnlineAt  session.Timestamp `json:"lastOnlineAt"`
	LastOfflineAt session.Timestamp `json:"lastOfflineAt,omitzero"`
	OfflineReason session.Reason    `json:"offlineReason,omitempty"`  // why it went offline last
	Node          string            `json:"node"`                     // the gateway that served it last
	Session       string            `json:"session" schema:"session"` // of the last connection
	Remote        string            `json:"remote" schema:"remote"`   // where it connected from last
}

const lastSuffix = ".last"

// deviceKey names a device; it is comparable and a map's key.
type deviceKey struct{ product, name string }

func (k deviceKey) bucketKey() string { return session.Token(k.product) + "." + session.Token(k.name) }

func (k deviceKey) String() string { return k.name + " of product " + k.product }

// sealContext binds a sealed secret to its device.
func (k deviceKey) sealContext() string { return "mqttDevice " + k.product + " " + k.name }

func parseKey(key string) (k deviceKey, err error) {
	product, name, ok := strings.Cut(key, ".")
	if !ok {
		return k, fmt.Errorf("%q has no dot", key)
	}
	if k.product, err = session.Untoken(product); err != nil {
		return k, err
	}
	k.name, err = session.Untoken(name)
	return k, err
}
