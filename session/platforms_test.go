package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session/memkv"
	"github.com/tboxgate/tboxgate/session/seal"
)

func testBox(t testing.TB, fill byte) *seal.Box {
	t.Helper()
	box, err := seal.New(bytes.Repeat([]byte{fill}, seal.KeySize))
	require.NoError(t, err)
	return box
}

func openPlatforms(t testing.TB, kv KV) *Platforms {
	t.Helper()
	p, err := OpenPlatforms(t.Context(), kv, testBox(t, 1), PlatformsOptions{})
	require.NoError(t, err)
	return p
}

// padded returns text in a field of the given width.
func padded(text string, width int) []byte {
	field := make([]byte, width)
	copy(field, text)
	return field
}

func TestPlatformsVerify(t *testing.T) {
	p := openPlatforms(t, memkv.New())
	defer p.Close()
	ctx := t.Context()
	require.NoError(t, p.Create(ctx, "00000000000002111", "user", "password", false))
	require.NoError(t, p.Create(ctx, "LONG", "twelve bytes", "twenty bytes exactly", false))
	require.NoError(t, p.Create(ctx, "示例", "威海广泰空港", "密码", false))
	chinese, err := simplifiedchinese.GB18030.NewEncoder().String("威海广泰空港")
	require.NoError(t, err)
	require.Len(t, chinese, 12)
	secret, err := simplifiedchinese.GB18030.NewEncoder().String("密码")
	require.NoError(t, err)

	for _, c := range []struct {
		name           string
		code           []byte
		user, password []byte
		want           error
	}{
		{"bare", []byte("00000000000002111"), []byte("user"), []byte("password"), nil},
		{"padded as on the wire", padded("00000000000002111", 17), padded("user", 12), padded("password", 20), nil},
		{"user padded on the left", padded("00000000000002111", 17), []byte("\x00\x00\x00\x00\x00\x00\x00\x00user"), padded("password", 20), nil},
		{"padded with spaces", padded("00000000000002111", 17), []byte("user        "), []byte("password            "), nil},
		{"fields without padding", []byte("LONG             "), []byte("twelve bytes"), []byte("twenty bytes exactly"), nil},
		{"GB 18030", padded("示例", 17), []byte(chinese), padded(secret, 20), nil},
		{"wrong password", []byte("00000000000002111"), []byte("user"), []byte("Password"), ErrPlatformPassword},
		{"password cut", []byte("00000000000002111"), []byte("user"), []byte("passwor"), ErrPlatformPassword},
		{"no password", []byte("00000000000002111"), []byte("user"), nil, ErrPlatformPassword},
		{"wrong user", []byte("00000000000002111"), []byte("uses"), []byte("password"), ErrPlatformPassword},
		{"bytes moved between the fields", []byte("00000000000002111"), []byte("userp"), []byte("assword"), ErrPlatformPassword},
		{"another platform's credentials", []byte("LONG"), []byte("user"), []byte("password"), ErrPlatformPassword},
		{"unknown code", []byte("00000000000002112"), []byte("user"), []byte("password"), ErrPlatformUnknown},
		{"no code", nil, []byte("user"), []byte("password"), ErrPlatformUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ErrorIs(t, p.Verify(c.code, c.user, c.password), c.want)
		})
	}
}

func TestPlatformsCreateRefuses(t *testing.T) {
	kv := memkv.New()
	p := openPlatforms(t, kv)
	defer p.Close()
	for _, c := range []struct{ name, code, user, password, says string }{
		{"no code", "", "u", "p", `the code "" has 0 bytes, 1 to 17 are wanted`},
		{"code too long", "123456789012345678", "u", "p", `the code "123456789012345678" has 18 bytes, 1 to 17 are wanted`},
		{"code of padding", "  ", "u", "p", `the code "  " is only padding`},
		{"user too long", "A", "thirteen byte", "p", "user name has 13 bytes"},
		{"user too long in GB 18030", "A", "威海广泰空港站", "p", "user name has 14 bytes"},
		{"password too long", "A", "u", "SECRET89012345678901x", "password has 21 bytes"},
		{"no password", "A", "u", "", "password is empty"},
		{"only padding", "A", "u", "  ", "password is empty"},
	} {
		err := p.Create(t.Context(), c.code, c.user, c.password, false)
		require.ErrorIs(t, err, ErrPlatformInvalid, c.name)
		require.ErrorContains(t, err, c.says, c.name)
		require.NotContains(t, err.Error(), "SECRET", c.name)
		require.NotContains(t, err.Error(), "VIN", c.name)
	}
	require.Empty(t, kv.Keys())
}

func TestPlatformsCreateListDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, ctx := memkv.New(), t.Context()
		p := openPlatforms(t, kv)
		begun := At(time.Now())
		require.NoError(t, p.Create(ctx, "B.1", "u", "first", false))
		require.NoError(t, p.Create(ctx, "A", "v", "other", false))
		require.Equal(t, []string{"A", "B=2E1"}, kv.Keys(), "in the store when Create returns")
		require.Equal(t, []Platform{{"A", "v", begun}, {"B.1", "u", begun}}, p.List())
		stored, err := kv.Get(ctx, "A")
		require.NoError(t, err)
		require.Contains(t, string(stored), `"changedAt":"2000-01-01T00:00:00.000Z"`)

		require.ErrorIs(t, p.Create(ctx, "B.1", "u", "second", false), ErrPlatformExists)
		require.NoError(t, p.Verify([]byte("B.1"), []byte("u"), []byte("first")))
		require.NoError(t, p.Create(ctx, "B.1", "u", "second", true))
		require.NoError(t, p.Create(ctx, "C", "u", "new", true), "nothing to replace is fine too")
		check := func(p *Platforms) {
			t.Helper()
			require.NoError(t, p.Verify([]byte("B.1"), []byte("u"), []byte("second")))
			require.ErrorIs(t, p.Verify([]byte("B.1"), []byte("u"), []byte("first")), ErrPlatformPassword)
		}
		check(p)
		synctest.Wait()
		check(p)

		require.ErrorIs(t, p.Delete(ctx, "D"), ErrPlatformUnknown)
		require.ErrorIs(t, p.Delete(ctx, "A plainly too long code"), ErrPlatformUnknown)
		require.NoError(t, p.Delete(ctx, "A"))
		require.ErrorIs(t, p.Verify([]byte("A"), []byte("v"), []byte("other")), ErrPlatformUnknown)
		require.NoError(t, p.Create(ctx, "A", "v", "again", false))
		require.NoError(t, p.Delete(ctx, "C"))
		synctest.Wait()
		require.NoError(t, p.Verify([]byte("A"), []byte("v"), []byte("again")), "the echo of the deletion does not remove it")
		p.Close()

		again := openPlatforms(t, kv)
		check(again)
		require.Len(t, again.List(), 2)
		again.Close()
	})
}

func TestPlatformsEchoesComeLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, ctx := &slowEcho{memkv.New(), 10 * time.Second}, t.Context()
		p := openPlatforms(t, kv)
		require.NoError(t, p.Create(ctx, "A", "u", "1", false))
		require.NoError(t, p.Create(ctx, "A", "u", "2", true))
		require.NoError(t, p.Delete(ctx, "A"))
		require.NoError(t, p.Create(ctx, "A", "u", "3", false))
		for range 10 {
			require.NoError(t, p.Verify([]byte("A"), []byte("u"), []byte("3")))
			time.Sleep(5 * time.Second)
		}
		require.Empty(t, p.tombs)
		p.Close()
	})
}

func TestPlatformsFollowOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, ctx := memkv.New(), t.Context()
		a, b := openPlatforms(t, kv), openPlatforms(t, kv)
		require.NoError(t, a.Create(ctx, "A", "u", "1", false))
		synctest.Wait()
		require.NoError(t, b.Verify([]byte("A"), []byte("u"), []byte("1")))
		require.NoError(t, b.Create(ctx, "A", "u", "2", true))
		synctest.Wait()
		require.NoError(t, a.Verify([]byte("A"), []byte("u"), []byte("2")))
		require.NoError(t, a.Delete(ctx, "A"))
		synctest.Wait()
		require.ErrorIs(t, b.Verify([]byte("A"), []byte("u"), []byte("2")), ErrPlatformUnknown)
		a.Close()
		b.Close()
	})
}

