// Package mqttdevice serves the devices of products whose protocol is MQTT: a broker in the process to which each device
// connects under its own name and secret, signed as Alibaba Cloud IoT's devices sign them. A device reaches only topics of its
// own; what it publishes is stored before it is acknowledged, and AsyncRRpc delivers to a topic that it subscribes to.
//
//	device ── CONNECT ──▶ listener ──▶ hook: sign.go, Devices ──▶ session ── PUBLISH ──▶ topics.go ──▶ store ──▶ PUBACK
//	                                                                 ▲
//	AsyncRRpc ── Broker.Deliver ─────────────────────────────────────┘ ── PUBLISH ──▶ device ── PUBACK ──▶ acked
//
// The protocol itself is mochi-mqtt's. docs/mqtt-devices.md is the reference for users.
package mqttdevice
