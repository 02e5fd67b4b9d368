package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	natsgo "github.com/nats-io/nats.go"
)

// A burst is what the writer publishes in one go, as one of nats-server's fast batches (ADR-50): the
// messages carry their place in it in their reply subject, and the server confirms all of them once
// instead of each, which saves a fifth of its work. The stored messages are as any others.
//
//	reply  <inbox>.<first>-<n>.<flow>.fail.<place>.<operation>.$FI
//
// <first> is the number of the attempt at place 1, so that a reply tells which attempts it means; <n>
// says how many there are. The last message commits the batch. The server answers
//
//	{"stream":…,"seq":S,"batch":…,"count":C}   1..C are stored, S is the stream's number of the last
//	{"type":"ack","seq":C,"msgs":…}            1..C are stored, more to come (and C = 0 at the start)
//	{"type":"err","seq":K,"error":…}           K is refused; what follows it is not stored
//	{"error":…}                                the same for the place in the reply subject
//	{"type":"gap",…}                           a message is missing; what follows it is not stored
//
// Only the embedded server is published to in bursts, and only on streams to which nobody else
// publishes: the stream's numbers then show that none of the messages is missing.

// burstFlow asks for confirmations on the way, if a burst is ever that long.
const burstFlow = "1000"

// The operations of a message in a burst.
const (
	burstStart  = ".0.$FI"
	burstAppend = ".1.$FI"
	burstCommit = ".2.$FI"
)

// errCut says that a burst ended before the message.
var errCut = errors.New("the server ended the batch before this message")

// sendBurst publishes messages, all of one stream, as one burst.
func (p *publisher) sendBurst(batch []*message, first uint64) {
	var scratch [128]byte
	reply := append(scratch[:0], p.inbox...)
	reply = strconv.AppendUint(reply, first, 10)
	reply = append(reply, '-')
	reply = strconv.AppendInt(reply, int64(len(batch)), 10)
	reply = append(reply, "."+burstFlow+".fail."...)
	for i, m := range batch {
		operation := burstAppend
		switch i {
		case len(batch) - 1:
			operation = burstCommit
		case 0:
			operation = burstStart
		}
		b := append(strconv.AppendInt(reply, int64(i+1), 10), operation...)
		if err := p.publishTo(m, string(b)); err != nil {
			// The burst cannot go on: what follows would be refused for the gap.
			for j := i; j < len(batch); j++ {
				p.refused(first+uint64(j), err)
			}
			return
		}
	}
}

// burstsEnd returns how many of the messages can go in one burst: up to one that the server would not
// take, which goes alone.
func (p *publisher) burstsEnd(batch []*message) int {
	most := p.nc.MaxPayload() - headerRoom
	for i, m := range batch {
		if int64(len(m.buf)) > most {
			return i
		}
	}
	return len(batch)
}

// burstReply is what a reply subject says: the place in a burst of n attempts that begins with first.
type burstReply struct {
	first, n, place uint64
}

// parseBurstReply reads the part of a reply subject behind the inbox.
func parseBurstReply(s string) (r burstReply, ok bool) {
	head, rest, found := strings.Cut(s, "-")
	n, rest, found2 := strings.Cut(rest, ".")
	_, rest, found3 := strings.Cut(rest, ".fail.")
	place, _, found4 := strings.Cut(rest, ".")
	if !found || !found2 || !found3 || !found4 {
		return r, false
	}
	var err [3]error
	r.first, err[0] = strconv.ParseUint(head, 10, 64)
	r.n, err[1] = strconv.ParseUint(n, 10, 64)
	r.place, err[2] = strconv.ParseUint(place, 10, 64)
	return r, errors.Join(err[:]...) == nil && r.n <= windowMessages && r.place >= 1 && r.place <= r.n
}

// burstAck is any of the server's replies to a burst.
type burstAck struct {
	Type  string    `json:"type"`
	Seq   uint64    `json:"seq"`
	Count uint64    `json:"count"`
	Error *AckError `json:"error"`
}

// onBurstReply takes one reply to a burst.
func (p *publisher) onBurstReply(r burstReply, msg *natsgo.Msg) {
	if len(msg.Data) == 0 && msg.Header.Get("Status") == "503" {
		p.refused(r.first+r.place-1, ErrNoStream)
		return
	}
	var a burstAck
	if err := json.Unmarshal(msg.Data, &a); err != nil {
		p.cut(r, 1, fmt.Errorf("confirmation %q cannot be read: %w", clip(msg.Data), err))
		return
	}
	switch {
	case a.Error != nil && a.Type == "err" && a.Seq >= 1 && a.Seq <= r.n:
		p.cut(r, a.Seq, a.Error)
	case a.Error != nil:
		p.cut(r, r.place, a.Error)
	case a.Type == "ack":
		p.confirmedBurst(r.first, min(a.Seq, r.n))
	case a.Type != "": // a gap; the confirmation that follows says where
	case a.Count > r.n || !p.inSequence(a.Seq, a.Count):
		p.cut(r, 1, fmt.Errorf("confirmation %q does not fit the messages published", clip(msg.Data)))
	default:
		p.confirmedBurst(r.first, a.Count)
		if a.Count < r.n {
			p.cut(r, a.Count+1, errCut)
		}
	}
}

// inSequence reports whether the stream has grown by count messages since the confirmation before. It has not
// when one of them failed and the server did not notice. A stream that was made again begins anew.
func (p *publisher) inSequence(seq, count uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.lastSeq
	p.lastSeq = seq
	return seq >= last+count
}

// cut ends the attempts of a burst from a place on: the first for the reason given, the others because a
// burst ends where it breaks.
func (p *publisher) cut(r burstReply, place uint64, err error) {
	p.refused(r.first+place-1, err)
	if errors.Is(err, ErrTooLarge) {
		err = errCut // that is true of the first only
	}
	for n := place + 1; n <= r.n; n++ {
		p.refused(r.first+n-1, err)
	}
}

// confirmedBurst ends the messages of count attempts from first on: they are stored.
func (p *publisher) confirmedBurst(first, count uint64) {
	if count == 0 {
		return
	}
	p.mu.Lock()
	told := p.told[:0]
	for n := first; n < first+count; n++ {
		if m := p.store(n); m != nil {
			told = append(told, m)
		}
	}
	wake := p.afterStored()
	p.mu.Unlock()
	if wake {
		p.signal()
	}
	for i, m := range told {
		p.tell(m, nil)
		told[i] = nil
	}
	p.told = told[:0]
}
