package main

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// ConfigError says what is wrong with one setting and where it was set.
type ConfigError struct {
	Origin  string // "tboxgate.yaml:7", "--listen", "TBOXGATE_LISTEN"; empty for a default
	Key     string // path in the file, such as listeners[0].profile; empty when the line itself is wrong
	Problem string
}

func (e *ConfigError) Error() string {
	s := e.Problem
	if e.Key != "" && !strings.HasPrefix(e.Origin, "--") && !strings.HasPrefix(e.Origin, envPrefix) {
		s = e.Key + ": " + s
	}
	if e.Origin != "" {
		s = e.Origin + ": " + s
	}
	return s
}

const envPrefix = "TBOXGATE_"

// configSource is what a configuration is read from.
type configSource struct {
	file  string                      // path of the YAML file; empty: none
	env   func(string) (string, bool) // os.LookupEnv
	flags map[string][]string         // values of the flags given, by name
}

// origins says where each setting came from, by path. Settings that are not in it are defaults.
type origins map[string]string

// of returns where path, or the list or section it stands in, was set.
func (o origins) of(path string) string {
	for path != "" {
		if at, ok := o[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return ""
}

// loadConfig reads, merges and checks the configuration. The error is one *ConfigError or several, joined.
func loadConfig(src configSource) (*Config, error) {
	l := &configLoader{src: src, from: origins{}}
	c := &Config{}
	l.setDefaults(reflect.ValueOf(c).Elem(), "")
	if src.file != "" {
		if err := l.readFile(c); err != nil {
			return nil, err
		}
	}
	l.overlay(reflect.ValueOf(c).Elem(), "")
	if len(l.errs) == 0 {
		l.settle(c)
		l.validate(c)
	}
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	return c, nil
}

// configLoader collects every error, so that a file is mended in one go.
type configLoader struct {
	src  configSource
	from origins
	errs []error
}

func (l *configLoader) fail(origin, key, format string, args ...any) {
	l.errs = append(l.errs, &ConfigError{Origin: origin, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// setting is one field of a configuration struct with its tags.
type setting struct {
	reflect.StructField
	key string
}

func settings(t reflect.Type) []setting {
	list := make([]setting, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if key := f.Tag.Get("key"); key != "" {
			list = append(list, setting{f, key})
		}
	}
	return list
}

// isScalar tells values from sections: an AccessKey is a struct that is written as one word.
func isScalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return true
	}
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Slice
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (l *configLoader) setDefaults(v reflect.Value, path string) {
	for _, s := range settings(v.Type()) {
		f, def := v.FieldByIndex(s.Index), s.Tag.Get("default")
		switch {
		case isScalar(s.Type):
			if def != "" {
				l.setText(f, s, def, "", join(path, s.key))
			}
		case s.Type.Kind() == reflect.Slice:
			if def != "" {
				l.setList(f, s, []string{def}, "", join(path, s.key))
			}
		default:
			l.setDefaults(f, join(path, s.key))
		}
	}
}

// overlay puts the environment and the flags over what the file said.
func (l *configLoader) overlay(v reflect.Value, path string) {
	for _, s := range settings(v.Type()) {
		f, at := v.FieldByIndex(s.Index), join(path, s.key)
		if values, origin := l.given(s.Tag.Get("flag"), s.Type.Kind() == reflect.Slice); origin != "" {
			l.from[at] = origin
			if isScalar(s.Type) {
				l.setText(f, s, values[len(values)-1], origin, at)
			} else if s.Tag.Get("keep") != "" {
				l.selectList(f, s, values, origin, at)
			} else {
				l.setList(f, s, values, origin, at)
			}
		}
		switch {
		case isScalar(s.Type):
		case s.Type.Kind() == reflect.Slice:
			for i := range f.Len() {
				if !isScalar(s.Type.Elem()) {
					l.overlay(f.Index(i), fmt.Sprintf("%s[%d]", at, i))
				}
			}
		default:
			l.overlay(f, at)
		}
	}
}

// given returns the values of a flag, else of its environment variable, and which of the two it was. The variable of
// a repeatable flag holds its values separated by commas.
func (l *configLoader) given(flag string, list bool) (values []string, origin string) {
	if flag == "" {
		return nil, ""
	}
	if values, ok := l.src.flags[flag]; ok {
		return values, "--" + flag
	}
	name := envName(flag)
	value, ok := l.src.env(name)
	if !ok || value == "" {
		return nil, ""
	}
	if !list {
		return []string{value}, name
	}
	for v := range strings.SplitSeq(value, ",") {
		values = append(values, strings.TrimSpace(v))
	}
	return values, name
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// setList replaces a list by one element for each text.
func (l *configLoader) setList(v reflect.Value, s setting, texts []string, origin, path string) {
	v.Set(reflect.MakeSlice(v.Type(), len(texts), len(texts)))
	into := s.Tag.Get("into")
	for i, text := range texts {
		at, e := fmt.Sprintf("%s[%d]", path, i), v.Index(i)
		if into == "" {
			l.setText(e, s, text, origin, at)
			continue
		}
		l.setDefaults(e, at)
		for _, es := range settings(e.Type()) {
			if es.key == into {
				l.setText(e.FieldByIndex(es.Index), es, text, origin, join(at, into))
			}
		}
	}
}

// selectList takes for each text those elements of a list that have it already, with all their settings, or else a new
// one, as setList does.
func (l *configLoader) selectList(v reflect.Value, s setting, texts []string, origin, path string) {
	into := s.Tag.Get("into")
	text := func(e reflect.Value) string {
		for _, es := range settings(e.Type()) {
			if es.key == into {
				return e.FieldByIndex(es.Index).String()
			}
		}
		return ""
	}
	selected := reflect.MakeSlice(v.Type(), 0, len(texts))
	from := origins{} // of the elements at their new places
	for _, t := range texts {
		found := false
		for i := range v.Len() {
			if text(v.Index(i)) != t {
				continue
			}
			found = true
			was, is := fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%s[%d]", path, selected.Len())
			for key, at := range l.from {
				if rest, ok := strings.CutPrefix(key, was); ok {
					from[is+rest] = at
				}
			}
			selected = reflect.Append(selected, v.Index(i))
		}
		if !found {
			one := reflect.New(v.Type()).Elem()
			l.setList(one, s, []string{t}, origin, path)
			selected = reflect.Append(selected, one.Index(0))
		}
	}
	for key := range l.from {
		if strings.HasPrefix(key, path+"[") {
			delete(l.from, key)
		}
	}
	maps.Copy(l.from, from)
	v.Set(selected)
}

// setText reads one value.
func (l *configLoader) setText(v reflect.Value, s setting, text, origin, path string) {
	bad := func(format string, args ...any) { l.fail(origin, path, format, args...) }
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			bad("%v", err)
			return
		}
	} else {
		switch p := v.Addr().Interface().(type) {
		case *string:
			unset := text == "" && s.Tag.Get("default") == ""
			if allowed := s.Tag.Get("oneof"); allowed != "" && !unset && !strings.Contains("|"+allowed+"|", "|"+text+"|") {
				bad("%q is not allowed; one of %s", text, strings.ReplaceAll(allowed, "|", ", "))
				return
			}
			if text == masked && s.Tag.Get("secret") != "" {
				bad("%v", errMasked)
				return
			}
			*p = text
		case *bool:
			b, err := strconv.ParseBool(text)
			if err != nil {
				bad("%q is not true or false", text)
				return
			}
			*p = b
		case *int:
			n, err := strconv.Atoi(text)
			if err != nil {
				bad("%q is not a whole number", text)
				return
			}
			*p = n
		case *time.Duration:
			d, err := time.ParseDuration(text)
			if err != nil || d < 0 {
				bad("%q is not a duration such as 500ms, 30s or 5m", text)
				return
			}
			*p = d
		default:
			panic(fmt.Sprintf("config: no reader for %T of %s", p, path))
		}
	}
	l.checkBounds(v, s, text, origin, path)
}

// checkBounds holds a number against its min and max.
func (l *configLoader) checkBounds(v reflect.Value, s setting, text, origin, path string) {
	bound := func(tag string) (reflect.Value, string) {
		limit, b := s.Tag.Get(tag), reflect.New(v.Type()).Elem()
		if limit != "" {
			l.setText(b, setting{key: s.key}, limit, origin, path)
		}
		return b, limit
	}
	if least, text2 := bound("min"); text2 != "" && v.Int() < least.Int() {
		l.fail(origin, path, "%s is too small; at least %s", text, text2)
	}
	if most, text2 := bound("max"); text2 != "" && v.Int() > most.Int() {
		l.fail(origin, path, "%s is too large; at most %s", text, text2)
	}
}
