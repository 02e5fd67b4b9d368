package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

var update = flag.Bool("update", false, "rewrite the golden files and docs/configuration.md")

// golden compares got with a file, or rewrites the file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go test ./cmd/tboxgate -update and look at the diff")
}

// TestConfigurationReference keeps docs/configuration.md what the configuration's type says.
func TestConfigurationReference(t *testing.T) {
	golden(t, "../../docs/configuration.md", configReference(t))
}

const referenceHead = `# Configuration

<!-- Made from the type Config in cmd/tboxgate/config.go: go test ./cmd/tboxgate -update -->

Nothing has to be set: ` + "`tboxgate serve --dev`" + ` tries things out, ` + "`tboxgate serve`" + ` runs with the defaults below.

A value is taken from the flag, else from the environment, else from the file (` + "`--config FILE`" + ` or ` + "`TBOXGATE_CONFIG`" + `), else
it is the default. A flag that may be repeated replaces the file's list; its variable holds the values separated by commas.
Durations are written ` + "`500ms`, `30s`, `5m`, `168h`" + `, sizes ` + "`65536`, `64KiB`, `1MiB`, `20GiB`" + `. An unknown key is refused with its line.

    tboxgate config check --config tboxgate.yaml    # says what is wrong, one line each, in files of certificates and passwords as well
    tboxgate config print --config tboxgate.yaml    # what file, environment and flags make together

What is reached from outside needs credentials: vehicles are registered (` + "`tboxgate vehicles import`" + `), platforms have a password,
calls of the API are signed, and an admin or NATS address that is not loopback needs ` + "`admin.token`" + ` or ` + "`nats.user`" + `. ` + "`--dev`" + ` lets
any vehicle in and therefore listens on loopback only.

The key that seals the secrets in the data directory is the file ` + "`seal.key`" + ` there, or ` + "`TBOXGATE_SEAL_KEY`" + ` (64 hex digits, or base64). Keep a copy
of it apart from the data's.

## Example

`

const example = `dataDir: /var/lib/tboxgate
listeners:
  - {address: "0.0.0.0:8999"}
  - {address: "10.0.0.5:8998", profile: platform, idleTimeout: 10m}
api: {address: "127.0.0.1:8960"}
admin: {address: "0.0.0.0:9960", token: change-me-to-something-long}
nats: {listen: "127.0.0.1:4222"}
sinks: [{type: nats, payload: json}, {type: kafka, brokers: ["10.0.0.8:9092"]}]
products: [{key: gbt32960, registration: closed}]
limits: {connections: 18000, perAddress: 0, window: 256}
`

func configReference(t *testing.T) []byte {
	file := filepath.Join(t.TempDir(), "tboxgate.yaml")
	require.NoError(t, os.WriteFile(file, []byte(example), 0o600))
	_, err := loadConfig(configSource{file: file, env: noEnv})
	require.NoError(t, err, "the example")
	var b bytes.Buffer
	b.WriteString(referenceHead + "```yaml\n" + example + "```\n\n## Settings\n")
	writeSection(&b, reflect.TypeFor[Config](), "", "")
	return b.Bytes()
}

func writeSection(b *bytes.Buffer, typ reflect.Type, path, doc string) {
	if path != "" {
		fmt.Fprintf(b, "\n### %s\n\n%s\n", path, doc)
	}
	b.WriteString("\n| key | default | flag, variable | |\n|---|---|---|---|\n")
	for _, s := range settings(typ) {
		def, given, text := s.Tag.Get("default"), "", s.Tag.Get("doc")
		elem := s.Type
		if s.Type.Kind() == reflect.Slice {
			elem = s.Type.Elem()
		}
		if flag := s.Tag.Get("flag"); flag != "" {
			given = fmt.Sprintf("`--%s` `%s`", flag, envName(flag))
		}
		switch {
		case !isScalar(elem) && s.Type.Kind() == reflect.Slice:
			text += fmt.Sprintf(" See [%s](#%s).", s.key+"[]", anchor(join(path, s.key)))
		case !isScalar(elem):
			text += fmt.Sprintf(" See [%s](#%s).", s.key, anchor(join(path, s.key)))
		case s.Type.Kind() == reflect.Bool:
			def = "false"
		}
		if allowed := s.Tag.Get("oneof"); allowed != "" {
			text = fmt.Sprintf("`%s`. %s", strings.ReplaceAll(allowed, "|", "`, `"), text)
		}
		switch least, most := s.Tag.Get("min"), s.Tag.Get("max"); {
		case most != "":
			text += fmt.Sprintf(" From %s to %s.", least, most)
		case least != "" && least != "0":
			text += fmt.Sprintf(" At least %s.", least)
		}
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", s.key, def, given, text)
	}
	for _, s := range settings(typ) {
		elem, name := s.Type, s.key
		if s.Type.Kind() == reflect.Slice {
			elem, name = s.Type.Elem(), s.key+"[]"
		}
		if !isScalar(elem) {
			writeSection(b, elem, join(path, name), s.Tag.Get("doc"))
		}
	}
}

// TestTags: every setting is described, reads its own default, and no two have one flag.
func TestTags(t *testing.T) {
	seen := map[string]string{}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		for _, s := range settings(typ) {
			at := join(path, s.key)
			require.NotEmpty(t, s.Tag.Get("doc"), at)
			require.True(t, strings.HasSuffix(s.Tag.Get("doc"), "."), at)
			require.NotContains(t, s.Tag.Get("doc"), "|", at)
			if flag := s.Tag.Get("flag"); flag != "" {
				require.Empty(t, seen[flag], "--%s is %s and %s", flag, seen[flag], at)
				seen[flag] = at
			}
			elem := s.Type
			if elem.Kind() == reflect.Slice {
				elem = elem.Elem()
			}
			if !isScalar(elem) {
				walk(elem, at)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	_, err := loadConfig(configSource{env: noEnv})
	require.NoError(t, err)
}

// TestFlags: no command has a flag twice, every flag is described, and all commands have help.
func TestFlags(t *testing.T) {
	var walk func(c *cli.Command)
	walk = func(c *cli.Command) {
		require.NotEmpty(t, c.Usage, c.Name)
		seen := map[string]bool{}
		for _, f := range c.Flags {
			for _, name := range f.Names() {
				require.False(t, seen[name], "%s has --%s twice", c.Name, name)
				seen[name] = true
			}
			require.NotEmpty(t, f.(cli.DocGenerationFlag).GetUsage(), "%s --%s", c.Name, f.Names()[0])
		}
		for _, sub := range c.Subcommands {
			walk(sub)
		}
	}
	p := &program{env: noEnv}
	for _, c := range p.app().Commands {
		walk(c)
	}
}

// anchor is the name that a heading gets where Markdown is shown.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		if r == '[' || r == ']' || r == '.' {
			return -1
		}
		return unicode.ToLower(r)
	}, heading)
}
