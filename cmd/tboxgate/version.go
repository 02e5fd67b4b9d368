package main

import (
	"runtime"
	"runtime/debug"
)

// build says which program this is.
type build struct {
	Version  string // module version, "devel" when built from a checkout without a tag
	Revision string // commit, with "+" when files were changed; empty when unknown
}

// buildVersion reads what the Go tool has put into the binary.
func buildVersion() build {
	b := build{Version: "devel"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if modified && b.Revision != "" {
		b.Revision += "+"
	}
	return b
}

// String is the text of --version.
func (b build) String() string {
	s := b.Version
	if b.Revision != "" {
		s += " (" + b.Revision + ")"
	}
	return s + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
}
