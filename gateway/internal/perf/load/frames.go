//go:build linux

package load

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

const (
	vinAt      = 4 // of the VIN in a frame
	flagAt     = 3
	commandAt  = 2
	lengthAt   = 22
	iccid      = "89860000000000000001" // a test card's
	loginCount = 1                      // login serial number
)

// checkFrame says why b is no frame that can be sent: it must be one whole frame with flag 0xFE.
func checkFrame(b []byte) error {
	f, err := codec.ParseFrame(b)
	if err != nil {
		return fmt.Errorf("load: the frame to be sent: %w", err)
	}
	if f.Flag() != codec.FlagCommand {
		return fmt.Errorf("load: the frame to be sent has flag %s, which nobody answers", f.Flag())
	}
	return nil
}

// vinOf is the VIN of the i-th connection.
func vinOf(o Options, i int) string {
	if o.OneVIN {
		i = 0
	}
	return fmt.Sprintf("LTEST%012d", i)
}

// blockOf repeats a frame n times with another VIN.
func blockOf(frame []byte, vin string, n int) []byte {
	one := append([]byte(nil), frame...)
	copy(one[vinAt:], vin)
	one[len(one)-1] = codec.Check(one[commandAt : len(one)-1])
	block := make([]byte, 0, n*len(one))
	for range n {
		block = append(block, one...)
	}
	return block
}

// loginFrame is a vehicle login of the 2016 edition (table 6) without storage codes.
func loginFrame(vin string) []byte {
	unit := codec.AppendTime(nil, time.Now())
	unit = binary.BigEndian.AppendUint16(unit, loginCount)
	unit = append(unit, iccid...)
	return command(codec.CommandVehicleLogin, vin, append(unit, 1, 0))
}

// platformLoginFrame is a platform login (2016 edition, table 21).
func platformLoginFrame(vin, user, password string) []byte {
	unit := codec.AppendTime(nil, time.Now())
	unit = binary.BigEndian.AppendUint16(unit, loginCount)
	unit = append(unit, padded(user, 12)...)
	unit = append(unit, padded(password, 20)...)
	return command(codec.CommandPlatformLogin, vin, append(unit, byte(codec.EncryptionNone)))
}

func padded(s string, n int) []byte {
	b := make([]byte, n)
	copy(b, s)
	return b
}

func command(c codec.Command, vin string, unit []byte) []byte {
	f, err := codec.AppendFrame(nil, codec.Header{
		Edition: codec.Edition2016, Command: c, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte(vin)), Encryption: codec.EncryptionNone,
	}, unit)
	if err != nil {
		panic(err) // a unit of some forty bytes is never too long
	}
	return f
}
