package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/datadir"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/session"
	"github.com/tboxgate/tboxgate/session/seal"
)

func (p *program) backupCommand() *cli.Command {
	return &cli.Command{
		Name:      "backup",
		Usage:     "write everything that is stored to a file, from a running gateway or without one",
		ArgsUsage: "FILE|-",
		Description: "The file holds the streams and buckets: all that was answered before the command began. It does not hold the key\n" +
			"that seals secrets (seal.key, or TBOXGATE_SEAL_KEY): keep a copy of that apart. A store in a NATS server of your own\n" +
			"(nats.url) is backed up with NATS' tools.",
		Flags: operatorFlags(),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1)
			if err != nil {
				return err
			}
			return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error { return p.backup(ctx, o, args[0]) })
		},
	}
}

// backup writes the file whole or not at all.
func (p *program) backup(ctx context.Context, o *operator, file string) (err error) {
	in, err := o.Backup(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if file == "-" {
		_, sum, err := nats.CheckBackup(io.TeeReader(in, p.stdout))
		return p.backedUp(sum, err)
	}
	out, finish, err := createWhole(file)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	_, sum, err := nats.CheckBackup(io.TeeReader(in, out))
	return p.backedUp(sum, finish(err))
}

// backedUp says what is in a backup, apart from the file.
func (p *program) backedUp(sum nats.BackupSummary, err error) error {
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	say(p.stderr, "%d messages of %d streams and buckets, %d bytes\n", sum.Messages, sum.Streams, sum.Bytes)
	return nil
}

func (p *program) restoreCommand() *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "make a data directory out of a backup",
		ArgsUsage: "FILE|-",
		Description: "The directory must not hold a store yet, and no gateway may run on it. The store is there as a whole or not at all.\n" +
			"Copy the seal.key of the old directory there too: without it, access keys and the passwords of platforms cannot be\n" +
			"read.",
		Flags: []cli.Flag{configFileFlag(), &cli.StringFlag{Name: "data-dir", Usage: "the directory to make [$TBOXGATE_DATA_DIR]", DefaultText: "./tboxgate-data"}},
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, 1)
			if err != nil {
				return err
			}
			cfg, err := p.config(c)
			if err != nil {
				return configProblem(c, err)
			}
			return p.restore(c.Context, cfg, args[0])
		},
	}
}

func (p *program) restore(ctx context.Context, cfg *Config, file string) error {
	if cfg.NATS.URL != "" {
		return errExternalStore
	}
	return p.input(file, func(in io.Reader, _ string) error { return p.restoreFrom(ctx, cfg, in, file) })
}

func (p *program) restoreFrom(ctx context.Context, cfg *Config, in io.Reader, file string) (err error) {
	dir, err := datadir.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	sum, err := nats.Restore(ctx, in, dir.Path(), func(i nats.BackupInfo) error { return datadir.CheckFormat("backup "+file, i.Format) })
	if errors.Is(err, nats.ErrNotEmpty) {
		return fmt.Errorf("data directory %s holds a store already: choose another one with --data-dir", dir.Path())
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	say(p.stderr, "%d messages of %d streams and buckets, %d bytes\n", sum.Messages, sum.Streams, sum.Bytes)
	if _, err := os.Stat(filepath.Join(dir.Path(), seal.KeyFile)); err != nil && os.Getenv(seal.KeyEnv) == "" {
		say(p.stderr, "copy %s of the old data directory to %s, or set %s: access keys and passwords of platforms are sealed with it\n",
			seal.KeyFile, dir.Path(), seal.KeyEnv)
	}
	return nil
}

// errExternalStore refuses what only works on the embedded store.
var errExternalStore = errors.New("the store is in a NATS server of your own (nats.url): use its tools, such as nats account backup and restore")

// storeKeeper is the store as the admin API wants it.
type storeKeeper struct{ *state }

// Backup writes everything.
func (k storeKeeper) Backup(ctx context.Context, w io.Writer) error {
	if k.cfg.NATS.URL != "" {
		return kindError{errExternalStore, admin.ErrConflict}
	}
	_, err := k.store.Backup(ctx, w, nats.BackupInfo{Format: datadir.Format, Version: buildVersion().String(), Node: k.cfg.Node, At: time.Now().UTC()})
	return err
}

// Erase passes: what was under way when the vehicle was cut off is stored a moment later.
const (
	erasePasses = 50
	erasePause  = 200 * time.Millisecond
)

// Erase removes a vehicle's registrations, which cuts it off, and then everything that is stored of it, until
// nothing comes any more.
func (k storeKeeper) Erase(ctx context.Context, vin codec.VIN) (e admin.Erased, err error) {
	var products []string
	for d := range k.registry.List("") {
		if d.VIN == vin {
			products = append(products, d.ProductKey)
		}
	}
	for _, product := range products {
		if err := k.registry.Delete(ctx, product, vin); err != nil && !errors.Is(err, session.ErrNotRegistered) {
			return e, err
		}
		e.Registrations++
	}
	for pass := range erasePasses {
		got, err := k.store.Erase(ctx, vin)
		e.Frames, e.Events, e.Entries, e.Rewritten = e.Frames+got.Frames, e.Events+got.Events, e.Entries+got.Entries, e.Rewritten+got.Rewritten
		if err != nil {
			return e, err
		}
		if got.Nothing() && pass > 0 {
			return e, nil
		}
		select {
		case <-ctx.Done():
			return e, context.Cause(ctx)
		case <-time.After(erasePause):
		}
	}
	return e, kindError{fmt.Errorf("vehicle %s: its records still come in: keep it from logging in (registration: closed), and erase it again", vin), admin.ErrConflict}
}

func (p *program) eraseCommand() *cli.Command {
	return &cli.Command{
		Name: "erase", Usage: "remove vehicles with everything that is stored of them", ArgsUsage: "VIN...",
		Description: "The registration goes, which cuts the vehicle off, and its frames, events, last state and command results.\n" +
			"In the batched layout the records of other vehicles in the same messages are stored again, at the end of the\n" +
			"stream. What was passed on to other sinks, exported or backed up before is not reached.",
		Flags: operatorFlags(),
		Action: func(c *cli.Context) error {
			return p.operateEach(c, needDirectory, func(ctx context.Context, o *operator, text string) error {
				vin, err := vinArgument(c, text)
				if err != nil {
					return err
				}
				return p.eraseVehicle(ctx, o, vin)
			})
		},
	}
}

// eraseVehicle is vehicles erase for one VIN.
func (p *program) eraseVehicle(ctx context.Context, o *operator, vin codec.VIN) error {
	e, err := o.EraseVehicle(ctx, vin)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s: %d frames, %d events, %d entries erased\n", vin, e.Frames, e.Events, e.Entries+uint64(e.Registrations))
	return err
}
