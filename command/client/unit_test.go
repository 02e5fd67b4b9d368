package client_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/command/client"
)

var at = time.Date(2026, 3, 4, 5, 6, 7, 0, codec.Beijing)

const atHex = "1a0304050607"

// TestUnits: the data units are those of the standard's tables, in both editions.
func TestUnits(t *testing.T) {
	of2016 := client.Device{ProductKey: product, DeviceName: vin}
	of2025 := client.Device{ProductKey: product, DeviceName: vin, Edition: codec.Edition2025}
	set := func(d client.Device, list ...client.Setting) func() (client.Command, error) {
		return func() (client.Command, error) { return client.SetCommand(d, at, list...) }
	}
	control := func(d client.Device, c client.Control) func() (client.Command, error) {
		return func() (client.Command, error) { return client.ControlCommand(d, at, c) }
	}
	object := func(d client.Device, kind codec.Command, text string) func() (client.Command, error) {
		return func() (client.Command, error) { return client.JSONCommand(d, at, kind, []byte(text)) }
	}
	query := func(d client.Device, names ...string) func() (client.Command, error) {
		return func() (client.Command, error) { return client.QueryCommand(d, at, names...) }
	}
	for _, tt := range []struct {
		name  string
		build func() (client.Command, error)
		unit  string // after the time
		err   string
	}{
		{name: "query", build: query(of2016, "storagePeriod", "2", "0x80"), unit: "03010280"},
		{name: "query nothing", build: query(of2016), err: "params: none is given; a query asks for one or more"},
		{name: "query a stranger", build: query(of2016, "speed"), err: `params: "speed" is neither the name of a parameter nor an id from 1 to 254`},
		{name: "query 255", build: query(of2016, "255"), err: `params: "255" is neither the name of a parameter nor an id from 1 to 254`},

		{name: "set numbers", build: set(of2016, client.Setting{"reportPeriod", "600"}, client.Setting{"heartbeatPeriod", "1m30s"}), unit: "0202025809" + "5a"},
		{name: "2025 has other widths", build: set(of2025, client.Setting{"reportPeriod", "30"}, client.Setting{"alarmReportPeriod", "1s"}), unit: "02021e0301"},
		{name: "minutes", build: set(of2016, client.Setting{"loginRetryInterval", "1h"}), unit: "010c3c"},
		{name: "a domain brings its length", build: set(of2016, client.Setting{"publicDomain", "a.cn"}, client.Setting{"publicPort", "8999"}), unit: "030d04" + "0e612e636e" + "0f2327"},
		{name: "set nothing", build: set(of2016), err: "params: none is given; a setting sets one or more"},
		{name: "too much", build: set(of2025, client.Setting{"reportPeriod", "31"}), err: "reportPeriod: 31 is out of range; 1 to 30 s in the 2025 edition"},
		{name: "too little", build: set(of2016, client.Setting{"heartbeatPeriod", "0s"}), err: "heartbeatPeriod: 0 is out of range; 1 to 240 s in the 2016 edition"},
		{name: "a mark", build: set(of2016, client.Setting{"heartbeatPeriod", "254"}), err: "heartbeatPeriod: 254 is out of range; 1 to 240 s in the 2016 edition"},
		{name: "between the steps", build: set(of2025, client.Setting{"alarmReportPeriod", "500"}),
			err: "alarmReportPeriod: 500 is no multiple of 1000; 0 to 1000 ms in steps of 1000 in the 2025 edition"},
		{name: "between the units", build: set(of2016, client.Setting{"reportPeriod", "1500ms"}), err: "reportPeriod: 1500ms is no whole number of s"},
		{name: "no number", build: set(of2016, client.Setting{"publicPort", "http"}), err: `publicPort: "http" is not a number`},
		{name: "an enumeration", build: set(of2016, client.Setting{"sampling", "3"}), err: "sampling: 3 is out of range; 1 (yes) or 2 (no) in the 2016 edition"},
		{name: "read only", build: set(of2016, client.Setting{"hardwareVersion", "1"}), err: "hardwareVersion: it can be queried, not set"},
		{name: "twice", build: set(of2016, client.Setting{"sampling", "1"}, client.Setting{"sampling", "2"}), err: "sampling: it is set twice"},
		{name: "a length", build: set(of2016, client.Setting{"publicDomainLength", "1"}), err: "publicDomainLength: it cannot be set alone; it goes with the domain"},
		{name: "no such parameter", build: set(of2016, client.Setting{"speed", "1"}), err: "speed: no parameter has this name"},
		{name: "an empty domain", build: set(of2016, client.Setting{"publicDomain", ""}), err: "publicDomain: it is empty; a text is wanted"},
		{name: "a long domain", build: set(of2016, client.Setting{"publicDomain", string(make([]byte, 256))}), err: "publicDomain: a domain has at most 255 bytes"},

		{name: "reset", build: control(of2016, client.Control{ID: codec.ControlReset}), unit: "03"},
		{name: "the maker's own", build: control(of2016, client.Control{ID: 0x80, Data: []byte{1, 2}}), unit: "800102"},
		{name: "no control", build: control(of2016, client.Control{ID: 8}), err: "control: 8 is not assigned; 1 to 7, or 128 to 254 for those of the maker"},
		{name: "alarm", build: control(of2025, client.Control{ID: codec.ControlAlarm, Alarm: client.Alarm{Level: 4, Message: "停"}}), unit: "0604cda3"},
		{name: "alarm of the other edition", build: control(of2016, client.Control{ID: codec.ControlAlarm, Alarm: client.Alarm{Level: 4}}),
			err: "level: 4 is out of range; 0 to 3 in the 2016 edition, or 255 for invalid"},
		{name: "upgrade", build: control(of2016, client.Control{ID: codec.ControlUpgrade, Upgrade: client.Upgrade{URL: "ftp://h/f", Address: "10.0.0.1", Port: 21, TimeLimit: 5}}),
			unit: "013b3b3b00000a0000013b00153b3b3b3b6674703a2f2f682f663b0005"},
		{name: "upgrade as text", build: control(of2016, client.Control{ID: codec.ControlUpgrade, Upgrade: client.Upgrade{Form: codec.UpgradeTextURLFirst, URL: "u", Port: 21}}),
			unit: "01" + hex.EncodeToString([]byte("u;;;;;21;;;;0"))},
		{name: "upgrade from nowhere", build: control(of2016, client.Control{ID: codec.ControlUpgrade}), err: "url: it is empty; the address of the new firmware is needed"},
		{name: "upgrade, port", build: control(of2016, client.Control{ID: codec.ControlUpgrade, Upgrade: client.Upgrade{URL: "u", Port: 65535}}), err: "port: 65535 is out of range; 0 to 65531"},
		{name: "upgrade, limit", build: control(of2016, client.Control{ID: codec.ControlUpgrade, Upgrade: client.Upgrade{URL: "u", TimeLimit: 60001}}), err: "timeLimit: 60001 is out of range; 0 to 60000 min"},
		{name: "upgrade, maker", build: control(of2016, client.Control{ID: codec.ControlUpgrade, Upgrade: client.Upgrade{URL: "u", Manufacturer: "ABCDE"}}), err: `manufacturer: "ABCDE" has 5 bytes; at most 4`},
		{name: "upgrade, semicolon", build: control(of2016, client.Control{ID: codec.ControlUpgrade, Upgrade: client.Upgrade{URL: "u", Password: "a;b"}}),
			err: "password: holds a semicolon, which separates the arguments"},

		{name: "JSON", build: object(of2016, 0, `{"command":"paramSet","params":[{"id":2,"reportPeriod":10}]}`), unit: "0102000a"},
		{name: "JSON of an edition", build: object(client.Device{}, 0, `{"edition":2025,"command":"paramSet","params":[{"id":2,"reportPeriod":10}]}`), unit: "01020a"},
		{name: "JSON of a kind", build: object(of2016, codec.CommandControl, `{"control":3,"_note":"x","receivedAt":"x"}`), unit: "03"},
		{name: "JSON out of range", build: object(of2016, 0, `{"command":"paramSet","params":[{"id":2,"reportPeriod":601}]}`), err: "reportPeriod: 601 is out of range; 1 to 600 s in the 2016 edition"},
		{name: "JSON read only", build: object(of2016, 0, `{"command":"paramSet","params":[{"id":7,"hardwareVersion":"1"}]}`), err: "hardwareVersion: it can be queried, not set"},
		{name: "JSON of the other edition", build: object(client.Device{Edition: codec.Edition2016}, 0, `{"edition":2025,"command":"control","control":3}`), err: "edition: the JSON is of edition 2025, the vehicle's is 2016"},
		{name: "JSON of a third edition", build: object(of2016, 0, `{"edition":2020,"command":"control","control":3}`), err: "edition: 2020 is neither 2016 nor 2025"},
		{name: "JSON of another command", build: object(of2016, codec.CommandParamSet, `{"command":"control","control":3}`), err: `command: "control" in the JSON, paramSet is to be sent`},
		{name: "JSON of a report", build: object(of2016, 0, `{"command":"realtime"}`), err: `command: "realtime" is none of paramQuery, paramSet, control`},
		{name: "JSON without command", build: object(of2016, 0, `{"control":3}`), err: "command: it is missing; one of paramQuery, paramSet, control"},
		{name: "JSON of an answer", build: object(of2016, 0, `{"command":"control","flag":"success"}`), err: "flag: success makes it an answer; a command is to be sent"},
		{name: "no JSON", build: object(of2016, 0, `null`), err: `json: it is not a JSON object such as {"command":"paramQuery","ids":[2]}`},
		{name: "JSON with a typing mistake", build: object(of2016, 0, `{"command":"control","contrl":3}`), err: "codec: json: contrl: unknown key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd, err := tt.build()
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, atHex+tt.unit, hex.EncodeToString(cmd.Unit))
		})
	}
	_, err := client.SetCommand(of2025, at, client.Setting{"reportPeriod", "31"})
	var bad *client.ValueError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "reportPeriod", bad.Name)
}

