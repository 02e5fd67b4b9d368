package vehicle

import (
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// car is a vehicle without a connection: what it sends and how it answers. report, login and the
// other frames are made on one goroutine; answer may run on another.
type car struct {
	cfg    Config
	vin    codec.VIN
	serial uint16 // of the current login
	motion *motion
	last   time.Time // of the last report
	*terminal
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
	return &car{cfg: cfg, vin: vin, serial: cfg.Serial - 1, motion: newMotion(cfg.VIN, cfg.Cells), terminal: t}, nil
}

// maxSerial is the largest login serial number; 1 follows it.
const maxSerial = 65531

// frame makes a frame of the car with a new time.
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
	now := codec.MakeTime(time.Now())
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
	return c.frame(codec.CommandVehicleLogout, &codec.Logout{Time: codec.MakeTime(time.Now()), Serial: c.serial})
}

func (c *car) heartbeat() ([]byte, error) { return c.frame(codec.CommandHeartbeat, nil) }

// platformLogin makes the login of a platform whose code is the car's identifier: 2016 table 21.
func (c *car) platformLogin(user, password string) ([]byte, error) {
	c.nextSerial()
	u := &codec.PlatformLogin{Time: codec.MakeTime(time.Now()), Serial: c.serial, EncryptionRule: uint8(codec.EncryptionNone)}
	if err := codec.PutText(u.Username[:], user); err != nil {
		return nil, err
	}
	if err := codec.PutText(u.Password[:], password); err != nil {
		return nil, err
	}
	return c.frame(codec.CommandPlatformLogin, u)
}

func (c *car) platformLogout() ([]byte, error) {
	return c.frame(codec.CommandPlatformLogout, &codec.Logout{Time: codec.MakeTime(time.Now()), Serial: c.serial})
}

// report makes the realtime report of now; the car has driven since the last one.
func (c *car) report(now time.Time) ([]byte, error) {
	if !c.last.IsZero() {
		c.motion.step(min(now.Sub(c.last), 10*time.Minute))
	}
	c.last = now
	u := &codec.Realtime{Time: codec.MakeTime(now)}
	if c.cfg.Edition == codec.Edition2025 {
		u.Info = c.motion.info2025(c.cfg.Probes)
	} else {
		u.Info = c.motion.info2016(c.cfg.Probes)
	}
	return c.frame(codec.CommandRealtime, u)
}
