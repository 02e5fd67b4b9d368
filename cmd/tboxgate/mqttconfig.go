package main

import (
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
)

// MQTT is the broker for the devices of products whose protocol is mqtt.
type MQTT struct {
	Listeners     []MQTTListener `key:"listeners" flag:"mqtt-listen" into:"address" doc:"Addresses for MQTT devices. None: no device can connect. --mqtt-listen replaces the file's list."`
	Connections   int            `key:"connections" default:"10000" min:"1" doc:"Connections in all."`
	PerAddress    int            `key:"perAddress" default:"0" min:"0" doc:"Connections from one address. 0: no limit."`
	PacketSize    Size           `key:"packetSize" default:"256KiB" min:"1KiB" max:"4MiB" doc:"Longest MQTT packet of a device, and longest message to one."`
	MessageRate   int            `key:"messageRate" default:"30" min:"1" doc:"Packets of one device that are read in a second; a faster one is read as fast as this."`
	KeepAlive     time.Duration  `key:"keepAlive" default:"20m" min:"1s" max:"9h" doc:"Longest silence of a device, as half as much again. A device that asks for more, or for no limit, gets this."`
	Subscriptions int            `key:"subscriptions" default:"100" min:"1" doc:"Subscriptions of one device."`
}

// MQTTListener is one address that MQTT devices connect to.
type MQTTListener struct {
	Address string  `key:"address" default:"127.0.0.1:1883" doc:"HOST:PORT. Port 0 takes a free one."`
	TLS     MQTTTLS `key:"tls" doc:"TLS 1.2 and 1.3 on this address. Without it: plain TCP."`
}

// MQTTTLS is the certificate of an MQTT listener.
type MQTTTLS struct {
	Cert string `key:"cert" doc:"PEM file of the server's certificate and its chain. The files are read again when they change, and on SIGHUP."`
	Key  string `key:"key" doc:"PEM file of its private key."`
}

// ProductTopic is what the MQTT devices of a product may do with a topic of their own.
type ProductTopic struct {
	Topic      string `key:"topic" doc:"Below /{productKey}/{deviceName}/, such as user/get; + stands for one level, # for all at the end."`
	Permission string `key:"permission" default:"both" oneof:"subscribe|publish|both" doc:"What a device may do: receive, send, or both."`
}

// mqttTopics are the topics as the broker wants them.
func mqttTopics(p Product) []mqttdevice.Topic {
	var topics []mqttdevice.Topic
	for _, t := range p.Topics {
		topics = append(topics, mqttdevice.Topic{Template: t.Topic, Permission: mqttdevice.Permission(t.Permission)})
	}
	return topics
}

// checkMQTT checks what one value alone cannot show.
func checkMQTT(c *Config, bad func(path, format string, args ...any)) {
	products := false
	for i, p := range c.Products {
		products = products || !p.isVehicles()
		if len(p.Topics) > 0 && p.isVehicles() {
			bad(fmt.Sprintf("products[%d].topics", i), "vehicles have no topics; protocol: mqtt is wanted")
		}
		for j, t := range mqttTopics(p) {
			if err := t.Validate(); err != nil {
				bad(fmt.Sprintf("products[%d].topics[%d]", i, j), "%v", err)
			}
		}
	}
	for i, l := range c.MQTT.Listeners {
		if (l.TLS.Cert == "") != (l.TLS.Key == "") {
			bad(fmt.Sprintf("mqtt.listeners[%d].tls", i), "cert and key go together")
		}
	}
	if len(c.MQTT.Listeners) > 0 && !products {
		bad("mqtt.listeners", "no product has protocol: mqtt, so no device could connect")
	}
}
