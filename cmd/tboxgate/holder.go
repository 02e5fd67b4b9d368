package main

import (
	"net"
	"sync"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/datadir"
)

// holder holds everything that a gateway has open in its data directory, the store's files aside. When the disk has
// failed the store lets it all go, and has it taken back when the disk is there again. The addresses serve on meanwhile;
// the commands that come by the socket do not reach the gateway.
//
//	LetGo: lock, socket, files of used nonces ──▶ umount, fsck, mount ──▶ TakeBack: lock, socket, run.json
type holder struct {
	dir *datadir.Dir

	mu     sync.Mutex
	socket *socketListener      // nil until there is one
	nonces interface{ LetGo() } // likewise
	run    *admin.Status        // what stands in run.json; nil: it is not there
	away   bool
}

// LetGo closes all of it.
func (h *holder) LetGo() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.letGo()
}

func (h *holder) letGo() {
	h.away = true
	if h.socket != nil {
		h.socket.letGo()
	}
	if h.nonces != nil {
		h.nonces.LetGo()
	}
	h.dir.LetGo()
}

// TakeBack opens it again, and what lies on another disk than the directory does by now. When another process holds the
// directory meanwhile, the error names it.
func (h *holder) TakeBack() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.away {
		if h.dir.Held() {
			return nil
		}
		h.letGo()
	}
	if err := h.dir.TakeBack(); err != nil {
		return err
	}
	if h.socket != nil {
		if err := h.socket.takeBack(); err != nil {
			return err
		}
	}
	if h.run != nil {
		if err := writeRunFile(*h.run); err != nil {
			return err
		}
	}
	h.away = false
	return nil
}

// listenSocket listens on the admin socket.
func (h *holder) listenSocket() (net.Listener, error) {
	l, err := listenSocket(h.dir.Path())
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.socket = l
	return l, nil
}

// holdNonces notes who writes used nonces down.
func (h *holder) holdNonces(n interface{ LetGo() }) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nonces = n
}

// announce writes run.json.
func (h *holder) announce(s admin.Status) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.run = &s
	return writeRunFile(s)
}

// withdraw removes run.json. While the directory is let go it may be another process's, and so may the file.
func (h *holder) withdraw() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.run = nil
	if h.away {
		return nil
	}
	return removeRunFile(h.dir.Path())
}
