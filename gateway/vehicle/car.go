package vehicle

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// car is a vehicle without a connection: what it sends when, and how it answers. One goroutine uses
// it.
type car struct {
	cfg    Config
	vin    codec.VIN
	serial uint16 // of the current login
	repeat bool   // a split pack repeats the other items in each frame
	*terminal

	motion *motion
	clock  time.Time // the second up to which motion has moved
	plan
}

func newCar(cfg Config) (*car, error) {
	vin, err := codec.ParseVIN(cfg.VIN)
	if err != nil {
		return nil, err
	}
	t, err := newTerminal(cfg)
	if err != nil {
		return nil, err
	}
	c := &car{cfg: cfg, vin: vin, serial: cfg.Serial - 1, repeat: seedOf(cfg.VIN)%2 == 0, terminal: t,
		motion: newMotion(cfg.Seed, cfg.VIN, cfg.Cells)}
	if cfg.Drive == DriveDay {
		c.motion.startDay(cfg.Pace, cfg.Edition)
	}
	return c, nil
}

// maxSerial is the largest login serial number; 1 follows it.
const maxSerial = 65531

// wire returns the time that the car's own clock shows at t.
func (c *car) wire(t time.Time) codec.Time { return codec.MakeTime(t.Add(c.cfg.ClockOffset)) }

// frame makes a frame of the car.
func (c *car) frame(command codec.Command, body codec.Body) ([]byte, error) {
	m := codec.Message{
		Header: codec.Header{
			Edition:    c.cfg.Edition,
			Command:    command,
			Flag:       codec.FlagCommand,
			VIN:        c.vin,
			Encryption: codec.EncryptionNone,
		},
		Body: body,
	}
	return m.Append(nil)
}

// login makes the next vehicle login: 2016 table 6, 2025 table 6.
func (c *car) login() ([]byte, error) {
	c.nextSerial()
	now := c.wire(time.Now())
	if c.cfg.Edition == codec.Edition2025 {
		codes, err := codec.MakePackCodes([]string{packCode(c.cfg.VIN)})
		if err != nil {
			return nil, err
		}
		u := &codec.VehicleLogin2025{Time: now, Serial: c.serial, BMS: codes}
		if err := codec.PutText(u.ICCID[:], c.cfg.ICCID); err != nil {
			return nil, err
		}
		return c.frame(codec.CommandVehicleLogin, u)
	}
	codes, err := codec.MakeStorageCodes(1)
	if err != nil {
		return nil, err
	}
	u := &codec.VehicleLogin2016{Time: now, Serial: c.serial, StorageCodes: codes}
	if err := codec.PutText(u.ICCID[:], c.cfg.ICCID); err != nil {
		return nil, err
	}
	return c.frame(codec.CommandVehicleLogin, u)
}

func (c *car) nextSerial() {
	if c.serial++; c.serial == 0 || c.serial > maxSerial {
		c.serial = 1
	}
}

// packCode makes the 24 characters of a battery pack's code from a VIN.
func packCode(vin string) string { return "TBOXGATE" + iccid(vin)[4:] }

func (c *car) logout() ([]byte, error) {
	return c.frame(codec.CommandVehicleLogout, &codec.Logout{Time: c.wire(time.Now()), Serial: c.serial})
}

func (c *car) heartbeat() ([]byte, error) { return c.frame(codec.CommandHeartbeat, nil) }

func (c *car) timeSync() ([]byte, error) { return c.frame(codec.CommandTimeSync, nil) }

// platformLogin makes the login of a platform whose code is the car's identifier: 2016 table 21.
func (c *car) platformLogin(user, password string) ([]byte, error) {
	c.nextSerial()
	u := &codec.PlatformLogin{Time: c.wire(time.Now()), Serial: c.serial, EncryptionRule: uint8(codec.EncryptionNone)}
	if err := codec.PutText(u.Username[:], user); err != nil {
		return nil, err
	}
	if err := codec.PutText(u.Password[:], password); err != nil {
		return nil, err
	}
	return c.frame(codec.CommandPlatformLogin, u)
}

func (c *car) platformLogout() ([]byte, error) {
	return c.frame(codec.CommandPlatformLogout, &codec.Logout{Time: c.wire(time.Now()), Serial: c.serial})
}

// frames makes the frames of one report: of m as it is at the time given.
func (c *car) frames(command codec.Command, m *motion, at time.Time) ([][]byte, error) {
	var infos [][]codec.Item
	if c.cfg.Edition == codec.Edition2025 {
		infos = [][]codec.Item{m.info2025(c.cfg.Probes)}
	} else {
		infos = m.infos2016(c.cfg.Probes, c.repeat)
	}
	all := make([][]byte, len(infos))
	for i, info := range infos {
		var err error
		if all[i], err = c.frame(command, &codec.Realtime{Time: c.wire(at), Info: info}); err != nil {
			return nil, err
		}
	}
	return all, nil
}
