package codec_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// A realtime report with one position, as a T-Box sends it.
const positionFrame = "232302fe4c54455354303030303030303030303031010010120a1e1424000500073d270801dcda6afd"

func ExampleMessage_Decode() {
	raw, _ := hex.DecodeString(positionFrame)
	frame, err := codec.ParseFrame(raw)
	if err != nil {
		fmt.Println(err)
		return
	}
	var m codec.Message // reuse it for the next frame
	m.Decode(frame)
	report, ok := m.Body.(*codec.Realtime)
	if !ok {
		fmt.Println("no report")
		return
	}
	at, _ := report.Time.Time()
	fmt.Println(frame.VIN(), at)
	for _, item := range report.Info {
		switch v := item.(type) {
		case *codec.Position2016:
			fmt.Println(v.LongitudeValue(), v.LatitudeValue())
		case *codec.StorageVoltages2016:
			for _, s := range v.Subsystems {
				fmt.Println(s.Number, s.VoltageValue(), s.CellVoltages.Len())
			}
		}
	}
	// Output:
	// LTEST000000000001 2018-10-30 20:36:00 +0800 UTC+8
	// 121.448200 31.251050
}

func ExampleMessage_AppendJSON() {
	raw, _ := hex.DecodeString(positionFrame)
	var m codec.Message
	m.Decode(codec.Frame(raw))
	fmt.Printf("%s\n", m.AppendJSON(nil, codec.JSONOptions{}))
	// Output:
	// {"v":1,"edition":2016,"command":"realtime","flag":"command","vin":"LTEST000000000001","encryption":"none","time":"2018-10-30T20:36:00+08:00","info":[{"type":"position","status":0,"longitude":121.448200,"latitude":31.251050,"_valid":true}]}
}

func ExampleEncodeJSON() {
	frame, err := codec.EncodeJSON(nil, []byte(`{"edition":2016,"command":"realtime","vin":"LTEST000000000001",
		"time":"2018-10-30T20:36:00+08:00","info":[{"type":"position","status":0,"longitude":121.4482,"latitude":31.25105}]}`))
	fmt.Printf("%x %v\n", frame, err)

	_, err = codec.EncodeJSON(nil, []byte(`{"edition":2016,"command":"realtime","vin":"LTEST000000000001",
		"time":"2018-10-30T20:36:00+08:00","info":[{"type":"engine","state":1,"crankshaftSpeed":900.5,"fuelConsumption":0}]}`))
	var bad *codec.JSONError
	if errors.As(err, &bad) {
		fmt.Println(bad.Path, "|", err)
	}
	// Output:
	// 232302fe4c54455354303030303030303030303031010010120a1e1424000500073d270801dcda6afd <nil>
	// info[0].crankshaftSpeed | codec: json: info[0].crankshaftSpeed: 900.5 is not on the grid of 1
}

func ExampleNewRealtime() {
	vin, _ := codec.ParseVIN("LTEST000000000001")
	at := time.Date(2018, 10, 30, 20, 36, 0, 0, codec.Beijing)
	m := codec.NewRealtime(codec.Edition2016, vin, at,
		&codec.Engine2016{State: 1, CrankshaftSpeed: 900, FuelConsumption: 750},
		&codec.StorageVoltages2016{Subsystems: []codec.StorageVoltage2016{{
			Number: 1, Voltage: 3600, Current: 9900, CellCount: 3, FirstCell: 1,
			CellVoltages: codec.MakeList16(3601, 3602, 3603),
		}}})
	frame, err := m.Append(nil)
	fmt.Printf("%x %v\n", frame, err)
	// Output:
	// 232302fe4c5445535430303030303030303030303101001e120a1e1424000401038402ee0801010e1026ac00030001030e110e120e1363 <nil>
}

func ExampleNewParamSet() {
	vin, _ := codec.ParseVIN("LTEST000000000001")
	at := time.Date(2018, 10, 30, 20, 36, 0, 0, codec.Beijing)
	var params codec.Params
	if err := errors.Join(
		params.AddNumber(codec.Edition2016, codec.ParamReportPeriod, 10),
		params.AddText(codec.Edition2016, codec.ParamPlatformDomain, "gb.example.com"), // its length goes before it
	); err != nil {
		fmt.Println(err)
		return
	}
	m := codec.NewParamSet(codec.Edition2016, vin, at, params.Params...)
	fmt.Println(m.Problems())
	fmt.Printf("%s\n", m.AppendJSON(nil, codec.JSONOptions{}))
	// Output:
	// []
	// {"v":1,"edition":2016,"command":"paramSet","flag":"command","vin":"LTEST000000000001","encryption":"none","time":"2018-10-30T20:36:00+08:00","params":[{"id":2,"reportPeriod":10},{"id":4,"platformDomainLength":14},{"id":5,"platformDomain":"gb.example.com"}]}
}

func ExampleCheckUnit() {
	unit, _ := hex.DecodeString("120a1e142400" + "01" + "020258") // report period 600 s
	fmt.Println(codec.CheckUnit(codec.Edition2016, codec.CommandParamSet, codec.FlagCommand, unit))
	unit, _ = hex.DecodeString("120a1e142400" + "02" + "020259") // 601 s, and one parameter fewer than announced
	fmt.Println(codec.CheckUnit(codec.Edition2016, codec.CommandParamSet, codec.FlagCommand, unit))
	// Output:
	// []
	// [params[0].reportPeriod: outOfRange params[1]: truncated]
}
