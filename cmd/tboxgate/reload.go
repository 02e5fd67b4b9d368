package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
)

// reloader takes a changed configuration over, as far as that goes without a restart, and says what does not.
type reloader struct {
	read         func() (*Config, error) // the configuration as flags, environment and file are now
	cfg          *Config                 // as it was at the start
	certificates func() error            // reads the certificate files again
	level        *slog.LevelVar
	log          *slog.Logger
}

// untilDone reloads at every SIGHUP until ctx ends.
func (r *reloader) untilDone(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			r.reload()
		case <-ctx.Done():
			return
		}
	}
}

func (r *reloader) reload() {
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
