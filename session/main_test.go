package session

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testLink is a connection that takes frames and does nothing.
type testLink struct {
	platform string
	frames   int
}

func (l *testLink) Send(_ []byte, done func(error)) {
	l.frames++
	if done != nil {
		done(nil)
	}
}
func (l *testLink) Close(Reason)           {}
func (l *testLink) Remote() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:40000") }

func vin(t testing.TB, text string) codec.VIN {
	t.Helper()
	v, err := codec.ParseVIN(text)
	require.NoError(t, err)
	return v
}

// login returns a session that has not been given to a table yet.
func login(v codec.VIN, link *testLink) *Session {
	s := &Session{
		ID: NewID(), VIN: v, RawVIN: v, Edition: codec.Edition2016, Encryption: codec.EncryptionNone,
		ICCID: MakeICCID([]byte("89860000000000000001")), ProductKey: "gbt32960", Link: link,
	}
	s.Platform = link.platform
	return s
}
