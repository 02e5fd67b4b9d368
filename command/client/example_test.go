package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
)

// A vehicle's settings are asked for and changed; each call waits for the vehicle's answer. The gateway of the example has
// one vehicle, which reports every 10 seconds and sends a heartbeat every minute.
func Example() {
	url, stop := startGateway()
	defer stop()

	c, err := client.New(client.Options{BaseURL: url, AccessKeyID: "testid", AccessKeySecret: "testsecret"})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	d := client.Device{ProductKey: "gbt32960", DeviceName: "LTEST000000000001"}
	params, err := c.Query(ctx, d, "reportPeriod", "heartbeatPeriod")
	switch {
	case errors.Is(err, client.ErrOffline):
		log.Print("later, then")
	case errors.Is(err, client.ErrRejected):
		log.Print("this terminal does not tell")
	case err != nil:
		log.Fatal(err)
	}
	for _, p := range params {
		fmt.Println(p.Name, p.Value, p.Unit)
	}
	r, err := c.Set(ctx, d, client.Setting{Name: "reportPeriod", Value: "20s"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.State, r.Flag)

	_, err = c.Query(ctx, client.Device{ProductKey: "gbt32960", DeviceName: "LTEST000000000002"}, "reportPeriod")
	fmt.Println("a device that nobody has registered:", errors.Is(err, client.ErrNoDevice))
	// Output:
	// reportPeriod 10 s
	// heartbeatPeriod 60 s
	// answered success
	// a device that nobody has registered: true
}

// startGateway serves the API in front of one vehicle.
func startGateway() (url string, stop func()) {
	api, end, err := newAPI(func(f codec.Frame, reply func(codec.Frame)) {
		if f.Command() != codec.CommandParamQuery {
			confirms(f, reply)
			return
		}
		values := append(codec.AppendTime(nil, time.Now()), 2, 0x02, 0, 10, 0x09, 60) // tables B.10, B.11: two parameters
		go reply(codec.AppendAnswer(nil, f, codec.FlagSuccess, values))
	}, false)
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(api)
	return server.URL, func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		server.Close()
		if err := end(); err != nil {
			log.Fatal(err)
		}
	}
}

// Values are checked before anything is sent.
func ExampleSetCommand() {
	d := client.Device{ProductKey: "gbt32960", DeviceName: "LTEST000000000001", Edition: codec.Edition2025}
	_, err := client.SetCommand(d, time.Now(), client.Setting{Name: "reportPeriod", Value: "1m"})
	fmt.Println(err)
	// Output: reportPeriod: 60 is out of range; 1 to 30 s in the 2025 edition
}

func ExampleControlCommand() {
	d := client.Device{ProductKey: "gbt32960", DeviceName: "LTEST000000000001"}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, codec.Beijing)
	cmd, err := client.ControlCommand(d, at, client.Control{ID: codec.ControlAlarm, Alarm: client.Alarm{Level: 2, Message: "stop"}})
	fmt.Printf("%v %x %v\n", cmd.Command.Name(codec.Edition2016), cmd.Unit, err)
	// Output: control 1a0304050607060273746f70 <nil>
}

func ExampleJSONCommand() {
	d := client.Device{ProductKey: "gbt32960", DeviceName: "LTEST000000000001"}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, codec.Beijing)
	cmd, err := client.JSONCommand(d, at, 0, []byte(`{"command":"paramQuery","ids":[2,9]}`))
	fmt.Printf("%v %x %v\n", cmd.Command.Name(codec.Edition2016), cmd.Unit, err)
	// Output: paramQuery 1a0304050607020209 <nil>
}
