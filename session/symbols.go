package session

import (
	"sync"
	"sync/atomic"
)

// symbol stands for one of the few texts that many devices share: product keys, node names,
// platform codes, reasons. 0 is the empty text.
type symbol uint32

// symbols numbers texts. Reading takes no lock.
type symbols struct {
	ids   sync.Map // string -> symbol
	mu    sync.Mutex
	texts atomic.Pointer[[]string]
}

func newSymbols() *symbols {
	t := &symbols{}
	t.texts.Store(&[]string{""})
	t.ids.Store("", symbol(0))
	return t
}

// intern returns the symbol of s, a new one if it has none.
func (t *symbols) intern(s string) symbol {
	if id, ok := t.find(s); ok {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.find(s); ok {
		return id
	}
	old := *t.texts.Load()
	id := symbol(len(old))
	// append writes behind what readers of the old slice can see.
	texts := append(old, s)
	t.texts.Store(&texts)
	t.ids.Store(s, id)
	return id
}

// find returns the symbol of s if it has one.
func (t *symbols) find(s string) (symbol, bool) {
	id, ok := t.ids.Load(s)
	if !ok {
		return 0, false
	}
	return id.(symbol), true
}

func (t *symbols) text(id symbol) string { return (*t.texts.Load())[id] }
