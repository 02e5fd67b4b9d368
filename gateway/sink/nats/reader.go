package nats

import (
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// OpenReader returns a context on a connection of its own, for whoever reads much: what passes there delays
// neither records nor state. role names it in the server's lists. The caller closes it, before the store.
func (s *Store) OpenReader(role string) (_ jetstream.JetStream, closeReader func(), err error) {
	nc, err := s.connect(role)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("nats: %w", err)
	}
	return js, nc.Close, nil
}
