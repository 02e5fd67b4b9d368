package codec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The rows are those of the standard's tables: 2016 B.12, 2025 B.8.
func TestParamInfo(t *testing.T) {
	for _, tt := range []struct {
		e    Edition
		want ParamInfo
	}{
		{Edition2016, ParamInfo{ID: 1, Name: "storagePeriod", Doc: "local storage period", Size: 2, Unit: "ms", Max: 60000, Step: 1}},
		{Edition2016, ParamInfo{ID: 2, Name: "reportPeriod", Doc: "normal report period", Size: 2, Unit: "s", Min: 1, Max: 600, Step: 1}},
		{Edition2025, ParamInfo{ID: 2, Name: "reportPeriod", Doc: "normal report period", Size: 1, Unit: "s", Min: 1, Max: 30, Step: 1}},
		{Edition2025, ParamInfo{ID: 3, Name: "alarmReportPeriod", Doc: "report period during an alarm", Size: 1, Unit: "ms", Max: 1000, Step: 1000}},
		{Edition2016, ParamInfo{ID: 4, Name: "platformDomainLength", Doc: "length of the management platform's domain", Size: 1, Max: 255, Step: 1}},
		{Edition2016, ParamInfo{ID: 5, Name: "platformDomain", Doc: "domain of the management platform", Text: true, LengthID: 4}},
		{Edition2025, ParamInfo{ID: 7, Name: "hardwareVersion", Doc: "hardware version", Text: true, Size: 5, ReadOnly: true}},
		{Edition2025, ParamInfo{ID: 12, Name: "loginRetryInterval", Doc: "wait after three failed logins", Size: 1, Unit: "min", Min: 1, Max: 240, Step: 1}},
		{Edition2016, ParamInfo{ID: 16, Name: "sampling", Doc: "under sampling monitoring", Size: 1, Min: 1, Max: 2, Step: 1,
			Values: []ParamValue{{1, "yes"}, {2, "no"}}}},
	} {
		got, ok := ParamInfoOf(tt.e, tt.want.ID)
		require.True(t, ok)
		require.Equal(t, tt.want, got)
	}
	for _, id := range []uint8{0, 17, 0x80, 255} {
		_, ok := ParamInfoOf(Edition2016, id)
		require.False(t, ok)
	}
	for id := ParamStoragePeriod; id <= ParamSampling; id++ {
		got, ok := ParamByName(Param{ID: id}.Name())
		require.True(t, ok)
		require.Equal(t, id, got)
	}
	_, ok := ParamByName("")
	require.False(t, ok)
}

func TestControlNames(t *testing.T) {
	for id := ControlUpgrade; id <= ControlSampling; id++ {
		got, ok := ControlByName(id.Name())
		require.True(t, ok)
		require.Equal(t, id, got)
	}
	require.Equal(t, "factoryReset", ControlFactoryReset.Name())
	require.Empty(t, ControlID(0).Name())
	require.Empty(t, ControlID(8).Name())
	_, ok := ControlByName("")
	require.False(t, ok)
}