func TestPlatformsKeepNoPassword(t *testing.T) {
	kv := memkv.New()
	p := openPlatforms(t, kv)
	defer p.Close()
	require.NoError(t, p.Create(t.Context(), "A", "user", "swordfish", false))
	require.NoError(t, p.Create(t.Context(), "B", "user", "swordfish", false))
	a, err := kv.Get(t.Context(), "A")
	require.NoError(t, err)
	require.NotContains(t, string(a), "swordfish")
	require.NotContains(t, fmt.Sprintf("%+v", p.List()), "swordfish")
	all := *p.all.Load()
	require.NotEqual(t, all[vin(t, "A")].Hash, all[vin(t, "B")].Hash, "salted")

	// An entry under another platform's key, and one under another seal key, open nothing.
	require.NoError(t, kv.Put(t.Context(), "C", a))
	other, err := OpenPlatforms(t.Context(), kv, testBox(t, 2), PlatformsOptions{})
	require.NoError(t, err)
	defer other.Close()
	require.ErrorIs(t, other.Verify([]byte("A"), []byte("user"), []byte("swordfish")), ErrPlatformSealed)
	require.ErrorIs(t, other.Verify([]byte("A"), []byte("user"), []byte("wrong")), ErrPlatformSealed)
	same := openPlatforms(t, kv)
	defer same.Close()
	require.ErrorIs(t, same.Verify([]byte("C"), []byte("user"), []byte("swordfish")), ErrPlatformPassword)
	require.NoError(t, same.Verify([]byte("A"), []byte("user"), []byte("swordfish")))
}

// Whoever is deleted, or gets another user name or password, is told of: once by each node.
func TestPlatformsBarred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv, ctx := memkv.New(), t.Context()
		var mu sync.Mutex
		var barred []string
		node := func(name string) *Platforms {
			p, err := OpenPlatforms(ctx, kv, testBox(t, 1), PlatformsOptions{OnBarred: func(code codec.VIN) {
				mu.Lock()
				defer mu.Unlock()
				barred = append(barred, name+" "+code.String())
			}})
			require.NoError(t, err)
			return p
		}
		a, b := node("a"), node("b")
		said := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			require.ElementsMatch(t, want, barred, what)
			barred = nil
		}
		require.NoError(t, a.Create(ctx, "A", "u", "1", false))
		said("created")
		require.NoError(t, a.Create(ctx, "A", "u", "1", true))
		said("replaced by the same")
		require.NoError(t, a.Create(ctx, "A", "u", "2", true))
		said("another password", "a A", "b A")
		require.NoError(t, b.Create(ctx, "A", "v", "2", true))
		said("another user", "a A", "b A")
		require.NoError(t, b.Delete(ctx, "A"))
		said("deleted", "a A", "b A")
		require.NoError(t, b.Create(ctx, "A", "v", "2", false))
		said("created again")
		require.NoError(t, a.Delete(ctx, "A"))
		require.NoError(t, a.Create(ctx, "A", "v", "2", false))
		require.NoError(t, a.Verify([]byte("A"), []byte("v"), []byte("2")))
		said("deleted and created", "a A", "b A")
		a.Close()
		b.Close()
	})
}

// A platform stored under another seal key is told of when it is read, with what to do; replacing it mends it.
func TestPlatformsSealKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		before := openPlatforms(t, kv)
		require.NoError(t, before.Create(t.Context(), "A", "user", "swordfish", false))
		before.Close()
		var log bytes.Buffer
		p, err := OpenPlatforms(t.Context(), kv, testBox(t, 2), PlatformsOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		defer p.Close()
		require.Regexp(t, `^time=\S+ level=ERROR msg="the platform cannot log in: its password was sealed with another seal key" platform=A remedy="put that key back .*, or create the platform again .*"\n$`, log.String())
		require.ErrorIs(t, p.Verify([]byte("A"), []byte("user"), []byte("swordfish")), ErrPlatformSealed)
		require.NoError(t, p.Create(t.Context(), "A", "user", "swordfish", true))
		synctest.Wait()
		require.NoError(t, p.Verify([]byte("A"), []byte("user"), []byte("swordfish")))

		// An entry of an earlier version has no mark: it works, and under another key its password is wrong.
		require.NoError(t, kv.Put(t.Context(), "B", regexp.MustCompile(`,"mark":"[^"]+"`).ReplaceAll(mustGet(t, kv, "A"), nil)))
		synctest.Wait()
		require.ErrorIs(t, p.Verify([]byte("B"), []byte("user"), []byte("swordfish")), ErrPlatformPassword)
		require.Equal(t, 1, bytes.Count(log.Bytes(), []byte("level=ERROR")))
	})
}

