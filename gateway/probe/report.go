package probe

import (
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// Count returns how many results have each outcome.
func Count(results []Result) map[Outcome]int {
	n := map[Outcome]int{}
	for i := range results {
		n[results[i].Outcome]++
	}
	return n
}

// marks are the outcomes as a table shows them.
var marks = map[Outcome]string{Pass: "pass", Warn: "WARN", Fail: "FAIL", NotApplicable: "n/a", NotRun: "----"}

// WriteTable writes the results for people: a row each, for those that did not pass also what was expected
// and which clause says so, and with verbose every frame of every case with its fields.
func WriteTable(w io.Writer, results []Result, verbose bool) error {
	var b []byte
	for i := range results {
		r := &results[i]
		seen := r.Seen
		if r.Outcome == NotRun {
			seen = "not run: " + seen
		}
		b = fmt.Appendf(b, "%-4s  %d  %-28s  %s\n", marks[r.Outcome], r.Edition, r.Case.Name, seen)
		if r.Outcome == Warn || r.Outcome == Fail || verbose {
			b = fmt.Appendf(b, "            expected: %s (%s)\n", r.Case.Expect, r.Case.Clause(r.Edition))
		}
		switch {
		case verbose:
			b = appendDumps(b, r.Steps)
		case r.Outcome == Fail:
			b = appendSteps(b, r.Steps)
		}
	}
	n := Count(results)
	b = fmt.Appendf(b, "\n%d cases: %d passed, %d warnings, %d failed, %d not applicable, %d not run\n", len(results), n[Pass], n[Warn], n[Fail], n[NotApplicable], n[NotRun])
	_, err := w.Write(b)
	return err
}

// way says where the bytes of a step went.
func (s *Step) way() string {
	if s.Sent {
		return "sent"
	}
	return "received"
}

// text returns the bytes in hex, without those of secrets.
func (s *Step) text() string {
	if n, secret := s.secret(); secret {
		return hex.EncodeToString(s.Data[:n]) + fmt.Sprintf(" and %d bytes with a secret", len(s.Data)-n)
	}
	return hex.EncodeToString(s.Data)
}

// secret reports whether the step's frame holds secrets, and how many of its bytes may be shown.
func (s *Step) secret() (shown int, secret bool) {
	f, err := codec.ParseFrame(s.Data)
	if err != nil || !codec.Secret(f) {
		return len(s.Data), false
	}
	return codec.HeaderSize, true
}

const mostHex = 160 // characters of hex in a row

func appendSteps(b []byte, steps []Step) []byte {
	for i := range steps {
		s := &steps[i]
		if s.Note != "" {
			b = fmt.Appendf(b, "            %6.3fs  connection %d  %s\n", s.At.Seconds(), s.Conn, s.Note)
			continue
		}
		text := s.text()
		if len(text) > mostHex {
			text = fmt.Sprintf("%s… (%d bytes)", text[:mostHex], len(s.Data))
		}
		b = fmt.Appendf(b, "            %6.3fs  connection %d  %s %s\n", s.At.Seconds(), s.Conn, s.way(), text)
	}
	return b
}

// mostDumped bounds the frames that are taken apart: one of 64 KiB fills a screen a hundred times.
const mostDumped = 1024

func appendDumps(b []byte, steps []Step) []byte {
	for i := range steps {
		s := &steps[i]
		f, err := codec.ParseFrame(s.Data)
		if _, secret := s.secret(); err != nil || secret || len(f) > mostDumped {
			b = appendSteps(b, steps[i:i+1])
			continue
		}
		b = fmt.Appendf(b, "            %6.3fs  connection %d  %s\n", s.At.Seconds(), s.Conn, s.way())
		for line := range strings.Lines(string(codec.AppendDump(nil, f))) {
			b = append(append(b, "              "...), line...)
		}
		if b[len(b)-1] != '\n' {
			b = append(b, '\n')
		}
	}
	return b
}

// jsonResult is a result as WriteJSON writes it.
type jsonResult struct {
	Case    string        `json:"case"`
	Edition codec.Edition `json:"edition"`
	Clause  string        `json:"clause"`
	Expect  string        `json:"expect"`
	Outcome Outcome       `json:"outcome"`
	Seen    string        `json:"seen"`
	Millis  int64         `json:"ms"`
	Steps   []jsonStep    `json:"steps,omitempty"`
}

type jsonStep struct {
	Millis     int64           `json:"ms"`
	Connection int             `json:"connection"`
	Way        string          `json:"way"` // sent, received, closed
	Hex        string          `json:"hex,omitempty"`
	Frame      json.RawMessage `json:"frame,omitempty"` // decoded, if it is a frame; secrets are masked
	Note       string          `json:"note,omitempty"`
}

// WriteJSON writes the results as one JSON object: counts, and a list of results with what was sent and
// received.
func WriteJSON(w io.Writer, results []Result) error {
	out := struct {
		Count   map[Outcome]int `json:"count"`
		Results []jsonResult    `json:"results"`
	}{Count(results), make([]jsonResult, 0, len(results))}
	for i := range results {
		r := &results[i]
		j := jsonResult{r.Case.Name, r.Edition, r.Case.Clause(r.Edition), r.Case.Expect, r.Outcome, r.Seen, r.Took.Milliseconds(), nil}
		for k := range r.Steps {
			j.Steps = append(j.Steps, r.Steps[k].json())
		}
		out.Results = append(out.Results, j)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(out)
}

func (s *Step) json() jsonStep {
	j := jsonStep{Millis: s.At.Milliseconds(), Connection: s.Conn, Way: s.way(), Note: s.Note}
	if s.Note != "" {
		j.Way = "closed"
		return j
	}
	f, err := codec.ParseFrame(s.Data)
	if err == nil {
		var m codec.Message
		m.Decode(f)
		j.Frame = m.AppendJSON(nil, codec.JSONOptions{Mask: true})
	}
	if _, secret := s.secret(); !secret {
		j.Hex = hex.EncodeToString(s.Data)
	}
	return j
}

// The parts of a JUnit report that readers agree on.
type (
	junitSuites struct {
		XMLName  xml.Name      `xml:"testsuites"`
		Tests    int           `xml:"tests,attr"`
		Failures int           `xml:"failures,attr"`
		Skipped  int           `xml:"skipped,attr"`
		Suites   []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
		took     time.Duration
	}
	junitCase struct {
		Name    string     `xml:"name,attr"`
		Class   string     `xml:"classname,attr"`
		Time    string     `xml:"time,attr"`
		Failure *junitText `xml:"failure"`
		Skipped *junitText `xml:"skipped"`
		Out     string     `xml:"system-out,omitempty"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the results as JUnit XML, a suite for each edition. A warning is a passed test that
// says so in its output.
func WriteJUnit(w io.Writer, results []Result) error {
	all := junitSuites{}
	suites := map[codec.Edition]*junitSuite{}
	for i := range results {
		r := &results[i]
		s := suites[r.Edition]
		if s == nil {
			s = &junitSuite{Name: fmt.Sprintf("GB/T 32960.3-%d", r.Edition)}
			suites[r.Edition] = s
			all.Suites = append(all.Suites, s)
		}
		group, _, _ := strings.Cut(r.Case.Name, ".")
		c := junitCase{Name: r.Case.Name, Class: fmt.Sprintf("gbt32960.%d.%s", r.Edition, group), Time: fmt.Sprintf("%.3f", r.Took.Seconds()),
			Out: fmt.Sprintf("%s: %s\nexpected: %s (%s)\n%s", r.Outcome, r.Seen, r.Case.Expect, r.Case.Clause(r.Edition), appendSteps(nil, r.Steps))}
		switch r.Outcome {
		case Fail:
			c.Failure = &junitText{Message: r.Seen, Text: r.Case.Expect + " (" + r.Case.Clause(r.Edition) + ")"}
			s.Failures++
			all.Failures++
		case NotApplicable, NotRun:
			c.Skipped = &junitText{Message: r.Seen}
			s.Skipped++
			all.Skipped++
		}
		s.Tests++
		all.Tests++
		s.took += r.Took
		s.Time = fmt.Sprintf("%.3f", s.took.Seconds())
		s.Cases = append(s.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
