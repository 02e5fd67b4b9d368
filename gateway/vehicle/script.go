package vehicle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Fault is a kind of fault that a script plays.
type Fault string

// The kinds of faults. How long one lasts without a time of its own stands behind it.
const (
	FaultSplitFrames Fault = "splitFrames"  // every frame comes in several segments, with pauses between; 30 s
	FaultBadCheck    Fault = "badCheck"     // before every frame a copy with a wrong check byte; one frame
	FaultGarbage     Fault = "garbage"      // before every frame bytes that are no frame; one frame
	FaultDuplicate   Fault = "duplicateVIN" // the same VIN logs in on a second connection, the first must be closed
	FaultDrop        Fault = "drop"         // the connection is cut without a logout; back after 5 s
	FaultBlindZone   Fault = "blindZone"    // nothing is sent or read, then the vehicle is back on a new connection; 30 s
	FaultSlowReader  Fault = "slowReader"   // answers are left unread; 30 s
)

// faultLasts are the kinds of faults with their usual length, 0 for those that happen once.
var faultLasts = map[Fault]time.Duration{
	FaultSplitFrames: 30 * time.Second, FaultBadCheck: 0, FaultGarbage: 0, FaultDuplicate: 0,
	FaultDrop: 5 * time.Second, FaultBlindZone: 30 * time.Second, FaultSlowReader: 30 * time.Second,
}

// Script says which faults are played, when, and by which share of the vehicles.
type Script struct{ Faults []ScriptedFault }

// ScriptedFault is one line of a script.
type ScriptedFault struct {
	At    time.Duration // after the start
	For   time.Duration // how long
	Every time.Duration // played again after so long; 0: once
	Share float64       // of the vehicles, 0 to 1
	Fault Fault

	road bool // no fault of a script: the road leads through a place without a network
}

// ParseScript reads a script, YAML of the form
//
//	faults:
//	  - {at: 10s, share: 20%, fault: badCheck}
//	  - {at: 30s, for: 1m, every: 5m, share: 5%, fault: blindZone}
//
// Without at a fault is played at once, without share by all vehicles, without every once.
func ParseScript(src []byte) (*Script, error) {
	var file struct {
		Faults []struct {
			At, For, Every time.Duration
			Share          string
			Fault          Fault
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("vehicle: the script cannot be read: %w", err)
	}
	s := &Script{}
	for i, in := range file.Faults {
		usual, known := faultLasts[in.Fault]
		if !known {
			return nil, fmt.Errorf("vehicle: faults[%d]: unknown fault %q (want %s)", i, in.Fault, faultNames())
		}
		if in.At < 0 || in.For < 0 || in.Every < 0 {
			return nil, fmt.Errorf("vehicle: faults[%d]: at, for and every are not negative", i)
		}
		f := ScriptedFault{At: in.At, For: in.For, Every: in.Every, Share: 1, Fault: in.Fault}
		setDefault(&f.For, usual)
		if in.Share != "" {
			percent, found := strings.CutSuffix(in.Share, "%")
			n, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
			if found {
				n /= 100
			}
			if err != nil || !(n >= 0 && n <= 1) {
				return nil, fmt.Errorf("vehicle: faults[%d]: share %q is neither 0%% to 100%% nor 0 to 1", i, in.Share)
			}
			f.Share = n
		}
		if f.Every > 0 && f.Every < f.For {
			return nil, fmt.Errorf("vehicle: faults[%d]: every %v is shorter than for %v", i, f.Every, f.For)
		}
		s.Faults = append(s.Faults, f)
	}
	if len(s.Faults) == 0 {
		return nil, errors.New("vehicle: the script has no faults")
	}
	return s, nil
}

func faultNames() string {
	var names []string
	for f := range faultLasts {
		names = append(names, string(f))
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// agenda are the faults that one vehicle plays, in the order of their times.
type agenda []ScriptedFault

// agenda deals the script's faults out: the seed says to whom.
func (s *Script) agenda(seed uint64, vin string) agenda {
	if s == nil {
		return nil
	}
	var a agenda
	for i, f := range s.Faults {
		if share := float64(mix(seedOf(vin)^seed+uint64(i))>>11) / (1 << 53); share < f.Share {
			a = append(a, f)
		}
	}
	a.sort()
	return a
}

func (a agenda) sort() {
	slices.SortStableFunc(a, func(x, y ScriptedFault) int { return int(x.At - y.At) })
}

// next takes the first fault off, when its time has come, and puts it back for its next time.
func (a *agenda) next(since time.Duration) (f ScriptedFault, ok bool) {
	if len(*a) == 0 || (*a)[0].At > since {
		return f, false
	}
	f = (*a)[0]
	*a = append((*a)[:0], (*a)[1:]...)
	if f.Every > 0 {
		again := f
		again.At = since - (since-f.At)%f.Every + f.Every // those that a long absence hid are left out
		*a = append(*a, again)
		a.sort()
	}
	return f, true
}

// mix spreads the bits of x over the whole number (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
