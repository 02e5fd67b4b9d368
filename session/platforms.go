package session

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/seal"
)

// The widths of a platform login's fields (2016 table 21, 2025 table 29).
const (
	platformUserSize     = 12
	platformPasswordSize = 20
)

const platformSaltSize = 16

// The errors of Platforms.
var (
	// ErrPlatformUnknown: there is no platform with this code.
	ErrPlatformUnknown = errors.New("session: unknown platform")
	// ErrPlatformExists: there is a platform with this code already.
	ErrPlatformExists = errors.New("session: the platform exists")
	// ErrPlatformPassword: the user name or the password is wrong.
	ErrPlatformPassword = errors.New("session: wrong user name or password of the platform")
	// ErrPlatformSealed: user name and password were stored under another seal key, so nobody can tell whether they are right.
	ErrPlatformSealed = errors.New("session: the platform's password was stored under another seal key")
	// ErrPlatformInvalid: a code, user name or password cannot stand in a platform login.
	ErrPlatformInvalid = errors.New("session: bad platform")
)

// Platform is what can be told of a platform. The password cannot.
type Platform struct {
	Code      string    `json:"code"`
	User      string    `json:"user"`
	ChangedAt Timestamp `json:"changedAt"` // when it was created or replaced
}

// SealRemedy is what to do about ErrPlatformSealed, for the log.
const SealRemedy = "put that key back (seal.key in the data directory, or TBOXGATE_SEAL_KEY) and restart, or create the platform again (platforms create --replace)"

// PlatformsOptions says how Platforms work. The zero value will do.
type PlatformsOptions struct {
	// OnBarred, if there is one, is told of each platform whose open links may not stay, because it was deleted or its user
	// name or password changed, by this node or another. It must not block.
	OnBarred func(code codec.VIN)
	// Logger is told of entries that cannot be used; nil for none.
	Logger *slog.Logger
}

// Platforms knows the enterprise platforms that may log in (0x05). They are few and all in memory;
// the bucket behind it may be shared by several nodes, whose changes it follows.
//
// Of user name and password only a salted HMAC-SHA256 under the seal key is kept. Nobody can read
// them, and without the seal key nobody can try passwords.
type Platforms struct {
	kv   KV
	box  *seal.Box
	opt  PlatformsOptions
	log  *slog.Logger
	stop context.CancelFunc

	// all is replaced as a whole, so that Verify takes no lock.
	all   atomic.Pointer[map[codec.VIN]*platform]
	decoy platform // stands in for an unknown code, so that it takes the same time

	writing chan struct{} // has room for one: the change of this node that is on its way to the store

	mu    sync.Mutex // of changes in memory
	tombs map[codec.VIN]platformTomb
}

// platformTomb stands for a platform that this node has deleted until Watch has reported it: what
// Watch reports before is older.
type platformTomb struct {
	changed time.Time // ChangedAt of what was deleted
	echoes  int       // deletions that Watch has not reported yet
}

// platform is an entry of the bucket. Its key is the code's [Token].
type platform struct {
	Code      string    `json:"code"`
	User      string    `json:"user"`
	Salt      []byte    `json:"salt"`
	Hash      []byte    `json:"hash"`
	Mark      []byte    `json:"mark,omitempty"` // tells which seal key hash was made with; entries of earlier versions have none
	ChangedAt Timestamp `json:"changedAt"`

	foreign bool // made with another seal key
}

// OpenPlatforms loads the platforms of the bucket and follows its changes until Close. ctx limits
// the loading only.
func OpenPlatforms(ctx context.Context, kv KV, box *seal.Box, opt PlatformsOptions) (*Platforms, error) {
	p := &Platforms{
		kv: kv, box: box, opt: opt, log: cmp.Or(opt.Logger, slog.New(slog.DiscardHandler)), tombs: make(map[codec.VIN]platformTomb), writing: make(chan struct{}, 1),
		decoy: platform{Salt: make([]byte, platformSaltSize), Hash: make([]byte, seal.MACSize)},
	}
	p.all.Store(&map[codec.VIN]*platform{})
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	loaded := context.AfterFunc(ctx, stop)
	err := kv.Watch(life, p.follow)
	if !loaded() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("session: load the platforms: %w", err)
	}
	p.stop = stop
	return p, nil
}

// Close stops following the bucket.
func (p *Platforms) Close() { p.stop() }

