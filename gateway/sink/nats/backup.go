package nats

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A backup is a tar file:
//
//	backup.json                    what made it, when, and in which format of the data directory
//	streams/<name>/stream.json     configuration and state of a stream or bucket
//	streams/<name>/00000001 …      pieces of nats-server's own snapshot of it, consumers included
//	end.json                       all streams; without it the file is cut off
//
// The snapshot of a stream holds everything that was confirmed before the backup began. The seal key is not
// in it.

// BackupInfo begins a backup.
type BackupInfo struct {
	Format  int       `json:"format"` // of the data directory
	Version string    `json:"version"`
	Node    string    `json:"node"`
	At      time.Time `json:"at"`
}

// BackupSummary ends a backup and says what is in it.
type BackupSummary struct {
	Streams  int    `json:"streams"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"` // of the messages
}

// ErrBackup is the kind of error for a file that is no whole backup.
var ErrBackup = errors.New("not a whole backup")

// ErrNotEmpty says that a backup cannot be restored over data.
var ErrNotEmpty = errors.New("there is a store already")

// Names in a backup.
const (
	backupInfo   = "backup.json"
	backupEnd    = "end.json"
	backupStream = "stream.json"
	backupPrefix = "streams/"
)

// pieceLimit is more than any piece has, which the server cuts at 1 MiB.
const pieceLimit = 4 << 20

// backupPatience bounds the wait for one piece or answer.
const backupPatience = 30 * time.Second

// Backup writes all streams and buckets of the store to w while it works. The error leaves a file without
// an end, which Restore refuses.
func (s *Store) Backup(ctx context.Context, w io.Writer, info BackupInfo) (sum BackupSummary, err error) {
	t := tar.NewWriter(w)
	if err := writeJSON(t, backupInfo, info); err != nil {
		return sum, err
	}
	var names []string
	for n := s.js.StreamNames(ctx); ; {
		name, open := <-n.Name()
		if !open {
			if n.Err() != nil {
				return sum, fmt.Errorf("nats: the streams cannot be listed: %w", n.Err())
			}
			break
		}
		if strings.HasPrefix(name, StreamRecords) || strings.HasPrefix(name, "KV_"+StreamRecords) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		state, err := s.backupStream(ctx, t, name)
		if err != nil {
			return sum, fmt.Errorf("nats: backup of stream %s: %w", name, err)
		}
		sum.Streams++
		sum.Messages += state.Msgs
		sum.Bytes += state.Bytes
	}
	if err := writeJSON(t, backupEnd, sum); err != nil {
		return sum, err
	}
	return sum, t.Close()
}

// snapshotHead is the server's answer to the request for a snapshot, and the request to restore one.
type snapshotHead struct {
	Config json.RawMessage     `json:"config"`
	State  json.RawMessage     `json:"state"`
	Error  *jetstream.APIError `json:"error,omitempty"`
}

// backupStream writes one stream.
func (s *Store) backupStream(ctx context.Context, t *tar.Writer, name string) (state jetstream.StreamState, err error) {
	sub, err := s.control.SubscribeSync(s.control.NewInbox())
	if err != nil {
		return state, err
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when it has ended
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return state, err
	}
	ask := fmt.Appendf(nil, `{"deliver_subject":%q,"jsck":false,"chunk_size":%d,"window_size":%d}`, sub.Subject, 512<<10, 8<<20)
	var head snapshotHead
	if err := s.apiCall(ctx, "$JS.API.STREAM.SNAPSHOT."+name, ask, &head); err != nil {
		return state, err
	}
	if head.Error != nil {
		return state, head.Error
	}
	if err := json.Unmarshal(head.State, &state); err != nil {
		return state, fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	if err := writeJSON(t, backupPrefix+name+"/"+backupStream, head); err != nil {
		return state, err
	}
	for i := 1; ; i++ {
		wait, cancel := context.WithTimeout(ctx, backupPatience)
		m, err := sub.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			return state, err
		}
		if len(m.Data) == 0 {
			if code := m.Header.Get("Status"); code != "" && code != "204" {
				return state, fmt.Errorf("the server ended the snapshot: %s %s", code, m.Header.Get("Description"))
			}
			return state, nil
		}
		if err := writeFile(t, fmt.Sprintf("%s%s/%08d", backupPrefix, name, i), m.Data); err != nil {
			return state, err
		}
		if m.Reply != "" {
			if err := m.Respond(nil); err != nil {
				return state, err
			}
		}
	}
}