func TestErrorKinds(t *testing.T) {
	for code, kind := range map[string]error{
		"iot.device.OfflineDevice": client.ErrOffline, "iot.Device.NotExistedDevice": client.ErrNoDevice, "iot.device.NotExistedDevice": client.ErrNoDevice,
		"SignatureDoesNotMatch": client.ErrDenied, "Throttling.User": client.ErrThrottled, "ServiceUnavailable": client.ErrUnavailable,
	} {
		err := error(&client.Error{Code: code})
		require.ErrorIs(t, err, kind)
		require.NotErrorIs(t, err, client.ErrInactive)
	}
	for state, kind := range map[string]error{
		"rejected": client.ErrRejected, "timedOut": client.ErrTimedOut, "disconnected": client.ErrDisconnected, "superseded": client.ErrDisconnected,
	} {
		err := error(&client.EndError{Result: client.Result{State: state}})
		require.ErrorIs(t, err, kind)
		require.NotErrorIs(t, err, client.ErrOffline)
	}
}

func TestEnding(t *testing.T) {
	for want, r := range map[string]client.Result{
		"": {State: "answered", Flag: "success", Reason: "vehicleLeft"},
		"the vehicle answered with the flag 0x77":                                        {State: "rejected", Flag: "0x77"},
		"the vehicle did not answer":                                                     {State: "timedOut"},
		"the vehicle did not answer (linkBusy)":                                          {State: "timedOut", Reason: "linkBusy"},
		"the vehicle's session ended before an answer came (drain)":                      {State: "disconnected", Reason: "drain"},
		"the vehicle logged in over another connection before an answer came (takeover)": {State: "superseded", Reason: "takeover"},
		"a state that this program does not know (of another planet)":                    {State: "lost", Reason: "of another planet"},
	} {
		require.Equal(t, want, r.Ending())
	}
}