// Create adds a platform and returns when it is in the store. code is the unique code in the
// header of its frames (1 to 17 bytes), user and password are what it sends in 0x05: up to 12 and
// 1 to 20 bytes in GB 18030, the character set of the wire. The errors are ErrPlatformInvalid,
// ErrPlatformExists unless replace is set, and those of the store, after which the platform may or
// may not be there. Links that logged in with another user name or password are told of as barred.
func (p *Platforms) Create(ctx context.Context, code, user, password string, replace bool) error {
	id, err := platformCode(code)
	if err != nil {
		return err
	}
	wireUser, err := credential("user name", user, platformUserSize)
	if err != nil {
		return err
	}
	wirePassword, err := credential("password", password, platformPasswordSize)
	if err != nil {
		return err
	}
	if len(wirePassword) == 0 {
		return fmt.Errorf("%w: the password is empty", ErrPlatformInvalid)
	}
	done, err := p.write(ctx)
	if err != nil {
		return fmt.Errorf("session: create platform %q: %w", id.String(), err)
	}
	defer done()
	e := &platform{Code: id.String(), User: user, Salt: make([]byte, platformSaltSize), ChangedAt: At(time.Now())}
	known, last := p.last(id)
	if known && !replace {
		return fmt.Errorf("%w: %q", ErrPlatformExists, e.Code)
	}
	if !e.ChangedAt.After(last) { // later than what it replaces, whatever the clocks of the nodes say
		e.ChangedAt = At(last.Add(time.Millisecond))
	}
	if _, err := rand.Read(e.Salt); err != nil {
		return fmt.Errorf("session: create platform %q: %w", e.Code, err)
	}
	e.Hash = p.box.MAC(nil, e.Salt, id[:], wireUser, wirePassword)
	if have := (*p.all.Load())[id]; have != nil && p.Verify(id[:], wireUser, wirePassword) == nil {
		e.Salt, e.Hash = have.Salt, have.Hash // nothing that its open links have shown has changed
	}
	e.Mark = p.mark(e)
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("session: create platform %q: %w", e.Code, err)
	}
	if err := p.kv.Put(ctx, Token(e.Code), value); err != nil {
		return fmt.Errorf("session: create platform %q: %w", e.Code, err)
	}
	p.set(id, e)
	return nil
}

// Delete removes a platform and returns when that is in the store; it is told of as barred. The
// errors are ErrPlatformUnknown and those of the store.
func (p *Platforms) Delete(ctx context.Context, code string) error {
	done, err := p.write(ctx)
	if err != nil {
		return fmt.Errorf("session: delete platform %q: %w", code, err)
	}
	defer done()
	id := codec.MakeVIN([]byte(code))
	known, last := p.last(id)
	if len(code) > codec.VINSize || !known {
		return fmt.Errorf("%w: %q", ErrPlatformUnknown, code)
	}
	p.expectEcho(id, last) // Watch may report it before Delete returns
	err = p.kv.Delete(ctx, Token(id.String()))
	if err != nil && p.echoed(id) { // else Watch has reported it: it is in the store, whatever became of the answer
		return fmt.Errorf("session: delete platform %q: %w", code, err)
	}
	p.remove(id, last)
	return nil
}

