package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
)

// controlCommand is `send control` with a command for each control of the standard.
func (p *program) controlCommand() *cli.Command {
	command := &cli.Command{
		Name:  "control",
		Usage: "control the terminal (0x82)",
		Flags: sendFlags(
			&cli.UintFlag{Name: "id", Usage: "control `ID`, for those of the terminal's maker (128 to 254)"},
			&cli.StringFlag{Name: "data", Usage: "`HEX` that follows the id", DefaultText: "nothing"}),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return p.group(c)
			}
			if !c.IsSet("id") {
				if c.String("hex") == "" && c.String(jsonFlag) == "" {
					return p.group(c)
				}
				return p.send(c, codec.CommandControl, nil)
			}
			data, err := unhex([]byte(c.String("data")))
			if err != nil && c.String("data") != "" {
				return usagef(c, "--data: %v", err)
			}
			id := c.Uint("id")
			if id == 0 || id > 254 {
				return usagef(c, "--id: %d is not a control; 1 to 7, or 128 to 254 for those of the maker", id)
			}
			control := codec.ControlID(id)
			if control == codec.ControlUpgrade || control == codec.ControlAlarm {
				return usagef(c, "--id: %d has arguments of its own: send control %s", id, control.Name())
			}
			return p.send(c, codec.CommandControl, controlBuilder(client.Control{ID: control, Data: data}))
		},
	}
	for _, sub := range []struct {
		id    codec.ControlID
		usage string
		flags []cli.Flag
		fill  func(c *cli.Context, control *client.Control) error
	}{
		{codec.ControlUpgrade, "start a remote upgrade", upgradeFlags(), p.fillUpgrade},
		{codec.ControlShutdown, "shut the terminal down", nil, nil},
		{codec.ControlReset, "reset the terminal", nil, nil},
		{codec.ControlFactoryReset, "restore the terminal's factory settings", nil, nil},
		{codec.ControlDisconnect, "let the terminal drop the data link", nil, nil},
		{codec.ControlAlarm, "show an alarm or warning in the vehicle", alarmFlags(), fillAlarm},
		{codec.ControlSampling, "open the sampling-monitoring link", nil, nil},
	} {
		command.Subcommands = append(command.Subcommands, &cli.Command{
			Name: sub.id.Name(), Usage: sub.usage, Flags: sendFlags(sub.flags...),
			Action: func(c *cli.Context) error {
				control := client.Control{ID: sub.id}
				if sub.fill != nil {
					if err := sub.fill(c, &control); err != nil {
						return err
					}
				}
				return p.send(c, codec.CommandControl, controlBuilder(control))
			},
		})
	}
	return command
}

func controlBuilder(control client.Control) builder {
	return func(d client.Device, at time.Time) (client.Command, error) {
		return client.ControlCommand(d, at, control)
	}
}

// upgradeFlags are the arguments of table B.16.
func upgradeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "url", Usage: "where the new firmware is; needed"},
		&cli.StringFlag{Name: "firmware-version", Usage: "up to 5 bytes"},
		&cli.StringFlag{Name: "hardware-version", Usage: "up to 5 bytes"},
		&cli.StringFlag{Name: "manufacturer", Usage: "id of the terminal's maker, up to 4 bytes"},
		&cli.StringFlag{Name: "server", Usage: "`ADDRESS` of the server, IPv4", DefaultText: "0.0.0.0"},
		&cli.UintFlag{Name: "port", Usage: "its port, 0 to 65531"},
		&cli.StringFlag{Name: "apn", Usage: "dial-up point"},
		&cli.StringFlag{Name: "dial-user", Usage: "dial-up user"},
		&cli.StringFlag{Name: "dial-password", Usage: "dial-up password [$TBOXGATE_DIAL_PASSWORD]"},
		&cli.UintFlag{Name: "time-limit", Usage: "`MINUTES` to reach the server, 0 to 60000"},
		&cli.StringFlag{Name: "form", Usage: "how the arguments are written: binary, text or textUrlFirst; ask the terminal's maker, the standard contradicts itself", DefaultText: "binary"},
	}
}

func (p *program) fillUpgrade(c *cli.Context, control *client.Control) error {
	form := codec.UpgradeBinary
	if name := c.String("form"); name != "" {
		for form.String() != name {
			if form++; form > codec.UpgradeTextURLFirst {
				return usagef(c, "--form: %q is none of binary, text, textUrlFirst", name)
			}
		}
	}
	// Beyond 16 bits it cannot even be written; what the standard allows is checked with the rest.
	port, limit := c.Uint("port"), c.Uint("time-limit")
	if port > 65531 {
		return usagef(c, "--port: %d is out of range; 0 to 65531", port)
	}
	if limit > 60000 {
		return usagef(c, "--time-limit: %d is out of range; 0 to 60000 min", limit)
	}
	control.Upgrade = client.Upgrade{
		Form: form, URL: c.String("url"), APN: c.String("apn"), Username: c.String("dial-user"), Password: p.setting(c, "dial-password"),
		Address: c.String("server"), Port: uint16(port), Manufacturer: c.String("manufacturer"),
		HardwareVersion: c.String("hardware-version"), FirmwareVersion: c.String("firmware-version"), TimeLimit: uint16(limit),
	}
	return nil
}

func alarmFlags() []cli.Flag {
	return []cli.Flag{
		&cli.UintFlag{Name: "level", Usage: "0 for none, 1 to 3 (2025: 4), 255 for invalid"},
		&cli.StringFlag{Name: "message", Usage: "text to show"},
	}
}

func fillAlarm(c *cli.Context, control *client.Control) error {
	if !c.IsSet("level") {
		return usagef(c, "--level is needed")
	}
	level := c.Uint("level")
	if level > 255 {
		return usagef(c, "level: %d is out of range; 0 to 4, or 255 for invalid", level)
	}
	control.Alarm = client.Alarm{Level: uint8(level), Message: c.String("message")}
	return nil
}
