package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/gateway/admin"
	"github.com/tboxgate/tboxgate/gateway/mqttdevice"
)

func (p *program) devicesCommand() *cli.Command {
	return &cli.Command{
		Name:  "devices",
		Usage: "MQTT devices that may connect",
		Subcommands: []*cli.Command{{
			Name:  "create",
			Usage: "register a device and print its secret, which is shown this once",
			Flags: operatorFlags(outputFlag(), deviceProductFlag(),
				&cli.StringFlag{Name: "name", Usage: "device name, 4-32 of A-Z a-z 0-9 - _ @ . :"},
				&cli.StringFlag{Name: "secret", Usage: "secret that the device has already, 16-64 characters [$TBOXGATE_SECRET]", DefaultText: "made up"}),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				if c.String("name") == "" {
					return usagef(c, "--name is needed")
				}
				return p.operateDevices(c, makeDirectory, func(ctx context.Context, o *operator) error {
					list, err := o.RegisterDevices(ctx, o.productKey, []admin.NewDevice{{DeviceName: c.String("name"), DeviceSecret: p.setting(c, "secret")}})
					if err != nil {
						return err
					}
					if list[0].Error != "" {
						return errors.New(list[0].Error)
					}
					if c.Bool(jsonFlag) {
						return printJSON(p.stdout, list[0])
					}
					_, err = fmt.Fprintf(p.stdout, "product key    %s\ndevice name    %s\ndevice secret  %s\n", o.productKey, list[0].DeviceName, list[0].DeviceSecret)
					return err
				})
			},
		}, {
			Name:      "import",
			Usage:     "register the devices of files or of standard input; print those registered with their secrets as CSV",
			ArgsUsage: "[FILE|-]...",
			Description: "A file holds one device name a line, or CSV with a header that has a column deviceName, and a column deviceSecret\n" +
				"for devices that have secrets already. Secrets are shown this once. Devices that are registered stay as they are.",
			Flags: operatorFlags(deviceProductFlag()),
			Action: func(c *cli.Context) error {
				args, err := inputs(c)
				if err != nil {
					return err
				}
				return p.operateDevices(c, makeDirectory, func(ctx context.Context, o *operator) error {
					return p.importDevices(ctx, o, args)
				})
			},
		}, {
			Name:  "list",
			Usage: "list the devices, without their secrets",
			Flags: operatorFlags(outputFlag(), &cli.StringFlag{Name: productName, Aliases: []string{productAlias}, Usage: "only those of one product", DefaultText: "all"}),
			Action: func(c *cli.Context) error {
				if _, err := arguments(c, 0, 0); err != nil {
					return err
				}
				return p.operate(c, needDirectory, func(ctx context.Context, o *operator) error {
					out := printer[mqttdevice.Device]{w: p.stdout, json: c.Bool(jsonFlag), columns: []column[mqttdevice.Device]{
						{"DEVICE", 32, func(d mqttdevice.Device) string { return d.DeviceName }},
						{"PRODUCT", 12, func(d mqttdevice.Device) string { return d.ProductKey }},
						{"REGISTERED", 20, func(d mqttdevice.Device) string { return shortTime(d.RegisteredAt.Time) }},
						{"LAST ONLINE", 20, func(d mqttdevice.Device) string { return shortTime(d.LastOnlineAt.Time) }},
						{"STATUS", 0, deviceState},
					}}
					return out.all(o.Devices(ctx, c.String(productName)))
				})
			},
		},
			p.eachDevice("disable", "keep devices from connecting; those that are connected are cut off",
				func(ctx context.Context, o *operator, name string) error {
					return o.DisableDevice(ctx, o.productKey, name, true)
				}),
			p.eachDevice("enable", "let disabled devices connect again",
				func(ctx context.Context, o *operator, name string) error {
					return o.DisableDevice(ctx, o.productKey, name, false)
				}),
			p.eachDevice("delete", "let devices connect no more; those that are connected are cut off",
				func(ctx context.Context, o *operator, name string) error {
					return o.DeleteDevice(ctx, o.productKey, name)
				}),
		},
	}
}

func deviceState(d mqttdevice.Device) string {
	state := string(d.Status())
	if d.OfflineReason != "" && !d.Online() {
		state += ": " + string(d.OfflineReason)
	}
	return state
}