// apiCall makes one call of JetStream's API.
func (s *Store) apiCall(ctx context.Context, subject string, body []byte, answer any) error {
	return apiCall(ctx, s.control, subject, body, answer)
}

func apiCall(ctx context.Context, nc *natsgo.Conn, subject string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, backupPatience)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("the server's answer %q cannot be read: %w", clip(m.Data), err)
	}
	return nil
}

func writeJSON(t *tar.Writer, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(t, name, append(b, '\n'))
}

func writeFile(t *tar.Writer, name string, b []byte) error {
	err := t.WriteHeader(&tar.Header{Name: name, Size: int64(len(b)), Mode: 0o600, ModTime: time.Now()})
	if err == nil {
		_, err = t.Write(b)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

// CheckBackup reads a backup to its end and says what it is. The error is ErrBackup when it is cut off.
func CheckBackup(r io.Reader) (info BackupInfo, sum BackupSummary, err error) {
	t := tar.NewReader(r)
	if err := readJSON(t, backupInfo, &info); err != nil {
		return info, sum, err
	}
	for {
		h, err := t.Next()
		if err != nil {
			return info, sum, fmt.Errorf("%w: %w", ErrBackup, err)
		}
		if h.Name == backupEnd {
			if err := decodeJSON(t, h, &sum); err != nil {
				return info, sum, err
			}
			_, err := io.Copy(io.Discard, r) // the padding
			return info, sum, err
		}
	}
}

// Restore makes the embedded server's store in dir out of a backup. check looks at what begins it, before
// anything is written. The store appears whole or not at all; ErrNotEmpty: there is one already.
func Restore(ctx context.Context, r io.Reader, dir string, check func(BackupInfo) error) (sum BackupSummary, err error) {
	place := filepath.Join(dir, server.JetStreamStoreDir)
	if _, err := os.Stat(place); !errors.Is(err, os.ErrNotExist) {
		return sum, fmt.Errorf("nats: %s: %w", dir, errors.Join(ErrNotEmpty, err))
	}
	t := tar.NewReader(r)
	var info BackupInfo
	if err := readJSON(t, backupInfo, &info); err != nil {
		return sum, err
	}
	if err := check(info); err != nil {
		return sum, err
	}
	scratch := filepath.Join(dir, "restore.tmp")
	if err := os.RemoveAll(scratch); err != nil {
		return sum, fmt.Errorf("nats: restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if sum, err = restoreInto(ctx, t, scratch); err != nil {
		return sum, err
	}
	if err := os.Rename(filepath.Join(scratch, server.JetStreamStoreDir), place); err != nil {
		return sum, fmt.Errorf("nats: restore: %w", err)
	}
	return sum, nil
}

// restoreInto restores all streams into an empty directory.
func restoreInto(ctx context.Context, t *tar.Reader, dir string) (sum BackupSummary, err error) {
	o := Options{Dir: dir, MaxBytes: 1 << 50, Logger: slog.New(slog.DiscardHandler)} // the streams' own limits come with them
	if err := o.complete(); err != nil {
		return sum, err
	}
	srv, err := newEmbedded(o)
	if err != nil {
		return sum, err
	}
	if err := srv.start(); err != nil {
		return sum, err
	}
	defer srv.stop()
	s := &Store{opts: o, server: srv}
	nc, err := s.connect("restore")
	if err != nil {
		return sum, err
	}
	defer nc.Close()
	name, next := "", ""
	defer func() {
		if err != nil && next != "" {
			_ = finish(ctx, nc, name, next) // else the server waits for the rest
		}
	}()
	for {
		h, err := t.Next()
		if err != nil {
			return sum, fmt.Errorf("%w: %w", ErrBackup, err)
		}
		stream, file, ok := strings.Cut(strings.TrimPrefix(h.Name, backupPrefix), "/")
		switch {
		case h.Name == backupEnd:
			if next != "" {
				if err := finish(ctx, nc, name, next); err != nil {
					return sum, err
				}
			}
			var want BackupSummary
			if err := decodeJSON(t, h, &want); err != nil {
				return sum, err
			}
			if want != sum {
				return sum, fmt.Errorf("%w: %d streams with %d messages are said to be in it, found %d with %d", ErrBackup,
					want.Streams, want.Messages, sum.Streams, sum.Messages)
			}
			return sum, nil
		case !ok || !strings.HasPrefix(h.Name, backupPrefix):
			return sum, fmt.Errorf("%w: unknown file %q", ErrBackup, h.Name)
		case file == backupStream:
			if next != "" {
				if err := finish(ctx, nc, name, next); err != nil {
					return sum, err
				}
			}
			var state jetstream.StreamState
			if next, state, err = begin(ctx, nc, stream, t, h); err != nil {
				return sum, err
			}
			name = stream
			sum.Streams++
			sum.Messages += state.Msgs
			sum.Bytes += state.Bytes
		case stream != name:
			return sum, fmt.Errorf("%w: %q stands before its %s", ErrBackup, h.Name, backupStream)
		default:
			if err := piece(ctx, nc, next, t, h); err != nil {
				return sum, fmt.Errorf("nats: restore of stream %s: %w", name, err)
			}
		}
	}
}

// begin announces a stream and returns where its pieces go.
func begin(ctx context.Context, nc *natsgo.Conn, name string, t *tar.Reader, h *tar.Header) (subject string, state jetstream.StreamState, err error) {
	var head snapshotHead
	if err := decodeJSON(t, h, &head); err != nil {
		return "", state, err
	}
	if err := json.Unmarshal(head.State, &state); err != nil {
		return "", state, fmt.Errorf("%w: %s: %w", ErrBackup, h.Name, err)
	}
	ask, err := json.Marshal(head)
	if err != nil {
		return "", state, err
	}
	var answer struct {
		Subject string              `json:"deliver_subject"`
		Error   *jetstream.APIError `json:"error"`
	}
	if err = apiCall(ctx, nc, "$JS.API.STREAM.RESTORE."+name, ask, &answer); err == nil && answer.Error != nil {
		err = answer.Error
	}
	if err != nil {
		return "", state, fmt.Errorf("nats: restore of stream %s: %w", name, err)
	}
	return answer.Subject, state, nil
}

// piece hands one piece over.
func piece(ctx context.Context, nc *natsgo.Conn, subject string, t *tar.Reader, h *tar.Header) error {
	if h.Size > pieceLimit {
		return fmt.Errorf("%w: %s has %d bytes", ErrBackup, h.Name, h.Size)
	}
	b, err := io.ReadAll(t)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	wait, cancel := context.WithTimeout(ctx, backupPatience)
	defer cancel()
	m, err := nc.RequestWithContext(wait, subject, b)
	if err != nil {
		return err
	}
	if len(m.Data) > 0 { // nothing means more is wanted
		return refusal(m.Data)
	}
	return nil
}

// finish ends a stream.
func finish(ctx context.Context, nc *natsgo.Conn, name, subject string) error {
	wait, cancel := context.WithTimeout(ctx, 10*backupPatience)
	defer cancel()
	m, err := nc.RequestWithContext(wait, subject, nil)
	if err == nil {
		err = refusal(m.Data)
	}
	if err != nil {
		return fmt.Errorf("nats: restore of stream %s: %w", name, err)
	}
	return nil
}

// refusal reads the answer that ends a restore: nil when the stream is there.
func refusal(b []byte) error {
	var answer struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return fmt.Errorf("the server's answer %q cannot be read: %w", clip(b), err)
	}
	if answer.Error != nil {
		return answer.Error
	}
	return nil
}

// readJSON reads the next file, which must have this name.
func readJSON(t *tar.Reader, name string, v any) error {
	h, err := t.Next()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBackup, err)
	}
	if h.Name != name {
		return fmt.Errorf("%w: it begins with %q", ErrBackup, h.Name)
	}
	return decodeJSON(t, h, v)
}

func decodeJSON(t *tar.Reader, h *tar.Header, v any) error {
	b, err := io.ReadAll(io.LimitReader(t, 1<<20))
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBackup, h.Name, err)
	}
	return nil
}
