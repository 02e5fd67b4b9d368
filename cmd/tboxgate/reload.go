package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"
)

// configLook is how often the configuration file is looked at.
const configLook = 2 * time.Second

// reloader takes a changed configuration over, as far as that goes without a restart, and says what does not.
type reloader struct {
	hup          chan os.Signal
	file         string                  // "" for none
	read         func() (*Config, error) // the configuration as flags, environment and file are now
	cfg          *Config                 // as it was at the start
	certificates func() error            // reads the certificate files again
	level        *slog.LevelVar
	begun, ended func() // tell the service manager
	log          *slog.Logger
}

// listen takes SIGHUP from now on, which ends a process that does not.
func (r *reloader) listen() {
	r.hup = make(chan os.Signal, 1)
	signal.Notify(r.hup, syscall.SIGHUP)
}

// untilDone reloads at every SIGHUP, and when the file has changed, until ctx ends.
func (r *reloader) untilDone(ctx context.Context) {
	defer signal.Stop(r.hup)
	look := time.NewTicker(configLook)
	defer look.Stop()
	seen := r.version()
	for {
		select {
		case <-r.hup:
			seen = r.version()
			r.reload()
		case <-look.C:
			if now := r.version(); now != seen {
				seen = now
				r.reload()
			}
		case <-ctx.Done():
			return
		}
	}
}

// version changes when the file does.
func (r *reloader) version() (v struct {
	at   time.Time
	size int64
}) {
	if info, err := os.Stat(r.file); r.file != "" && err == nil {
		v.at, v.size = info.ModTime(), info.Size()
	}
	return v
}

func (r *reloader) reload() {
	r.begun()
	defer r.ended()
	c, err := r.read()
	if err != nil {
		r.log.Error("reload: the configuration has a mistake; nothing of it is taken over", "error", firstOf(err))
		return
	}
	if err := r.certificates(); err != nil {
		r.log.Error("reload: certificates that cannot be used; those before stay in use", "error", err)
	}
	r.level.Set(logLevel(c.Log.Level))
	taken, restart := []string{"certificates"}, []string(nil)
	for _, path := range changes(reflect.ValueOf(r.cfg).Elem(), reflect.ValueOf(c).Elem(), "") {
		if path == "log.level" {
			taken = append(taken, path)
		} else if path != "dataDir" || !c.Dev || c.DataDir != "" { // --dev has made a temporary one
			restart = append(restart, path)
		}
	}
	r.log.Info("reloaded", "taken", strings.Join(taken, " "))
	if len(restart) > 0 {
		r.log.Warn("reload: these settings have changed and need a restart", "settings", strings.Join(restart, " "))
	}
	r.cfg.Log.Level = c.Log.Level
}

// changes lists the settings that differ, by path; a list whose length differs is one setting.
func changes(a, b reflect.Value, path string) (paths []string) {
	for _, s := range settings(a.Type()) {
		x, y, at := a.FieldByIndex(s.Index), b.FieldByIndex(s.Index), join(path, s.key)
		switch {
		case !isScalar(s.Type) && s.Type.Kind() != reflect.Slice:
			paths = append(paths, changes(x, y, at)...)
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			paths = append(paths, at)
		}
	}
	return paths
}