func mustGet(t *testing.T, kv *memkv.KV, key string) []byte {
	t.Helper()
	value, err := kv.Get(t.Context(), key)
	require.NoError(t, err)
	return value
}

func TestPlatformsStoreAway(t *testing.T) {
	kv, away := memkv.New(), errors.New("away")
	p := openPlatforms(t, kv)
	defer p.Close()
	require.NoError(t, p.Create(t.Context(), "A", "u", "1", false))
	kv.Fail(away)
	require.ErrorIs(t, p.Create(t.Context(), "B", "u", "1", false), away)
	require.ErrorIs(t, p.Delete(t.Context(), "A"), away)
	require.NoError(t, p.Verify([]byte("A"), []byte("u"), []byte("1")), "logins go on")
	require.ErrorIs(t, p.Verify([]byte("B"), []byte("u"), []byte("1")), ErrPlatformUnknown)
	require.Empty(t, p.tombs)
	_, err := OpenPlatforms(t.Context(), kv, testBox(t, 1), PlatformsOptions{})
	require.ErrorIs(t, err, away)
	kv.Fail(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = OpenPlatforms(ctx, kv, testBox(t, 1), PlatformsOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

// lateAnswers is a store whose answer to a deletion does not come before the watch has told of it and the caller has gone.
type lateAnswers struct{ *memkv.KV }

func (s lateAnswers) Delete(ctx context.Context, key string) error {
	if err := s.KV.Delete(ctx, key); err != nil {
		return err
	}
	synctest.Wait()
	return context.Canceled
}

func TestPlatformsDeletedWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := memkv.New()
		p := openPlatforms(t, lateAnswers{kv})
		defer p.Close()
		require.NoError(t, p.Create(t.Context(), "A", "u", "1", false))
		synctest.Wait()
		require.NoError(t, p.Delete(t.Context(), "A"), "the watch has said so")
		require.Empty(t, kv.Keys())
		require.Empty(t, p.List())
		require.ErrorIs(t, p.Verify([]byte("A"), []byte("u"), []byte("1")), ErrPlatformUnknown)
		require.Empty(t, p.tombs)
	})
}

func TestPlatformsForeignEntries(t *testing.T) {
	kv := memkv.New()
	require.NoError(t, kv.Put(t.Context(), "a.b", []byte("{}")))
	require.NoError(t, kv.Put(t.Context(), "=", []byte("{}")))
	require.NoError(t, kv.Put(t.Context(), "BAD", []byte("not JSON")))
	require.NoError(t, kv.Put(t.Context(), "EMPTY", []byte("{}")))
	var log bytes.Buffer
	p, err := OpenPlatforms(t.Context(), kv, testBox(t, 1), PlatformsOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	defer p.Close()
	require.Equal(t, 3, bytes.Count(log.Bytes(), []byte("level=WARN")))
	require.Len(t, p.List(), 1)
	require.ErrorIs(t, p.Verify([]byte("EMPTY"), nil, nil), ErrPlatformPassword, "an entry without a hash opens nothing")
}

func TestPlatformsRaces(t *testing.T) {
	kv := memkv.New()
	p := openPlatforms(t, kv)
	defer p.Close()
	require.NoError(t, p.Create(t.Context(), "STABLE", "u", "1", false))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			code := fmt.Sprintf("P%d", i%4)
			for range 50 {
				if err := p.Create(t.Context(), code, "u", "1", true); err != nil {
					t.Error(err)
				}
				if err := p.Verify([]byte("STABLE"), []byte("u"), []byte("1")); err != nil {
					t.Error(err)
				}
				if err := p.Delete(t.Context(), code); err != nil && !errors.Is(err, ErrPlatformUnknown) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Eventually(t, func() bool { return len(p.List()) == len(kv.Keys()) }, time.Minute, time.Millisecond, "memory and store agree")
}
