package codec

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// frameOf returns a good frame with the unit given in hex.
func frameOf(t testing.TB, e Edition, c Command, flag Flag, unit string) Frame {
	t.Helper()
	f, err := AppendFrame(nil, Header{Edition: e, Command: c, Flag: flag, VIN: [17]byte([]byte("LTEST000000000001")), Encryption: EncryptionNone}, unhex(t, unit))
	require.NoError(t, err)
	return f
}

// jsonOf returns the JSON of a frame without its header, after the lossless law was asserted.
func jsonOf(t testing.TB, f Frame) string {
	t.Helper()
	var m Message
	text := string(requireLossless(t, &m, f))
	require.NotContains(t, text, "notCanonical")
	_, unit, ok := strings.Cut(text, `"encryption":"none"`)
	require.True(t, ok, text)
	return strings.TrimPrefix(strings.TrimSuffix(unit, "}"), ",")
}

const (
	unitTime     = "120a1e142400" // 2018-10-30 20:36:00
	unitTimeJSON = `"time":"2018-10-30T20:36:00+08:00"`
)

// TestUnits holds one line for every rule of the JSON form that the samples do not show.
func TestUnits(t *testing.T) {
	const cmd, ok = FlagCommand, FlagSuccess
	icc := hexOf("89860000000000000001")
	for _, c := range []struct {
		name    string
		edition Edition
		command Command
		flag    Flag
		unit    string
		want    string
	}{
		{"empty realtime", 2016, CommandRealtime, cmd, "", `"problems":[{"path":"time","code":"truncated"}]`},
		{"cut in the time", 2016, CommandRealtime, cmd, "120a", `"rest":"120a","problems":[{"path":"time","code":"truncated"}]`},
		{"no items", 2016, CommandRealtime, cmd, unitTime, unitTimeJSON + `,"info":[]`},
		{"cut item", 2016, CommandRealtime, cmd, unitTime + "0401", unitTimeJSON + `,"info":[],"rest":"0401","problems":[{"path":"info[0]","code":"truncated"}]`},
		{"unknown item after a good one", 2016, CommandRealtime, cmd, unitTime + "040100000000" + "0a11",
			unitTimeJSON + `,"info":[{"type":"engine","state":1,"crankshaftSpeed":0,"fuelConsumption":0.00}],"rest":"0a11","problems":[{"path":"info[1]","code":"unknownItem"}]`},
		{"empty custom item", 2016, CommandRealtime, cmd, unitTime + "fe0000", unitTimeJSON + `,"info":[{"type":"custom","id":254,"data":""}],"problems":[{"path":"info[0].data","code":"outOfRange"}]`},
		{"position south and west", 2016, CommandRealtime, cmd, unitTime + "0507073d270801dcda6a",
			unitTimeJSON + `,"info":[{"type":"position","status":7,"longitude":-121.448200,"latitude":-31.251050,"_valid":false}]`},
		{"position zero west, beyond the pole", 2016, CommandRealtime, cmd, unitTime + "0506000000001dcd6500",
			unitTimeJSON + `,"info":[{"type":"position","status":6,"longitude":0.000000,"latitude":-500.000000,"_valid":true}],"problems":[{"path":"info[0].latitude","code":"outOfRange"}]`},
		{"count mark without entries", 2016, CommandRealtime, cmd, unitTime + "02ff",
			unitTimeJSON + `,"info":[{"type":"driveMotors","motorsCount":255,"motors":[]}],"problems":[{"path":"info[0].motorsCount","code":"countMark"}]`},
		{"count mark with a placeholder", 2016, CommandRealtime, cmd, unitTime + "09fe01fffe42",
			unitTimeJSON + `,"info":[{"type":"storageTemperatures","subsystemsCount":254,"subsystems":[{"number":1,"temperaturesCount":65534,"temperatures":[26]}]}],` +
				`"problems":[{"path":"info[0].subsystemsCount","code":"countMark"},{"path":"info[0].subsystems[0].temperaturesCount","code":"countMark"}]`},
		{"count mark that fits neither way", 2016, CommandRealtime, cmd, unitTime + "02ff00",
			unitTimeJSON + `,"info":[{"type":"driveMotors","motorsCount":255,"motors":[]}],"rest":"00","problems":[{"path":"info[0].motorsCount","code":"countMark"},{"path":"info[1]","code":"unknownItem"}]`},
		{"a count that is never a mark", 2016, CommandRealtime, cmd, unitTime + "0801" + "01" + "0000" + "2710" + "00fe" + "0001" + "fe" + strings.Repeat("ffff", 254),
			unitTimeJSON + `,"info":[{"type":"storageVoltages","subsystems":[{"number":1,"voltage":0.0,"current":0.0,"cellCount":254,"firstCell":1,"cellVoltages":[` +
				strings.Repeat("null,", 253) + `null]}],"invalid":["subsystems[0].cellVoltages[0..253]"]}],"problems":[{"path":"info[0].subsystems[0].cellVoltagesCount","code":"outOfRange"}]`},
		{"runs of marks", 2016, CommandRealtime, cmd, unitTime + "0901" + "01" + "0008" + "ff4041ffffff" + "fefe",
			unitTimeJSON + `,"info":[{"type":"storageTemperatures","subsystems":[{"number":1,"temperatures":[null,24,25,null,null,null,null,null]}],` +
				`"abnormal":["subsystems[0].temperatures[6..7]"],"invalid":["subsystems[0].temperatures[0]","subsystems[0].temperatures[3..5]"]}]`},
		{"out of range in a list", 2016, CommandRealtime, cmd, unitTime + "0901" + "01" + "0003" + "fbfd00",
			unitTimeJSON + `,"info":[{"type":"storageTemperatures","subsystems":[{"number":1,"temperatures":[211,213,-40]}]}],` +
				`"problems":[{"path":"info[0].subsystems[0].temperatures[0]","code":"outOfRange"},{"path":"info[0].subsystems[0].temperatures[1]","code":"outOfRange"}]`},
		{"cells above ten and sixty volts", 2016, CommandRealtime, cmd, unitTime + "0801" + "01" + "0000" + "2710" + "0003" + "0001" + "03" + "2710" + "ea61" + "0ea6",
			unitTimeJSON + `,"info":[{"type":"storageVoltages","subsystems":[{"number":1,"voltage":0.0,"current":0.0,"cellCount":3,"firstCell":1,"cellVoltages":[10.000,60.001,3.750]}]}],` +
				`"problems":[{"path":"info[0].subsystems[0].cellVoltages[1]","code":"outOfRange"}]`},
		{"marks where the table has none", 2016, CommandRealtime, cmd, unitTime + "0201" + "fe" + "01" + "28" + "4e20" + "4e20" + "28" + "0000" + "2710",
			unitTimeJSON + `,"info":[{"type":"driveMotors","motors":[{"number":null,"state":1,"controllerTemperature":0,"speed":0,"torque":0.0,"temperature":0,"inputVoltage":0.0,"busCurrent":0.0}],"abnormal":["motors[0].number"]}]`},
		{"pack codes", 2025, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "02" + "01ff" + hexOf("012345678901234567890123"),
			unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","bms":[{"packCodes":["012345678901234567890123"]},{"packCodesCount":255,"packCodes":[]}],"problems":[{"path":"bms[1].packCodesCount","code":"countMark"}]`},
		{"pack codes cut", 2025, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "0101aa",
			unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","rest":"0101aa","problems":[{"path":"bms","code":"truncated"}]`},
		{"login 2016 without any code", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "0000", unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","storageCodes":[]`},
		{"login 2016 cut in the ICCID", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + "3839", unitTimeJSON + `,"serial":1,"rest":"3839","problems":[{"path":"iccid","code":"truncated"}]`},
		{"login 2016 with trailing bytes", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "010141ff",
			unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","storageCodes":["A"],"rest":"ff","problems":[{"path":"rest","code":"trailing"}]`},
		{"login 2016, padded codes", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "0203" + "414200" + "430000",
			unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","codeLength":3,"storageCodes":["AB","C"]`},
		{"login 2016, binary codes", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "0203" + "414220" + "010203",
			unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","storageCodes":[{"hex":"414220"},{"hex":"010203"}]`},
		{"login 2016, width without codes", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "000a", unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","codeLength":10,"storageCodes":[]`},
		{"login 2016, count mark", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "ff01" + "41",
			unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","subsystemCount":255,"storageCodes":["A"],"problems":[{"path":"subsystemCount","code":"countMark"}]`},
		{"login 2016, fewer codes than announced", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + icc + "0202" + "414243",
			unitTimeJSON + `,"serial":1,"iccid":"89860000000000000001","subsystemCount":2,"codeLength":2,"rest":"414243","problems":[{"path":"storageCodes","code":"countMismatch"}]`},
		{"iccid with control characters", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + "07" + strings.Repeat("30", 19) + "0000",
			unitTimeJSON + `,"serial":1,"iccidHex":"0730303030303030303030303030303030303030","storageCodes":[],"problems":[{"path":"iccid","code":"padding"}]`},
		{"iccid padded on the left", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + "0000" + strings.Repeat("30", 18) + "0000",
			unitTimeJSON + `,"serial":1,"iccidHex":"0000303030303030303030303030303030303030","storageCodes":[],"problems":[{"path":"iccid","code":"padding"}]`},
		{"quotes", 2016, CommandVehicleLogin, cmd, unitTime + "0001" + hexOf(`"\`) + strings.Repeat("00", 18) + "0000", unitTimeJSON + `,"serial":1,"iccid":"\"\\","storageCodes":[]`},
		{"platform login in Chinese", 2016, CommandPlatformLogin, cmd, unitTime + "0001" + "cdfebaa3b9e3cca9bfd5b8db" + "7365637265742a2a2a2a2a2a2a2a2a2a2a2a2a2a" + "04",
			unitTimeJSON + `,"serial":1,"username":"威海广泰空港","password":"secret**************","encryptionRule":4,"problems":[{"path":"encryptionRule","code":"outOfRange"}]`},
		{"platform login 2025, SM2", 2025, CommandPlatformLogin, cmd, unitTime + "0001" + strings.Repeat("00", 12) + strings.Repeat("00", 20) + "04",
			unitTimeJSON + `,"serial":1,"username":"","password":"","encryptionRule":4`},
		{"broken GB 18030", 2016, CommandPlatformLogin, cmd, unitTime + "0001" + "ff41" + strings.Repeat("00", 10) + strings.Repeat("00", 20) + "01",
			unitTimeJSON + `,"serial":1,"usernameHex":"ff4100000000000000000000","password":"","encryptionRule":1,"problems":[{"path":"username","code":"padding"}]`},
		{"not canonical GB 18030", 2016, CommandPlatformLogin, cmd, unitTime + "0001" + "80" + strings.Repeat("00", 11) + strings.Repeat("00", 20) + "01",
			unitTimeJSON + `,"serial":1,"username":"€","usernameHex":"800000000000000000000000","password":"","encryptionRule":1,"problems":[{"path":"username","code":"padding"}]`},
		{"heartbeat with a time", 2016, CommandHeartbeat, cmd, unitTime, unitTimeJSON},
		{"answer with seven bytes to a heartbeat", 2016, CommandHeartbeat, ok, unitTime + "00", `"rest":"120a1e14240000","problems":[{"path":"rest","code":"trailing"}]`},
		{"answer that echoes", 2016, CommandVehicleLogout, ok, unitTime + "0001", unitTimeJSON + `,"serial":1`},
		{"answer with one byte more", 2016, CommandVehicleLogout, ok, unitTime + "01", unitTimeJSON + `,"rest":"01","problems":[{"path":"rest","code":"trailing"}]`},
		{"answer that is too short", 2016, CommandVehicleLogout, ok, "12", `"rest":"12","problems":[{"path":"time","code":"truncated"}]`},
		{"empty answer", 2016, CommandVehicleLogout, ok, "", ``},
		{"query", 2016, CommandParamQuery, cmd, unitTime + "03" + "0102ff", unitTimeJSON + `,"ids":[1,2,255],"problems":[{"path":"ids[2]","code":"unknownParam"}]`},
		{"query with a mark", 2016, CommandParamQuery, cmd, unitTime + "ff", unitTimeJSON + `,"idsCount":255,"ids":[],"problems":[{"path":"idsCount","code":"countMark"}]`},
		{"query cut", 2016, CommandParamQuery, cmd, unitTime + "0301", unitTimeJSON + `,"rest":"0301","problems":[{"path":"ids","code":"truncated"}]`},
		{"query with trailing bytes", 2016, CommandParamQuery, cmd, unitTime + "010203", unitTimeJSON + `,"ids":[2],"rest":"03","problems":[{"path":"rest","code":"trailing"}]`},
		{"answer under the flag of a command", 2016, CommandParamQuery, cmd, unitTime + "01" + "02000a", unitTimeJSON + `,"params":[{"id":2,"reportPeriod":10}]`},
		{"answer that is the query", 2016, CommandParamQuery, ok, unitTime + "01" + "02", unitTimeJSON + `,"ids":[2]`},
		{"setting cut", 2016, CommandParamSet, cmd, unitTime + "02" + "02000a" + "0200", unitTimeJSON + `,"paramsCount":2,"params":[{"id":2,"reportPeriod":10}],"rest":"0200","problems":[{"path":"params[1]","code":"truncated"}]`},
		{"setting of a read-only parameter", 2016, CommandParamSet, cmd, unitTime + "01" + "07" + hexOf("1.0"+"\x00\x00"), unitTimeJSON + `,"params":[{"id":7,"hardwareVersion":"1.0"}],"problems":[{"path":"params[0].id","code":"outOfRange"}]`},
		{"domain before its length", 2016, CommandParamSet, cmd, unitTime + "01" + "0541", unitTimeJSON + `,"paramsCount":1,"params":[],"rest":"0541","problems":[{"path":"params[0]","code":"unknownParam"}]`},
		{"params 2025", 2025, CommandParamSet, cmd, unitTime + "03" + "021f" + "0301" + "1003",
			unitTimeJSON + `,"params":[{"id":2,"reportPeriod":31},{"id":3,"alarmReportPeriod":1000},{"id":16,"sampling":3}],"problems":[{"path":"params[0].reportPeriod","code":"outOfRange"},{"path":"params[2].sampling","code":"outOfRange"}]`},
		{"control without id", 2016, CommandControl, cmd, unitTime, unitTimeJSON + `,"problems":[{"path":"control","code":"truncated"}]`},
		{"reserved control", 2016, CommandControl, cmd, unitTime + "0901", unitTimeJSON + `,"control":9,"data":"01","problems":[{"path":"control","code":"outOfRange"}]`},
		{"alarm without level", 2016, CommandControl, cmd, unitTime + "06", unitTimeJSON + `,"control":6,"problems":[{"path":"level","code":"truncated"}]`},
		{"alarm without text", 2016, CommandControl, cmd, unitTime + "06ff", unitTimeJSON + `,"control":6,"level":255,"message":""`},
		{"alarm text untrimmed", 2025, CommandControl, cmd, unitTime + "0605" + "412000", unitTimeJSON + `,"control":6,"level":5,"messageHex":"412000","problems":[{"path":"level","code":"outOfRange"}]`},
		{"upgrade that cannot be read", 2016, CommandControl, cmd, unitTime + "01" + hexOf("a;b"), unitTimeJSON + `,"control":1,"rest":"613b62","problems":[{"path":"upgradeForm","code":"truncated"}]`},
		{"upgrade, URL first", 2016, CommandControl, cmd, unitTime + "01" + hexOf("ftp://x/y;a;u;p;1.2.3.4;21;ABCD;1.0.0;1.0.1;60001"),
			unitTimeJSON + `,"control":1,"upgradeForm":"textUrlFirst","apn":"a","username":"u","password":"p","address":"1.2.3.4","port":21,"manufacturer":"ABCD","hardwareVersion":"1.0.0","firmwareVersion":"1.0.1","url":"ftp://x/y","timeLimit":60001,"problems":[{"path":"timeLimit","code":"outOfRange"}]`},
		{"upgrade, leading zeros", 2016, CommandControl, cmd, unitTime + "01" + hexOf("a;u;p;1.2.3.4;021;ABCD;1.0.0;1.0.1;ftp://x/y;10"),
			unitTimeJSON + `,"control":1,"rest":"` + hexOf("a;u;p;1.2.3.4;021;ABCD;1.0.0;1.0.1;ftp://x/y;10") + `","problems":[{"path":"upgradeForm","code":"truncated"}]`},
		{"upgrade, separators in the numbers", 2016, CommandControl, cmd, unitTime + "01" + "3b3b3b" + "3b3b3b3b3b3b" + "3b" + "3b3b" + "3b" + "3b3b3b" + "3b" + "3b3b",
			unitTimeJSON + `,"control":1,"upgradeForm":"binary","apn":"","username":"","password":"","address":"3b3b3b3b3b3b","port":15163,"manufacturer":"","hardwareVersion":"","firmwareVersion":"","url":"","timeLimit":15163`},
		{"activation response", 2025, CommandActivationResponse, cmd, "0201", `"state":2,"reason":1`},
		{"activation response as an answer of six bytes", 2025, CommandActivationResponse, ok, unitTime, unitTimeJSON},
		{"activation without marker", 2025, CommandActivation, cmd, unitTime + hexOf("chip            ") + "0002abcd" + hexOf("LTEST000000000001") + "01" + "0001aa" + "0000",
			unitTimeJSON + `,"chipId":"chip","publicKey":"abcd","activationVin":"LTEST000000000001","signature":{"algorithm":1,"r":"aa","s":""}`},
		{"activation, chip id padded with zeros", 2025, CommandActivation, cmd, unitTime + hexOf("chip\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") + "0000" + hexOf("LTEST000000000001") + "04" + "0000" + "0000",
			unitTimeJSON + `,"chipId":"chip","chipIdHex":"63686970000000000000000000000000","publicKey":"","activationVin":"LTEST000000000001","signature":{"algorithm":4,"r":"","s":""},` +
				`"problems":[{"path":"chipId","code":"padding"},{"path":"signature.algorithm","code":"outOfRange"}]`},
		{"activation cut in the signature", 2025, CommandActivation, cmd, unitTime + hexOf("chip            ") + "0000" + hexOf("LTEST000000000001") + "ff01",
			unitTimeJSON + `,"chipId":"chip","publicKey":"","activationVin":"LTEST000000000001","rest":"ff01","problems":[{"path":"signature","code":"truncated"}]`},
		{"key exchange cut", 2025, CommandKeyExchange, cmd, "01" + "0003" + "0102", `"keyType":1,"rest":"00030102","problems":[{"path":"keyType","code":"outOfRange"},{"path":"key","code":"truncated"}]`},
		{"key exchange in the other edition", 2016, CommandKeyExchange, cmd, "0102", `"rest":"0102","problems":[{"path":"command","code":"unknownCommand"}]`},
		{"alarm levels", 2025, CommandRealtime, cmd, unitTime + "06" + "04" + "10800001" + "00000000" + "02" + "1704" + "1c05",
			unitTimeJSON + `,"info":[{"type":"alarms","highestLevel":4,"flags":276824065,"_alarms":["temperatureDifference","storageThermalEvent"],"storageFaults":[],"motorFaults":[],"engineFaults":[],"otherFaults":[],` +
				`"alarmLevels":[{"bit":23,"level":4},{"bit":28,"level":5}]}],"problems":[{"path":"info[0].flags","code":"reservedBits"},{"path":"info[0].alarmLevels[1].bit","code":"outOfRange"},{"path":"info[0].alarmLevels[1].level","code":"outOfRange"}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, jsonOf(t, frameOf(t, c.edition, c.command, c.flag, c.unit)))
		})
	}
}

func TestMask(t *testing.T) {
	const login = unitTime + "0001" + "61646d696e" + "00000000000000" + "736563726574" + "0000000000000000000000000000" + "01"
	upgradeArgs := func(password string) string {
		return unitTime + "01" + hexOf("apn;user;"+password+";1.2.3.4;21;ABCD;1.0.0;1.0.1;ftp://x/y;10")
	}
	const secret = "secret"
	for _, c := range []struct {
		name    string
		frame   Frame
		secret  bool
		visible string // what is still there
	}{
		{"platform login", frameOf(t, 2016, CommandPlatformLogin, FlagCommand, login), true, `"username":"admin","encryptionRule":1,"masked":true`},
		{"platform login 2025", frameOf(t, 2025, CommandPlatformLogin, FlagCommand, login), true, `"username":"admin"`},
		{"platform login with a rest", frameOf(t, 2016, CommandPlatformLogin, FlagCommand, login+hexOf(secret)), true, `"masked":true,"problems":[{"path":"rest","code":"trailing"}]`},
		{"platform login cut", frameOf(t, 2016, CommandPlatformLogin, FlagCommand, login[:len(login)-40]), true, `"username":"admin","masked":true`},
		{"answer to a platform login", frameOf(t, 2016, CommandPlatformLogin, FlagSuccess, unitTime), true, unitTimeJSON + `,"masked":true`},
		{"password that is no text", frameOf(t, 2016, CommandPlatformLogin, FlagCommand, strings.Replace(login, "736563726574", "07"+hexOf(secret)[:10], 1)), true, `"encryptionRule":1,"masked":true`},
		{"key exchange", frameOf(t, 2025, CommandKeyExchange, FlagCommand, "03"+"0006"+hexOf(secret)+unitTime+unitTime), true, `"keyType":3,"enableTime"`},
		{"key exchange in the other edition", frameOf(t, 2016, CommandKeyExchange, FlagCommand, hexOf(secret)), true, `"command":"0x0B"`},
		{"upgrade", frameOf(t, 2016, CommandControl, FlagCommand, upgradeArgs(secret)), true, `"username":"user","address":"1.2.3.4"`},
		{"upgrade without password", frameOf(t, 2016, CommandControl, FlagCommand, upgradeArgs("")), false, `"password":""`},
		{"upgrade that cannot be read", frameOf(t, 2016, CommandControl, FlagCommand, unitTime+"01"+hexOf(secret)), true, `"control":1,"masked":true`},
		{"echo of an upgrade that cannot be read", frameOf(t, 2016, CommandControl, FlagSuccess, unitTime+"01"+hexOf(secret)), true, unitTimeJSON + `,"masked":true`},
		{"reset", frameOf(t, 2016, CommandControl, FlagCommand, unitTime+"03"), false, `"control":3`},
		{"realtime", frameOf(t, 2016, CommandRealtime, FlagCommand, unitTime), false, `"info":[]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.secret, Secret(c.frame))
			var m Message
			m.Decode(c.frame)
			text := string(m.AppendJSON(nil, JSONOptions{Mask: true}))
			require.Contains(t, text, c.visible)
			require.NotContains(t, text, secret)
			require.NotContains(t, text, hexOf(secret)[:10])
			require.Equal(t, c.secret, strings.Contains(text, `"masked":true`))
			_, err := EncodeJSON(nil, []byte(text))
			require.Equal(t, c.secret, err != nil, "%v", err)
			requireLossless(t, &m, c.frame)
			text = string(m.AppendJSON(nil, JSONOptions{Mask: true, MaxSize: 10}))
			require.NotContains(t, text, hexOf(secret)[:10])
		})
	}
}

func TestMaxSize(t *testing.T) {
	frame := Frame(benchFrame(t, "realtime.bin"))
	var m Message
	m.Decode(frame)
	whole := m.AppendJSON(nil, JSONOptions{})
	require.Equal(t, whole, m.AppendJSON(nil, JSONOptions{MaxSize: len(whole)}))
	small := m.AppendJSON([]byte("x"), JSONOptions{MaxSize: len(whole) - 1})[1:]
	require.Contains(t, string(small), `"rest":"1a0b`)
	require.Contains(t, string(small), `"problems":[{"path":"rest","code":"tooLarge"}]`)
	back, err := EncodeJSON(nil, small)
	require.NoError(t, err)
	require.Equal(t, []byte(frame), back)
}

func TestProblems(t *testing.T) {
	var m Message
	m.Decode(frameOf(t, Edition2016, CommandRealtime, FlagCommand, unitTime+"0901"+"01"+"0050"+strings.Repeat("fb", 80)))
	problems := m.Problems()
	require.Len(t, problems, MaxProblems+1)
	require.Equal(t, Problem{Path: "info[0].subsystems[0].temperatures[63]", Code: CodeOutOfRange}, problems[63])
	require.Equal(t, Problem{Code: CodeMore, Count: 16}, problems[64])
	require.Equal(t, "16 more", problems[64].String())
	require.Equal(t, "info[0].subsystems[0].temperatures[63]: outOfRange", problems[63].String())
	require.True(t, bytes.HasSuffix(m.AppendJSON(nil, JSONOptions{}), []byte(`{"path":"info[0].subsystems[0].temperatures[63]","code":"outOfRange"},{"code":"more","count":16}]}`)))
	_, odd := m.Fault()
	require.False(t, odd)

	m.Decode(frameOf(t, Edition2016, CommandRealtime, FlagCommand, unitTime+"0401"))
	p, odd := m.Fault()
	require.True(t, odd)
	require.Equal(t, Problem{Path: "info[0]", Code: CodeTruncated}, p)
	require.Equal(t, []Problem{p}, m.Problems())

	m.Decode(frameOf(t, Edition2016, CommandVehicleLogout, FlagCommand, unitTime))
	p, odd = m.Fault()
	require.True(t, odd)
	require.Equal(t, Problem{Path: "serial", Code: CodeTruncated}, p)

	m.Decode(Frame(benchFrame(t, "realtime.bin")))
	require.Nil(t, m.Problems())
}

func TestCheckUnit(t *testing.T) {
	require.Nil(t, CheckUnit(Edition2016, CommandParamQuery, FlagCommand, unhex(t, unitTime+"020102")))
	require.Equal(t, []Problem{{Path: "params[0].reportPeriod", Code: CodeOutOfRange}},
		CheckUnit(Edition2016, CommandParamSet, FlagCommand, unhex(t, unitTime+"01"+"020000")))
	require.Equal(t, []Problem{{Path: "ids", Code: CodeTruncated}}, CheckUnit(Edition2016, CommandParamQuery, FlagCommand, unhex(t, unitTime+"0201")))
	require.Equal(t, []Problem{{Path: "time", Code: CodeBadTime}}, CheckUnit(Edition2025, CommandControl, FlagCommand, unhex(t, "000000000000"+"03")))
	require.Equal(t, []Problem{{Path: "command", Code: CodeUnknownCommand}}, CheckUnit(Edition2016, CommandActivation, FlagCommand, nil))
}

func TestAppendErrors(t *testing.T) {
	vin, at := MakeVIN([]byte("LTEST000000000001")), time.Date(2018, 10, 30, 20, 36, 0, 0, Beijing)
	many := make(List8, 65534)
	for _, c := range []struct {
		m    *Message
		path string
	}{
		{NewRealtime(Edition2025, vin, at, &Engine2016{}), "info[0]"},
		{NewRealtime(Edition2016, vin, at, &Engine2016{}, &Signature2025{}), "info[1]"},
		{NewRealtime(Edition2016, vin, at, &DriveMotors2016{Motors: make([]DriveMotor2016, 254)}), "info[0].motors"},
		{NewRealtime(Edition2016, vin, at, &DriveMotors2016{MotorsCount: MakeCount(256)}), "info[0].motorsCount"},
		{NewRealtime(Edition2016, vin, at, &StorageVoltages2016{Subsystems: []StorageVoltage2016{{CellVoltages: make(List16, 512)}}}), "info[0].subsystems[0].cellVoltages"},
		{NewRealtime(Edition2016, vin, at, &StorageTemperatures2016{Subsystems: []StorageTemperature2016{{Temperatures: many}}}), "info[0].subsystems[0].temperatures"},
		{NewRealtime(Edition2016, vin, at, &Custom{ID: 0x80, Data: make([]byte, 65536)}), "info[0].data"},
		{NewParamSet(Edition2016, vin, at, Param{ID: ParamReportPeriod, Data: []byte{1}}), "params[0].reportPeriod"},
		{NewParamSet(Edition2016, vin, at, Param{ID: 0x11}), "params[0]"},
		{NewControl(Edition2016, vin, at, ControlAlarm, 1), "data"},
		{NewUpgrade(Edition2016, vin, at, Upgrade{}), "address"},
		{NewUpgrade(Edition2016, vin, at, Upgrade{Form: UpgradeText, Password: []byte(";")}), "password"},
		{newMessage(Edition2016, CommandVehicleLogin, vin, &VehicleLogin2016{StorageCodes: StorageCodes{Codes: TextList{Width: 256, Data: make([]byte, 256)}}}), "storageCodes"},
		{newMessage(Edition2025, CommandVehicleLogin, vin, &VehicleLogin2025{BMS: PackCodes{Systems: []PackCodeList{{Codes: TextList{Width: 1, Data: []byte{1}}}}}}), "bms[0].packCodes"},
	} {
		dst, err := c.m.Append([]byte("kept"))
		require.Equal(t, "kept", string(dst))
		var e *FieldError
		require.True(t, errors.As(err, &e), "%s: %v", c.path, err)
		require.Equal(t, c.path, e.Path, "%v", err)
	}
	_, err := NewRealtime(Edition2016, vin, at, &Custom{ID: 0x80, Data: make([]byte, 65530)}).Append(nil)
	require.ErrorIs(t, err, ErrLength)
	require.NotErrorIs(t, err, ErrCheck)
}

// TestConstructors: what they make is regular by the decoder's own judgement.
func TestConstructors(t *testing.T) {
	vin, at := MakeVIN([]byte("LTEST000000000001")), time.Date(2026, 1, 2, 3, 4, 5, 0, Beijing)
	must := func(m *Message, err error) *Message {
		t.Helper()
		require.NoError(t, err)
		return m
	}
	codes, err := MakeStorageCodes(2, "CODE1", "CODE22")
	require.NoError(t, err)
	none, err := MakeStorageCodes(1)
	require.NoError(t, err)
	packs, err := MakePackCodes([]string{"012345678901234567890123"}, nil)
	require.NoError(t, err)
	var params Params
	for _, e := range []Edition{Edition2016, Edition2025} {
		params = Params{}
		require.NoError(t, params.AddNumber(e, ParamReportPeriod, 10))
		require.NoError(t, params.AddText(e, ParamPlatformDomain, "gateway.example.com"))
		require.NoError(t, params.AddNumber(e, ParamPlatformPort, 8999))
	}
	for _, m := range []*Message{
		must(NewVehicleLogin2016(vin, at, 1, "89860000000000000001", codes)),
		must(NewVehicleLogin2016(vin, at, 1, "89860000000000000001", none)),
		must(NewVehicleLogin2025(vin, at, 1, "89860000000000000001", packs)),
		NewVehicleLogout(Edition2025, vin, at, 1),
		must(NewPlatformLogin(Edition2016, vin, at, 1, "admin", "password")),
		NewPlatformLogout(Edition2016, vin, at, 1),
		NewHeartbeat(Edition2016, vin), NewTimeSync(Edition2025, vin),
		NewRealtime(Edition2016, vin, at, &Position2016{Longitude: 121448200, Latitude: 31250026}, &Custom{ID: 0x80, Data: []byte{1}}),
		NewReissue(Edition2025, vin, at, &Engine2025{CrankshaftSpeed: 3000}, &Custom{ID: 0x80, Data: []byte{1}}, &Signature2025{Algorithm: 1}),
		NewParamQuery(Edition2016, vin, at, ParamStoragePeriod, ParamSampling),
		NewParamSet(Edition2025, vin, at, params.Params...),
		NewControl(Edition2016, vin, at, ControlReset),
		must(NewAlert(Edition2016, vin, at, 2, "刹车")),
		NewUpgrade(Edition2016, vin, at, Upgrade{Address: []byte{0, 0, 192, 168, 1, 1}, Port: 21, URL: []byte("ftp://x/;y")}),
		NewUpgrade(Edition2025, vin, at, Upgrade{Form: UpgradeTextURLFirst, Address: []byte("example.com"), URL: []byte("ftp://x/y")}),
		must(NewActivation(vin, at, "chip", []byte{1, 2}, Signature2025{Algorithm: 2, R: []byte{3}})),
		NewActivationResponse(vin, 1, 0),
		NewKeyExchange(vin, EncryptionSM4, make([]byte, 16), at, at.AddDate(1, 0, 0)),
	} {
		frame, err := m.Append(nil)
		require.NoError(t, err)
		f, err := ParseFrame(frame)
		require.NoError(t, err)
		var again Message
		again.Decode(f)
		require.Nil(t, again.Problems(), "%s", again.AppendJSON(nil, JSONOptions{}))
		require.Equal(t, string(m.AppendJSON(nil, JSONOptions{})), string(again.AppendJSON(nil, JSONOptions{})))
		requireLossless(t, &again, frame)
	}
}

func TestConstructorErrors(t *testing.T) {
	vin, at := VIN{}, time.Now()
	_, err := NewVehicleLogin2016(vin, at, 1, "123456789012345678901", StorageCodes{})
	require.ErrorIs(t, err, ErrText)
	_, err = NewVehicleLogin2025(vin, at, 1, "123456789012345678901", PackCodes{})
	require.ErrorIs(t, err, ErrText)
	_, err = NewPlatformLogin(Edition2016, vin, at, 1, "1234567890123", "")
	require.ErrorIs(t, err, ErrText)
	_, err = NewPlatformLogin(Edition2016, vin, at, 1, "", "一二三四五六七八九十十")
	require.ErrorIs(t, err, ErrText)
	_, err = NewAlert(Edition2016, vin, at, 1, "\xff")
	require.ErrorIs(t, err, ErrText)
	_, err = NewActivation(vin, at, "12345678901234567", nil, Signature2025{})
	require.ErrorIs(t, err, ErrText)
	_, err = MakePackCodes([]string{"1234567890123456789012345"})
	require.ErrorIs(t, err, ErrText)
	_, err = MakeStorageCodes(1, "\xff")
	require.ErrorIs(t, err, ErrText)
	var p Params
	var e *FieldError
	require.ErrorAs(t, p.AddNumber(Edition2025, ParamReportPeriod, 256), &e)
	require.ErrorAs(t, p.AddNumber(Edition2016, ParamHardwareVersion, 1), &e)
	require.ErrorAs(t, p.AddNumber(Edition2016, 0x90, 1), &e)
	require.ErrorAs(t, p.AddText(Edition2016, ParamReportPeriod, "1"), &e)
	require.ErrorAs(t, p.AddText(Edition2016, ParamHardwareVersion, "123456"), &e)
	require.ErrorAs(t, p.AddText(Edition2016, ParamPlatformDomain, strings.Repeat("a", 256)), &e)
	require.ErrorAs(t, p.AddText(Edition2016, ParamPlatformDomain, "\xff"), &e)
	require.Empty(t, p.Params)
}

// TestValues reads the worked example of a bus (2016 section 10.8) as a program would.
func TestValues(t *testing.T) {
	var m Message
	m.Decode(fixed(unhex(t, `232302fe4c5445535437323136393931343431313901007f120a1e142400
		01 01 03 01 0000 001b390b 1649 25da 39 02 3e 41b6 00 01
		02 01 01 04 28 4e20 4e20 28 0000 2710
		05 00 073d2708 01dcda6a
		06 01 3f 0cbf 01 5b 0cb2 01 02 46 01 4e 40
		07 00 00000000 00 00 00 00
		80 0030 00000003e803e8ffffffffffffffffffffffffffff1649feca00000000000000000000ffff00000000ff280028282802 00`)))
	u := m.Body.(*Realtime)
	at, ok := u.Time.Time()
	require.True(t, ok)
	require.Equal(t, "2018-10-30T20:36:00+08:00", at.Format(time.RFC3339))
	var got []string
	for _, item := range u.Info {
		switch v := item.(type) {
		case *Vehicle2016:
			got = append(got, v.SpeedValue().String(), v.MileageValue().String(), v.TotalVoltageValue().String(), v.TotalCurrentValue().String(), v.SOCValue().String(), v.InsulationResistanceValue().String())
		case *DriveMotors2016:
			got = append(got, v.Motors[0].ControllerTemperatureValue().String(), v.Motors[0].SpeedValue().String(), v.Motors[0].TorqueValue().String(), v.Motors[0].BusCurrentValue().String())
		case *Position2016:
			got = append(got, v.LongitudeValue().String(), v.LatitudeValue().String())
		case *Extremes2016:
			got = append(got, v.MaxCellVoltageValue().String(), v.MinTemperatureValue().String())
		case *Custom:
			got = append(got, fmt.Sprint(v.ItemType(), len(v.Data)))
		}
	}
	require.Equal(t, []string{"0.0", "178407.5", "570.5", "-31.0", "57", "16822", "0", "0", "0.0", "0.0", "121.448200", "31.251050", "3.263", "24", "128 48"}, got)

	v := Vehicle2016{Speed: 0xFFFE, TotalCurrent: 0xFFFF, SOC: 50}
	require.Equal(t, StateAbnormal, v.SpeedValue().State())
	require.Equal(t, "invalid", v.TotalCurrentValue().String())
	require.True(t, v.TotalCurrentValue().Float64() != v.TotalCurrentValue().Float64(), "NaN")
	require.Equal(t, 50.0, v.SOCValue().Float64())
	n, decimals := v.SOCValue().Scaled()
	require.Equal(t, []any{int64(50), 0, "valid"}, []any{n, decimals, v.SOCValue().State().String()})
	s := StorageVoltage2016{CellVoltages: MakeList16(3751, 0xFFFF)}
	require.Equal(t, "3.751", s.CellVoltageValue(0).String())
	require.Equal(t, 3.751, s.CellVoltageValue(0).Float64())
	require.Equal(t, "invalid", s.CellVoltageValue(1).String())
	south := Position2025{Status: 6, Longitude: 1, Latitude: 0}
	require.Equal(t, "-0.000001", south.LongitudeValue().String())
	require.Equal(t, "0.000000", south.LatitudeValue().String())
	p := Param{ID: ParamAlarmReportPeriod, Data: []byte{1}}
	require.Equal(t, "1000", p.Value(Edition2025).String())
	require.Equal(t, "alarmReportPeriod", p.Name())
	require.Equal(t, "1.0.0", Param{ID: ParamHardwareVersion, Data: []byte("1.0.0")}.Text())
}

func TestLists(t *testing.T) {
	l8, l16, l32 := MakeList8(1, 255), MakeList16(1, 65535), MakeList32(1, 4294967295)
	require.Equal(t, []int{2, 2, 2}, []int{l8.Len(), l16.Len(), l32.Len()})
	var all []string
	for i, v := range l8.All() {
		all = append(all, fmt.Sprint(i, v, l8.At(i)))
	}
	for i, v := range l16.All() {
		all = append(all, fmt.Sprint(i, v, l16.At(i)))
	}
	for i, v := range l32.All() {
		all = append(all, fmt.Sprint(i, v, l32.At(i)))
		if i == 0 {
			break
		}
	}
	require.Equal(t, []string{"0 1 1", "1 255 255", "0 1 1", "1 65535 65535", "0 1 1"}, all)
}

// TestDecodeHostile: the largest frames of the smallest items come back whole, and nothing that they took is kept.
func TestDecodeHostile(t *testing.T) {
	for _, item := range []string{"02ff", "fe0000", "0200", "040b", "0a", "09fe", "3100000000000000000000"} {
		unit := unitTime + strings.Repeat(item, 65525*2/len(item))
		for _, e := range []Edition{Edition2016, Edition2025} {
			frame := frameOf(t, e, CommandRealtime, FlagCommand, unit)
			var m Message
			requireLossless(t, &m, frame)
			m.Problems()
			m.Decode(frameOf(t, e, CommandRealtime, FlagCommand, unitTime))
			require.LessOrEqual(t, cap(m.bodies.realtime.Info), maxPooled, "what a hostile frame took is not kept")
			require.LessOrEqual(t, cap(m.json.scratch), maxScratch)
		}
	}
}
