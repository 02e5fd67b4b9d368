//go:build linux

package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// accessKeys are pairs of id and secret.
type accessKeys [][2]string

func makeKeys(n int) accessKeys {
	keys := make(accessKeys, n)
	for i := range keys {
		keys[i] = [2]string{fmt.Sprintf("perf%d", i), rand.Text()}
	}
	return keys
}

// env is the keys as the gateway takes them from its environment.
func (k accessKeys) env() string {
	var list []string
	for _, key := range k {
		list = append(list, key[0]+":"+key[1])
	}
	return strings.Join(list, ",")
}

// caller makes the calls of one scenario and notes how long each took.
type caller struct {
	url   string
	http  *http.Client
	keys  accessKeys
	fleet *fleet

	next     uint64      // call number
	measured atomic.Bool // calls count from now on
	running  sync.WaitGroup

	mu       sync.Mutex
	begun    map[uint64]time.Time // calls whose frame has not come
	toFrame  []time.Duration      // of those that count
	toAnswer []time.Duration
	errs     []error
}

func newCaller(address string, keys accessKeys, f *fleet) *caller {
	c := &caller{
		url: "http://" + address + "/", keys: keys, fleet: f, begun: map[uint64]time.Time{},
		http: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 256}},
	}
	f.arrived = c.arrived
	return c
}

func (c *caller) close() {
	c.running.Wait()
	c.http.CloseIdleConnections()
}

// calls makes so many calls a second for a time, each when it is due, and waits until all are answered and all frames have
// arrived.
func (c *caller) calls(ctx context.Context, rate int, length time.Duration) error {
	every := time.Second / time.Duration(rate)
	start := time.Now()
	for i := range int(length / every) {
		due := start.Add(time.Duration(i) * every)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			break
		}
		number := c.next
		c.next++
		counts := c.measured.Load()
		c.mu.Lock()
		c.begun[number] = due // the time that it waits for its turn here counts
		c.mu.Unlock()
		c.running.Go(func() { c.call(ctx, number, due, counts) })
	}
	c.running.Wait()
	for end := time.Now().Add(patience); ctx.Err() == nil; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		left, errs := len(c.begun), c.errs
		c.mu.Unlock()
		if len(errs) > 0 {
			return fmt.Errorf("%d calls failed, the first: %w", len(errs), errs[0])
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the frames of %d calls have not come after %v", left, patience)
		}
	}
	return context.Cause(ctx)
}

// patience is how long anything may take before the measurement is given up.
const patience = 30 * time.Second

// call is one call: a control of the maker's own (0x80), which carries the number of the call to the vehicle.
func (c *caller) call(ctx context.Context, number uint64, due time.Time, counts bool) {
	unit := append(codec.AppendTime(nil, time.Now()), controlID)
	unit = binary.BigEndian.AppendUint64(unit, number)
	key := c.keys[number%uint64(len(c.keys))]
	params := map[string]string{
		"Action": "AsyncRRpc", "Version": "2018-01-20", "Format": "JSON", "ProductKey": "gbt32960",
		"DeviceName": c.fleet.vin(number), "MessageContent": base64.StdEncoding.EncodeToString(unit), "ExtInfo": `{"commandType":130}`,
		"AccessKeyId": key[0], "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": rand.Text(),
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z"),
	}
	params["Signature"] = sign(key[1], params)
	err := c.post(ctx, params)
	took := time.Since(due)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		delete(c.begun, number)
		c.errs = append(c.errs, err)
	case counts:
		c.toAnswer = append(c.toAnswer, took)
	}
}

const controlID = 0x80

func (c *caller) post(ctx context.Context, params map[string]string) error {
	form := url.Values{}
	for name, value := range params {
		form.Set(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Success       bool
		Code, Message string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if !answer.Success {
		return errors.New(answer.Code + ": " + answer.Message)
	}
	return nil
}

// sign is signature 1 of a POST, written from docs/api.md and not with the gateway's own code.
func sign(secret string, params map[string]string) string {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, escape(name)+"="+escape(params[name]))
	}
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	_, _ = mac.Write([]byte("POST&%2F&" + escape(strings.Join(pairs, "&")))) // a hash never fails
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// escape percent-encodes by RFC 3986.
func escape(s string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
}

// arrived is the fleet's word that the frame of a call has been read.
func (c *caller) arrived(number uint64, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	begun, waited := c.begun[number]
	delete(c.begun, number)
	switch {
	case !waited:
		c.errs = append(c.errs, fmt.Errorf("the frame of call %d came twice", number))
	case c.measured.Load():
		c.toFrame = append(c.toFrame, at.Sub(begun))
	}
}

// result is what was measured.
func (c *caller) result() result {
	c.mu.Lock()
	defer c.mu.Unlock()
	return result{
		calls: len(c.toFrame), frame50: quantile(c.toFrame, .5), frame99: quantile(c.toFrame, .99), frameMax: quantile(c.toFrame, 1),
		answer50: quantile(c.toAnswer, .5), answer99: quantile(c.toAnswer, .99),
	}
}

// quantile is the time within which a share of all lies; 0 without any.
func quantile(list []time.Duration, share float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}