func deviceProductFlag() cli.Flag {
	return &cli.StringFlag{Name: productName, Aliases: []string{productAlias}, Usage: "product key [$TBOXGATE_PRODUCT_KEY]", DefaultText: "the gateway's first of MQTT devices"}
}

// operateDevices is operate on a product of MQTT devices.
func (p *program) operateDevices(c *cli.Context, n need, fn func(ctx context.Context, o *operator) error) error {
	return p.operate(c, n, func(ctx context.Context, o *operator) error {
		switch given := p.setting(c, productName); {
		case given == "" && len(o.mqttProducts) == 0:
			return fmt.Errorf("no product is one of MQTT devices (protocol: mqtt); %s: %s", o.where, strings.Join(o.products, ", "))
		case given == "":
			o.productKey = o.mqttProducts[0]
		case !slices.Contains(o.mqttProducts, given):
			return fmt.Errorf("%q is no product of MQTT devices (protocol: mqtt); %s: %s", given, o.where, strings.Join(o.products, ", "))
		}
		return fn(ctx, o)
	})
}

// eachDevice is a command that does one thing to every device on its line.
func (p *program) eachDevice(name, usage string, do func(context.Context, *operator, string) error) *cli.Command {
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: "NAME...", Flags: operatorFlags(deviceProductFlag()),
		Action: func(c *cli.Context) error {
			args, err := arguments(c, 1, anyNumber)
			if err != nil {
				return err
			}
			return p.operateDevices(c, needDirectory, func(ctx context.Context, o *operator) error {
				return each(args, func(name string) error { return do(ctx, o, name) })
			})
		},
	}
}

// importDevices registers the devices of files and prints what the devices have to be told.
func (p *program) importDevices(ctx context.Context, o *operator, files []string) error {
	out := csv.NewWriter(p.stdout)
	var bad, there int
	send := func(list []admin.NewDevice) error {
		result, err := o.RegisterDevices(ctx, o.productKey, list)
		if err != nil {
			return err
		}
		for _, d := range result {
			switch {
			case d.Exists:
				there++
			case d.Error != "":
				bad++
				say(p.stderr, "tboxgate: devices import: %s\n", d.Error)
			default:
				err = errors.Join(err, out.Write([]string{o.productKey, d.DeviceName, d.DeviceSecret}))
			}
		}
		out.Flush()
		return errors.Join(err, out.Error())
	}
	if err := out.Write([]string{"productKey", "deviceName", "deviceSecret"}); err != nil {
		return err
	}
	for _, file := range files {
		var list []admin.NewDevice
		err := p.input(file, func(src io.Reader, name string) (err error) {
			if list, err = readDevices(src); err != nil {
				err = fmt.Errorf("devices import: %s: %w", name, err)
			}
			return err
		})
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(list, importChunk) {
			if err := send(chunk); err != nil {
				return err
			}
		}
	}
	if there > 0 {
		say(p.stderr, "tboxgate: devices import: %d were registered already and stay as they are\n", there)
	}
	if bad > 0 {
		return errReported
	}
	return nil
}

// readDevices reads names, and secrets if there are any. The first line is a header when it names the columns.
func readDevices(src io.Reader) (list []admin.NewDevice, err error) {
	text, err := io.ReadAll(src)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\xEF\xBB\xBF")))
	r.FieldsPerRecord, r.Comment, r.TrimLeadingSpace = -1, '#', true
	records, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	nameColumn, secretColumn := 0, 1
	for i, record := range records {
		for j := range record {
			record[j] = strings.TrimSpace(record[j])
		}
		if i == 0 {
			if at := slices.Index(record, "deviceName"); at >= 0 {
				nameColumn, secretColumn = at, slices.Index(record, "deviceSecret")
				continue
			}
		}
		if nameColumn >= len(record) {
			return nil, fmt.Errorf("record %d: %d columns, the device name should be in column %d", i+1, len(record), nameColumn+1)
		}
		d := admin.NewDevice{DeviceName: record[nameColumn]}
		if secretColumn >= 0 && secretColumn < len(record) {
			d.DeviceSecret = record[secretColumn]
		}
		if d.DeviceName != "" {
			list = append(list, d)
		}
	}
	return list, nil
}
