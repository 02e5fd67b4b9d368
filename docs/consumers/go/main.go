// Consumer reads the records of a gateway, each at least once.
//
//	go run ./docs/consumers/go -url nats://127.0.0.1:4222 [-stream GBT32960] [-durable app] [-count N]
//
// A durable consumer: the server remembers what was acknowledged, so that a consumer that comes back goes on
// where it was.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

func main() {
	url := flag.String("url", "nats://127.0.0.1:4222", "the gateway's --nats-listen; nats://USER:PASSWORD@HOST:PORT with credentials")
	name := flag.String("stream", stream.Frames, "GBT32960, or GBT32960_BATCH for the batched layout")
	durable := flag.String("durable", "app", "the consumer's name")
	count := flag.Int("count", 0, "end after so many records")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := consume(ctx, os.Stdout, *url, *name, *durable, *count); err != nil {
		fmt.Fprintln(os.Stderr, "consumer:", err)
		os.Exit(1)
	}
}

// consume prints records until ctx ends or count are printed.
func consume(ctx context.Context, out io.Writer, url, name, durable string, count int) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, name, jetstream.ConsumerConfig{Durable: durable, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	for seen := 0; (count == 0 || seen < count) && ctx.Err() == nil; {
		batch := 100
		if count > 0 {
			batch = min(batch, count-seen) // what is asked for and not acknowledged comes again
		}
		messages, err := consumer.Fetch(batch, jetstream.FetchMaxWait(5*time.Second))
		if err != nil {
			return err
		}
		for m := range messages.Messages() {
			records, err := stream.Parse(m.Subject(), m.Headers(), m.Data())
			if err != nil {
				return err
			}
			for i := range records {
				show(out, &records[i]) // do your work here, and acknowledge when it is done
				seen++
			}
			if err := m.DoubleAck(ctx); err != nil {
				return err
			}
		}
		if err := messages.Error(); err != nil {
			return err
		}
	}
	return nil
}

// show prints a record. The codec reads raw frames as well as JSON: see stream.Record.
func show(out io.Writer, r *stream.Record) {
	what := fmt.Sprintf("0x%02X %d bytes", byte(r.Command), len(r.Body))
	if !r.Raw {
		what = r.CommandName() + soc(r)
	}
	_, _ = fmt.Fprintln(out, r.VIN, r.ReceivedAt.UTC().Format("2006-01-02T15:04:05.000Z"), what)
}

// soc is the state of charge of a realtime report of the 2016 edition, by the codec's types.
func soc(r *stream.Record) string {
	frame, err := r.AppendFrame(nil)
	if err != nil {
		return "" // a record without its secrets
	}
	f, err := codec.ParseFrame(frame)
	if err != nil {
		return ""
	}
	var m codec.Message
	m.Decode(f)
	report, ok := m.Body.(*codec.Realtime)
	if !ok {
		return ""
	}
	for _, item := range report.Info {
		if v, ok := item.(*codec.Vehicle2016); ok {
			return " soc=" + v.SOCValue().String()
		}
	}
	return ""
}
