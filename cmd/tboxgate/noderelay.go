package main

import (
	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/command/relay"
	"github.com/tboxgate/tboxgate/gateway"
)

// newRelay makes the way of commands to and from the other gateways of the store.
func (n *node) newRelay() (*relay.Relay, error) {
	return relay.New(relay.Options{
		Node: n.cfg.Node, Nodes: n.state.store.Nodes(), Seal: n.state.seal, Commands: n.commands, Deliver: n.deliverHere,
		Logger: gateway.LimitedLog(n.log, n.metrics.LogLineSuppressed),
		Vehicle: func(vin codec.VIN) (string, bool) {
			d, known := n.state.registry.Lookup(vin)
			return d.Node, known && d.Online()
		},
		Device: func(productKey, deviceName string) (string, bool) {
			d, known := n.state.devices.Lookup(productKey, deviceName)
			return d.Node, known && d.Online()
		},
		Observe: func(e relay.Event) { n.metrics.CommandRelayed(e.Taken, string(e.Outcome)) },
		TooLong: openapi.ErrTopicTooLong,
		Refusals: map[string]error{
			"topicFormat": openapi.ErrTopicFormat, "topicTooLong": openapi.ErrTopicTooLong, "topicPermission": openapi.ErrTopicPermission,
			"topicOffline": openapi.ErrTopicOffline, "topicSubscriber": openapi.ErrTopicSubscriber, "topicBusy": openapi.ErrTopicBusy,
		},
	})
}
