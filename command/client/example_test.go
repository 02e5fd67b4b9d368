package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
)

// A vehicle's settings are asked for and changed; each call waits for the vehicle's answer.
func Example() {
	c, err := client.New(client.Options{BaseURL: "http://127.0.0.1:8960", AccessKeyID: "testid", AccessKeySecret: "testsecret"})
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
	if _, err := c.Set(ctx, d, client.Setting{Name: "reportPeriod", Value: "10s"}); err != nil {
		log.Fatal(err)
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
