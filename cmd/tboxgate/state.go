package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/openapi"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/datadir"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/seal"
)

// state is what outlives a process: the data directory and what is kept in it. serve works on it, and so do the
// operator's commands when no gateway runs.
type state struct {
	cfg *Config
	log *slog.Logger

	dir       *datadir.Dir
	holder    nats.Holder // of files in it that outlast a failed disk; nil without a gateway
	seal      *seal.Box   // of what is secret in the store, and of what passes between gateways
	store     *nats.Store
	registry  *session.Registry
	platforms *session.Platforms
	keys      *openapi.KeyStore
	devices   *mqttdevice.Devices
}

// lockState takes the data directory for this process.
func lockState(cfg *Config, log *slog.Logger) (*state, error) {
	dir, err := datadir.Open(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	return &state{cfg: cfg, log: log, dir: dir}, nil
}

// open opens everything in the directory. barred is told of devices, and platformBarred of platforms, that may not be online
// any more. After an error close what there is.
func (s *state) open(ctx context.Context, barred, platformBarred func(codec.VIN)) error {
	box, err := seal.LoadKey(s.dir.Path(), os.Getenv(seal.KeyEnv))
	if err != nil {
		return err
	}
	s.seal = box
	c := s.cfg.NATS
	security, err := c.TLS.config()
	if err != nil {
		return fmt.Errorf("nats.%w", err)
	}
	s.store, err = nats.Open(ctx, nats.Options{
		Dir: s.dir.Path(), URL: c.URL, Listen: c.Listen, User: c.User, Password: c.Password, CredentialsFile: c.CredentialsFile, TLS: security,
		SyncInterval: time.Duration(c.SyncInterval), SyncAlways: c.SyncInterval == 0, MaxAge: c.MaxAge, MaxBytes: int64(c.MaxBytes),
		Replicas: c.Replicas, Batch: s.batch(), Holder: s.holder, Node: s.cfg.Node, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.registry, err = session.OpenRegistry(ctx, s.store.KV(nats.BucketDevices),
		session.RegistryOptions{Node: s.cfg.Node, OnBarred: barred, Logger: s.log})
	if err != nil {
		return err
	}
	s.platforms, err = session.OpenPlatforms(ctx, s.store.KV(nats.BucketPlatforms), box,
		session.PlatformsOptions{OnBarred: platformBarred, Logger: s.log})
	if err != nil {
		return err
	}
	if s.keys, err = openapi.OpenKeys(ctx, s.store.KV(nats.BucketKeys), box, staticKeys(s.cfg), s.log); err != nil {
		return err
	}
	s.devices, err = mqttdevice.OpenDevices(ctx, s.store.KV(nats.BucketMQTT), box, s.log)
	return err
}

// batch is the layout of the nats sink.
func (s *state) batch() nats.Batch {
	for _, k := range s.cfg.Sinks {
		if k.Type == "nats" {
			return nats.Batch{MaxFrames: k.Batch.MaxFrames, MaxDelay: k.Batch.MaxDelay}
		}
	}
	return nats.Batch{}
}

// commands is the bucket of command results.
func (s *state) commands() *nats.KV { return s.store.KV(nats.BucketCommands) }

// close writes what is not written yet, until ctx ends, and closes what is open.
func (s *state) close(ctx context.Context) error {
	var errs []error
	if s.devices != nil {
		s.devices.Close()
	}
	if s.keys != nil {
		s.keys.Close()
	}
	if s.platforms != nil {
		s.platforms.Close()
	}
	if s.registry != nil {
		errs = append(errs, s.registry.Close(ctx))
	}
	if s.store != nil {
		errs = append(errs, s.store.Close(ctx))
	}
	return errors.Join(errs...)
}

// unlock leaves the directory to the next process.
func (s *state) unlock() error { return s.dir.Close() }

// keyBackend is the access keys as the admin API wants them.
type keyBackend struct{ *openapi.KeyStore }

// List returns all keys without their secrets.
func (b keyBackend) List() []admin.Key {
	infos := b.KeyStore.List()
	keys := make([]admin.Key, len(infos))
	for i, k := range infos {
		keys[i] = admin.Key{
			ID: k.ID, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, Products: k.Products, Temporary: k.Temporary, Disabled: k.Disabled,
			Static: k.Static, Unreadable: k.Unreadable,
		}
		for _, r := range k.Allow {
			keys[i].Allow = append(keys[i].Allow, string(r))
		}
	}
	return keys
}

// Create makes a key; its errors are of the admin API's kinds.
func (b keyBackend) Create(ctx context.Context, n admin.NewKey) (admin.Key, error) {
	grant, err := openapi.MakeGrant(n.Products, n.Allow)
	if err != nil {
		return admin.Key{}, keyError(err)
	}
	k, err := b.KeyStore.Create(ctx, openapi.NewKey{ID: n.ID, Secret: n.Secret, Grant: grant, ExpiresAt: n.ExpiresAt.Time, Temporary: n.Temporary})
	if err != nil {
		return admin.Key{}, keyError(err)
	}
	made := admin.Key{
		ID: k.ID, Secret: k.Secret, SecurityToken: k.SecurityToken, CreatedAt: session.At(time.Now()), Products: grant.Products,
		ExpiresAt: n.ExpiresAt, Temporary: n.Temporary,
	}
	for _, r := range grant.Allow {
		made.Allow = append(made.Allow, string(r))
	}
	return made, nil
}

// SetDisabled switches a key off or on; its errors are of the admin API's kinds.
func (b keyBackend) SetDisabled(ctx context.Context, id string, disabled bool) error {
	return keyError(b.KeyStore.SetDisabled(ctx, id, disabled))
}

// Delete revokes a key; its errors are of the admin API's kinds.
func (b keyBackend) Delete(ctx context.Context, id string) error {
	return keyError(b.KeyStore.Delete(ctx, id))
}

func keyError(err error) error {
	for from, to := range map[error]error{
		openapi.ErrKeyNotFound: admin.ErrNotFound, openapi.ErrKeyExists: admin.ErrConflict,
		openapi.ErrKeyStatic: admin.ErrConflict, openapi.ErrKeyFormat: admin.ErrInvalid,
		openapi.ErrKeyGrant: admin.ErrInvalid,
	} {
		if errors.Is(err, from) {
			return kindError{err, to}
		}
	}
	return err
}

// kindError is an error that is also of another kind.
type kindError struct {
	error
	kind error
}

func (e kindError) Unwrap() []error { return []error{e.error, e.kind} }
