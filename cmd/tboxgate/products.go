package main

import (
	"fmt"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/gateway/admin"
)

// Product is one product key with its settings.
type Product struct {
	Key          string         `key:"key" doc:"1-32 letters and digits."`
	Name         string         `key:"name" doc:"ProductName in the API's answers. Empty: the key."`
	Protocol     string         `key:"protocol" default:"gbt32960" oneof:"gbt32960|mqtt" doc:"gbt32960: vehicles; mqtt: MQTT devices, which AsyncRRpc reaches by their topics."`
	Registration string         `key:"registration" default:"closed" oneof:"closed|open" doc:"closed: only registered VINs may log in; open: an unknown VIN is registered in this product by its first login, so only one product can be open. With --dev the first of protocol gbt32960 is open if none is."`
	InstanceID   string         `key:"instanceId" doc:"The IotInstanceId that calls may name. Empty: whatever they name is ignored."`
	Commands     []string       `key:"commands" oneof:"query|set|control" doc:"Kinds of command that may be sent to the product's vehicles: query (0x80), set (0x81), control (0x82). Empty: all."`
	PrependTime  bool           `key:"prependTime" doc:"The MessageContent of calls comes without the six bytes of time that begin a data unit; the gateway puts Beijing time there."`
	CheckUnit    string         `key:"checkUnit" default:"warn" oneof:"strict|warn|off" doc:"What is done with a data unit that does not follow the standard's tables: strict: the call is refused; warn: it is sent and logged; off: it is sent unread."`
	Topics       []ProductTopic `key:"topics" doc:"Custom topics of the product's MQTT devices. Empty: a device may receive and send on all topics below its own."`
	AccessKeys   []AccessKey    `key:"accessKeys" secret:"true" doc:"Access keys as ID:SECRET that may do everything with this product and nothing with others."`
}

// isVehicles says that the product's devices are vehicles.
func (p *Product) isVehicles() bool { return p.Protocol == string(openapi.GBT32960) }

// openFirst opens the first product of vehicles, for --dev, unless one is open.
func openFirst(products []Product) {
	if openProduct(products) != "" {
		return
	}
	for i := range products {
		if products[i].isVehicles() {
			products[i].Registration = "open"
			return
		}
	}
}

// openProduct is the product that unknown VINs are registered in, "" for none.
func openProduct(products []Product) string {
	for _, p := range products {
		if p.isVehicles() && p.Registration == "open" {
			return p.Key
		}
	}
	return ""
}

// vehicleProducts are the keys of the products whose vehicles may log in.
func vehicleProducts(products []Product) map[string]bool {
	keys := map[string]bool{}
	for _, p := range products {
		if p.isVehicles() {
			keys[p.Key] = true
		}
	}
	return keys
}

// apiProducts are the products as the API wants them.
func apiProducts(products []Product) openapi.Products {
	list := make([]openapi.Product, len(products))
	for i, p := range products {
		list[i] = openapi.Product{
			Key: p.Key, Name: p.Name, Protocol: openapi.Protocol(p.Protocol), InstanceID: p.InstanceID, PrependTime: p.PrependTime,
			CheckUnit: openapi.CheckUnit(p.CheckUnit),
		}
		for _, kind := range p.Commands {
			list[i].Commands = append(list[i].Commands, commandOfKind(kind))
		}
	}
	return openapi.NewProducts(list...)
}

// commandOfKind is the inverse of commandKind.
func commandOfKind(kind string) codec.Command {
	for c := codec.CommandParamQuery; c < codec.CommandControl; c++ {
		if commandKind(c) == kind {
			return c
		}
	}
	return codec.CommandControl
}

// staticKeys are the access keys of the configuration; those of a product work with it alone.
func staticKeys(c *Config) []openapi.Key {
	var keys []openapi.Key
	for _, k := range c.AccessKeys {
		keys = append(keys, openapi.Key{ID: k.ID, Secret: k.Secret})
	}
	for _, p := range c.Products {
		for _, k := range p.AccessKeys {
			keys = append(keys, openapi.Key{ID: k.ID, Secret: k.Secret, Grant: openapi.Grant{Products: []string{p.Key}}})
		}
	}
	return keys
}

// adminProducts are the products as operators see them.
func adminProducts(products []Product) []admin.Product {
	list := make([]admin.Product, len(products))
	for i, p := range products {
		list[i] = admin.Product{Key: p.Key, Protocol: p.Protocol, Registration: p.Registration}
	}
	return list
}

// checkProducts checks what one value alone cannot show.
func checkProducts(c *Config, bad func(path, format string, args ...any)) {
	if len(c.Products) == 0 {
		bad("products", "at least one is needed")
	}
	first, open := map[string]int{}, -1
	for i, p := range c.Products {
		at := func(key string) string { return fmt.Sprintf("products[%d].%s", i, key) }
		if !command.ValidProductKey(p.Key) {
			bad(at("key"), "%q is not a product key (1-32 letters and digits)", p.Key)
		} else if j, twice := first[p.Key]; twice {
			bad(at("key"), "%q is products[%d] already", p.Key, j)
		}
		first[p.Key] = i
		switch {
		case p.Registration != "open":
		case !p.isVehicles():
			bad(at("registration"), "devices of protocol %s have secrets, so they are registered before they connect; closed is wanted", p.Protocol)
		case open >= 0:
			bad(at("registration"), "products[%d] is open already; an unknown VIN can be registered in one product only", open)
		default:
			open = i
		}
	}
	ids := map[string]bool{}
	checkKeys := func(path string, keys []AccessKey) {
		for i, k := range keys {
			if ids[k.ID] {
				bad(fmt.Sprintf("%s[%d]", path, i), "the id %q is there twice", k.ID)
			}
			ids[k.ID] = true
		}
	}
	checkKeys("accessKeys", c.AccessKeys)
	for i, p := range c.Products {
		checkKeys(fmt.Sprintf("products[%d].accessKeys", i), p.AccessKeys)
	}
}
