package session

import (
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Session is one vehicle that is logged in: directly, or relayed by a platform. The gateway fills
// in the exported fields before [Table.Login]; from then on they do not change and may be read from
// any goroutine. Sessions are used by pointer and never copied.
type Session struct {
	// ID is random and unique per login: see [NewID]. A re-login on the same link goes on with the
	// ID of the session it replaces, see [Table.Login]. In JSON it is 16 hex digits.
	ID         uint64
	VIN        codec.VIN
	RawVIN     [codec.VINSize]byte // the identifier as the login frame had it, for frames sent to the vehicle
	Edition    codec.Edition       // of the login frame: commands go out in it
	Encryption codec.Encryption    // of the login frame
	ICCID      ICCID               // of the login frame, zero when it had none
	ProductKey string
	Platform   string // code of the platform that relays the vehicle, "" for a vehicle link
	Link       Link
	LoginAt    time.Time  // set by Table.Login when zero
	LoginTime  codec.Time // of the login frame, by the vehicle's clock; zero for a session that a report opened

	paced    int64         // Unix nanoseconds up to which the frame rate is used up; see Pace
	lastSeen atomic.Int64  // Unix milliseconds of the last frame, 0 for none after the login
	frames   atomic.Uint64 // frames since the login, the login not counted
	clock    atomic.Int32  // see Clocked: seconds << 1 | 1, 0 before the first realtime report
	sealed   atomic.Uint32 // frames with an encrypted data unit

	reported, reissued *recent // see Report; nil before the first one, so that they cost an idle vehicle nothing
}

// NewID returns an ID for a new session: 64 random bits, never 0.
func NewID() uint64 {
	for {
		if id := rand.Uint64(); id != 0 {
			return id
		}
	}
}

// FormatID writes a session's ID as 16 hex digits, the form in JSON, logs and the CLI.
func FormatID(id uint64) string { return string(AppendID(make([]byte, 0, 16), id)) }

// AppendID appends the form of FormatID.
func AppendID(dst []byte, id uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[id>>shift&15])
	}
	return dst
}

// IDString returns the ID as 16 hex digits.
func (s *Session) IDString() string { return FormatID(s.ID) }

// Seen counts one frame that came at the given time. It is cheap and safe from any goroutine.
func (s *Session) Seen(at time.Time) {
	s.lastSeen.Store(at.UnixMilli())
	s.frames.Add(1)
}

// Pace counts one frame against a rate of one frame every so often, of which burst frames may come at
// once, and reports false when it is too early for another. Only the goroutine that owns the link
// calls it.
func (s *Session) Pace(at time.Time, every time.Duration, burst int) bool {
	now := at.UnixNano()
	paced := max(s.paced, now)
	if paced-now > int64(every)*int64(burst-1) {
		return false
	}
	s.paced = paced + int64(every)
	return true
}

// LastSeen returns the time of the last frame, to the millisecond; without one the time of the
// login.
func (s *Session) LastSeen() time.Time {
	if ms := s.lastSeen.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return s.LoginAt
}

// Frames returns the number of frames counted by Seen.
func (s *Session) Frames() uint64 { return s.frames.Load() }

// Info is what there is to tell about a session, as the CLI and the admin socket show it.
type Info struct {
	Session    string         `json:"session"` // 16 hex digits
	VIN        string         `json:"vin"`
	ProductKey string         `json:"productKey"`
	Platform   string         `json:"platform,omitempty"`
	Edition    codec.Edition  `json:"edition"`
	ICCID      string         `json:"iccid,omitempty"`
	Remote     netip.AddrPort `json:"remote"`
	LoginAt    Timestamp      `json:"loginAt"`
	LastSeenAt Timestamp      `json:"lastSeenAt"`
	Frames     uint64         `json:"frames"`
	// ClockOff is collection time less arrival of the last realtime report, in seconds: positive when the vehicle's clock
	// is ahead of the gateway's. Nil before the first report.
	ClockOff        *int64 `json:"clockOffSeconds,omitempty"`
	EncryptedFrames uint32 `json:"encryptedFrames,omitempty"` // frames that nobody can read here
}

// Info returns the state of the session at this moment.
func (s *Session) Info() Info {
	info := Info{
		Session: s.IDString(), VIN: s.VIN.String(), ProductKey: s.ProductKey, Platform: s.Platform,
		Edition: s.Edition, ICCID: s.ICCID.String(), Frames: s.Frames(),
		LoginAt: At(s.LoginAt), LastSeenAt: At(s.LastSeen()),
	}
	if off, ok := s.ClockOff(); ok {
		seconds := int64(off / time.Second)
		info.ClockOff = &seconds
	}
	info.EncryptedFrames = s.SealedFrames()
	if s.Link != nil {
		info.Remote = s.Link.Remote()
	}
	return info
}

// ICCID is the number of a SIM card as a vehicle login carries it (2016 table 6), padding as 0x00.
type ICCID [20]byte

// MakeICCID takes the first 20 bytes of raw; trailing spaces and 0x00 are padding.
func MakeICCID(raw []byte) ICCID {
	var id ICCID
	n := copy(id[:], raw)
	for n > 0 && (id[n-1] == 0 || id[n-1] == ' ') {
		n--
		id[n] = 0
	}
	return id
}

// String returns the number without its padding, "" when there is none.
func (id ICCID) String() string {
	n := len(id)
	for n > 0 && id[n-1] == 0 {
		n--
	}
	return string(id[:n])
}
