//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/vehicle"
)

// obey is a vehicle that is always there, for commands that must be answered.
func (c *churn) obey(ctx context.Context, i int) error {
	v, err := vehicle.New(c.config(kindOrdered, i))
	if err != nil {
		return err
	}
	err = v.Run(ctx)
	switch s := v.Stats(); {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, vehicle.ErrNoAnswer):
		return fmt.Errorf("%w: %s: %w", errNoAnswer, vin(kindOrdered, i), err)
	case err != nil:
		return fmt.Errorf("%s: %w", vin(kindOrdered, i), err)
	default:
		return fmt.Errorf("%s ended by itself after %d frames", vin(kindOrdered, i), s.Sent)
	}
}

// manyCommands fill what the gateway keeps of recent commands in memory (8 MiB). Once it is full, which it should be
// when growth begins to count, commands come at a leisure: each is a key in the store, whose index is in memory too.
const manyCommands = 10_000

// order sends one command of each kind to a vehicle that is there, which must answer, and one to a vehicle that comes
// and goes, which may end in any way but must end.
func (c *churn) order(ctx context.Context, i int) error {
	sock := admin.NewClient(c.srv.DataDir)
	defer sock.Close()
	calls := caller{sock.Calls()}
	for n, command := range []codec.Command{codec.CommandParamQuery, codec.CommandParamSet, codec.CommandControl} {
		state, err := calls.command(ctx, vin(kindOrdered, i), command)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errOffline) && c.count.commands.Load() == 0:
			return nil // it has not logged in yet
		case err != nil:
			return fmt.Errorf("%s: command %02x: %w", vin(kindOrdered, i), byte(command), err)
		case state != "answered":
			return fmt.Errorf("%s: command %02x is %s", vin(kindOrdered, i), byte(command), state)
		}
		c.count.commands.Add(1)
		_, err = calls.command(ctx, vin(kindFleet, (3*i+n)%c.o.vehicles), command)
		if err != nil && !errors.Is(err, errOffline) {
			return quietly(ctx, err)
		}
		c.count.onTheWay.Add(1)
	}
	if c.count.commands.Load()+c.count.onTheWay.Load() > manyCommands {
		wait(ctx, between(10*time.Second, 20*time.Second))
	}
	return nil
}

// errOffline says that there is no session of the vehicle, or never was.
var errOffline = errors.New("the vehicle is offline")

// caller calls the API for commands through the admin socket.
type caller struct{ http *http.Client }

// command sends one command and waits until it is over.
func (c caller) command(ctx context.Context, name string, command codec.Command) (state string, err error) {
	unit := codec.AppendTime(nil, time.Now())
	switch command {
	case codec.CommandParamQuery:
		unit = append(unit, 2, codec.ParamReportPeriod, codec.ParamHeartbeatPeriod)
	case codec.CommandParamSet:
		unit = append(unit, 1, codec.ParamHeartbeatPeriod, 2)
	default:
		unit = append(unit, 0x03) // restore the factory settings, which a simulated terminal only confirms
	}
	var sent struct{ MessageID int64 }
	err = c.call(ctx, url.Values{
		"Action": {"AsyncRRpc"}, "ProductKey": {product}, "DeviceName": {name},
		"MessageContent": {base64.StdEncoding.EncodeToString(unit)}, "ExtInfo": {fmt.Sprintf(`{"commandType":%d}`, command)},
	}, &sent)
	if err != nil {
		return "", err
	}
	for end := time.Now().Add(4 * patience); time.Now().Before(end) && wait(ctx, 50*time.Millisecond); {
		var result struct{ Data struct{ State string } }
		err := c.call(ctx, url.Values{
			"Action": {"GetAsyncRRpcResult"}, "ProductKey": {product}, "MessageId": {strconv.FormatInt(sent.MessageID, 10)},
		}, &result)
		if s := result.Data.State; err != nil || s != "queued" && s != "sent" {
			return s, err
		}
	}
	return "", fmt.Errorf("%w: a command to %s is not over after %v", errNoAnswer, name, 4*patience)
}

// product is the gateway's default.
const product = "gbt32960"

// call makes one call and reads its answer.
func (c caller) call(ctx context.Context, params url.Values, answer any) error {
	params.Set("Version", "2018-01-20")
	params.Set("Format", "JSON")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway/", strings.NewReader(params.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var body json.RawMessage
	var status struct {
		Success       bool
		Code, Message string
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return fmt.Errorf("%s: %w", params.Get("Action"), err)
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return fmt.Errorf("%s: %w", params.Get("Action"), err)
	}
	switch {
	case status.Success:
		return json.Unmarshal(body, answer)
	case status.Code == "iot.device.OfflineDevice" || status.Code == "iot.device.InactiveDevice" || status.Code == "iot.Device.NotExistedDevice":
		return errOffline
	}
	return fmt.Errorf("%s: %s: %s", params.Get("Action"), status.Code, status.Message)
}