// write waits until no other change of this node is on its way: two of one platform at a time would leave memory with the one and the
// store with the other. done lets the next one go.
func (p *Platforms) write(ctx context.Context) (done func(), err error) {
	select {
	case p.writing <- struct{}{}:
		return func() { <-p.writing }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// last reports whether there is a platform with this code, and when it was changed last, also if
// it has just been deleted.
func (p *Platforms) last(id codec.VIN) (known bool, changed time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := (*p.all.Load())[id]; e != nil {
		return true, e.ChangedAt.Time
	}
	return false, p.tombs[id].changed
}

// List returns the platforms in the order of their codes.
func (p *Platforms) List() []Platform {
	all := *p.all.Load()
	list := make([]Platform, 0, len(all))
	for _, e := range all {
		list = append(list, Platform{Code: e.Code, User: e.User, ChangedAt: e.ChangedAt})
	}
	slices.SortFunc(list, func(a, b Platform) int { return cmp.Compare(a.Code, b.Code) })
	return list
}

// Verify checks a platform login: code is the identifier of the frame's header, user and password
// are the fields of its data unit with or without their padding. Padding is 0x00 on either side (an
// old client pads on the left) and spaces at the end. The errors are ErrPlatformUnknown,
// ErrPlatformPassword and ErrPlatformSealed. It takes the same time whatever is wrong, a microsecond
// or two, and is safe on an event loop.
func (p *Platforms) Verify(code, user, password []byte) error {
	id := codec.MakeVIN(code)
	e, known := (*p.all.Load())[id]
	if !known {
		e = &p.decoy
	}
	var sum [seal.MACSize]byte
	hash := p.box.MAC(sum[:0], e.Salt, id[:], trimWire(user), trimWire(password))
	same := subtle.ConstantTimeCompare(hash, e.Hash) == 1
	switch {
	case !known:
		return ErrPlatformUnknown
	case e.foreign:
		return ErrPlatformSealed
	case !same:
		return ErrPlatformPassword
	}
	return nil
}

// follow takes one change of the bucket, of this node or another.
func (p *Platforms) follow(key string, value []byte) {
	code, err := Untoken(key)
	var id codec.VIN
	if err == nil {
		id, err = codec.ParseVIN(code)
	}
	if err != nil {
		p.log.Warn("platform bucket: a key that is none of ours", "key", key, "error", err)
		return
	}
	if value == nil {
		if !p.echoed(id) { // if our own: it may have been created again since
			_, last := p.last(id)
			p.remove(id, last)
		}
		return
	}
	e := &platform{}
	if err := json.Unmarshal(value, e); err != nil {
		p.log.Warn("platform bucket: an entry that cannot be read", "key", key, "error", err)
		return
	}
	if e.foreign = len(e.Mark) > 0 && !hmac.Equal(e.Mark, p.mark(e)); e.foreign {
		p.log.Error("the platform cannot log in: its password was sealed with another seal key", "platform", id.String(), "remedy", SealRemedy)
	}
	p.set(id, e)
}

// mark is what only the seal key that made the hash of e can make of it.
func (p *Platforms) mark(e *platform) []byte { return p.box.MAC(nil, e.Salt, []byte("mark"), e.Hash) }

// set takes an entry into memory unless a newer one is there.
func (p *Platforms) set(id codec.VIN, e *platform) {
	p.mu.Lock()
	old := *p.all.Load()
	have := old[id]
	t, dead := p.tombs[id]
	if have != nil && have.ChangedAt.After(e.ChangedAt.Time) || dead && !e.ChangedAt.After(t.changed) {
		p.mu.Unlock()
		return
	}
	all := maps.Clone(old)
	all[id] = e
	p.all.Store(&all)
	p.mu.Unlock()
	if have != nil && !bytes.Equal(have.Hash, e.Hash) {
		p.bar(id)
	}
}

// bar tells that the links of a platform may not stay open.
func (p *Platforms) bar(id codec.VIN) {
	if p.opt.OnBarred != nil {
		p.opt.OnBarred(id)
	}
}

// remove takes an entry out of memory unless it was changed after the given time: then it has been
// created again since the deletion.
func (p *Platforms) remove(id codec.VIN, changed time.Time) {
	p.mu.Lock()
	old := *p.all.Load()
	if e := old[id]; e == nil || e.ChangedAt.After(changed) {
		p.mu.Unlock()
		return
	}
	all := maps.Clone(old)
	delete(all, id)
	p.all.Store(&all)
	p.mu.Unlock()
	p.bar(id)
}

// expectEcho has Watch's next report of a deletion of id taken for our own, and anything changed at
// the given time or before for older than it.
func (p *Platforms) expectEcho(id codec.VIN, changed time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tombs[id] = platformTomb{changed: changed, echoes: p.tombs[id].echoes + 1}
}

// echoed takes one expected deletion as reported. It reports false when none is expected.
func (p *Platforms) echoed(id codec.VIN) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.tombs[id]
	if t.echoes--; t.echoes > 0 {
		p.tombs[id] = t
	} else {
		delete(p.tombs, id)
	}
	return ok
}

// platformCode reads the unique code of a platform, which stands where a vehicle's frames have the VIN.
func platformCode(code string) (codec.VIN, error) {
	if len(code) == 0 || len(code) > codec.VINSize {
		return codec.VIN{}, fmt.Errorf("%w: the code %q has %d bytes, 1 to %d are wanted", ErrPlatformInvalid, code, len(code), codec.VINSize)
	}
	id := codec.MakeVIN([]byte(code))
	if id.IsZero() {
		return codec.VIN{}, fmt.Errorf("%w: the code %q is only padding", ErrPlatformInvalid, code)
	}
	return id, nil
}

// credential writes a user name or password as it stands on the wire. The error is
// ErrPlatformInvalid and does not quote the text.
func credential(what, text string, size int) ([]byte, error) {
	wire, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: the %s cannot be written in GB 18030", ErrPlatformInvalid, what)
	}
	if len(wire) > size {
		return nil, fmt.Errorf("%w: the %s has %d bytes in GB 18030, at most %d fit", ErrPlatformInvalid, what, len(wire), size)
	}
	return trimWire(wire), nil
}

// trimWire cuts the padding off a fixed-width text.
func trimWire(text []byte) []byte {
	return bytes.TrimLeft(bytes.TrimRight(text, "\x00 "), "\x00")
}
