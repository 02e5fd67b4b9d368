package openapi

import (
	"slices"

	"github.com/tboxgate/tboxgate/codec"
)

// Protocol is how the devices of a product are connected.
type Protocol string

// The protocols.
const (
	GBT32960 Protocol = "gbt32960" // vehicles; a DeviceName is a VIN
	MQTT     Protocol = "mqtt"     // MQTT devices, which AsyncRRpc reaches by their topics
)

// CheckUnit says what is done with a data unit that does not follow the standard's tables.
type CheckUnit string

// The ways of checking a data unit before it is sent.
const (
	CheckStrict CheckUnit = "strict" // the call is refused
	CheckWarn   CheckUnit = "warn"   // it is sent, and a log line says what is odd
	CheckOff    CheckUnit = "off"    // it is sent unread
)

// Product is one product key with its settings.
type Product struct {
	Key        string
	Name       string   // ProductName in answers; "" stands for the key
	Protocol   Protocol // "" stands for GBT32960
	InstanceID string   // the only IotInstanceId that calls may name; "" lets any pass
	// Commands are the kinds of command that may be sent to its vehicles; none stands for all.
	Commands []codec.Command
	// PrependTime puts Beijing time, six bytes, before the MessageContent of every call.
	PrependTime bool
	CheckUnit   CheckUnit // "" stands for CheckWarn
}

// Products are the products by their keys.
type Products map[string]Product

// NewProducts indexes products and fills what stands for a default.
func NewProducts(list ...Product) Products {
	products := make(Products, len(list))
	for _, p := range list {
		setDefault(&p.Name, p.Key)
		setDefault(&p.Protocol, GBT32960)
		setDefault(&p.CheckUnit, CheckWarn)
		products[p.Key] = p
	}
	return products
}

// allows reports whether commands of a kind may be sent to vehicles of the product.
func (p *Product) allows(c codec.Command) bool {
	return len(p.Commands) == 0 || slices.Contains(p.Commands, c)
}
