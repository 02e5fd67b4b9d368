// Package flat writes stored frames as tables, one row a frame: CSV and Parquet.
//
// A row has what the gateway noted, the measurements that most vehicles send, as columns, and the whole
// JSON. [Columns] is the list; docs/reading.md shows it.
package flat

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Row is one frame. A nil pointer is a value that the frame does not have or marks as abnormal or invalid.
// The tags are the one place where columns are named and described.
type Row struct {
	ReceivedAt  *time.Time `parquet:"received_at,optional,timestamp(millisecond)" doc:"the gateway's clock"`
	CollectedAt *time.Time `parquet:"collected_at,optional,timestamp(millisecond)" doc:"the frame's time"`
	VIN         string     `parquet:"vin,dict" doc:"VIN, or a platform's code"`
	Edition     int32      `parquet:"edition" doc:"2016 or 2025"`
	Command     string     `parquet:"command,dict" doc:"as in the JSON: realtime, reissue, …"`
	Flag        string     `parquet:"flag,dict" doc:"response flag"`
	Node        string     `parquet:"node,dict" doc:"the gateway"`
	Session     string     `parquet:"session,dict" doc:"login, 16 hex digits"`
	Remote      string     `parquet:"remote,dict" doc:"the peer"`
	Platform    *string    `parquet:"platform,optional,dict" doc:"the platform that relayed it"`
	Duplicate   bool       `parquet:"duplicate" doc:"repeats a stored frame"`
	Masked      bool       `parquet:"masked" doc:"secrets are left out"`

	VehicleState         *int32   `parquet:"vehicle_state,optional" item:"vehicle.vehicleState" doc:"vehicle state"`
	ChargeState          *int32   `parquet:"charge_state,optional" item:"vehicle.chargeState" doc:"charge state"`
	RunMode              *int32   `parquet:"run_mode,optional" item:"vehicle.runMode" doc:"run mode"`
	Speed                *float64 `parquet:"speed,optional" item:"vehicle.speed" doc:"km/h"`
	Mileage              *float64 `parquet:"mileage,optional" item:"vehicle.mileage" doc:"km"`
	TotalVoltage         *float64 `parquet:"total_voltage,optional" item:"vehicle.totalVoltage" doc:"V"`
	TotalCurrent         *float64 `parquet:"total_current,optional" item:"vehicle.totalCurrent" doc:"A"`
	SOC                  *float64 `parquet:"soc,optional" item:"vehicle.soc" doc:"%"`
	DCDCState            *int32   `parquet:"dcdc_state,optional" item:"vehicle.dcdcState" doc:"DC-DC converter state"`
	Gear                 *int32   `parquet:"gear,optional" item:"vehicle.gear" doc:"gear byte"`
	InsulationResistance *float64 `parquet:"insulation_resistance,optional" item:"vehicle.insulationResistance" doc:"kΩ"`

	MotorState                 *int32   `parquet:"motor_state,optional" item:"driveMotors.motors[0].state" doc:"of the first drive motor"`
	MotorSpeed                 *float64 `parquet:"motor_speed,optional" item:"driveMotors.motors[0].speed" doc:"r/min"`
	MotorTorque                *float64 `parquet:"motor_torque,optional" item:"driveMotors.motors[0].torque" doc:"N·m"`
	MotorTemperature           *float64 `parquet:"motor_temperature,optional" item:"driveMotors.motors[0].temperature" doc:"°C"`
	MotorControllerTemperature *float64 `parquet:"motor_controller_temperature,optional" item:"driveMotors.motors[0].controllerTemperature" doc:"°C"`

	EngineState     *int32   `parquet:"engine_state,optional" item:"engine.state" doc:"engine state (2016)"`
	CrankshaftSpeed *float64 `parquet:"crankshaft_speed,optional" item:"engine.crankshaftSpeed" doc:"r/min"`
	FuelConsumption *float64 `parquet:"fuel_consumption,optional" item:"engine.fuelConsumption" doc:"L/100 km (2016)"`

	Longitude        *float64 `parquet:"longitude,optional" item:"position.longitude" doc:"°, west is negative"`
	Latitude         *float64 `parquet:"latitude,optional" item:"position.latitude" doc:"°, south is negative"`
	PositionValid    *bool    `parquet:"position_valid,optional" item:"position._valid" doc:"the position was fixed"`
	CoordinateSystem *int32   `parquet:"coordinate_system,optional" item:"position.coordinateSystem" doc:"2025 edition"`

	MaxCellVoltage *float64 `parquet:"max_cell_voltage,optional" item:"extremes.maxCellVoltage" doc:"V (2016)"`
	MinCellVoltage *float64 `parquet:"min_cell_voltage,optional" item:"extremes.minCellVoltage" doc:"V (2016)"`
	MaxTemperature *float64 `parquet:"max_temperature,optional" item:"extremes.maxTemperature" doc:"°C (2016)"`
	MinTemperature *float64 `parquet:"min_temperature,optional" item:"extremes.minTemperature" doc:"°C (2016)"`

	AlarmLevel *int32 `parquet:"alarm_level,optional" item:"alarms.highestLevel" doc:"highest alarm level"`
	AlarmFlags *int64 `parquet:"alarm_flags,optional" item:"alarms.flags" doc:"general alarm bits"`

	JSON string `parquet:"json" doc:"the whole frame"`
}

// Column describes a column.
type Column struct {
	Name string // in CSV's head and Parquet's schema
	Item string // where it stands in the info items: "vehicle.speed", or ""
	Type string // text, time, integer, number, boolean
	Doc  string
}

// Columns lists the columns in their order.
func Columns() []Column {
	t := reflect.TypeFor[Row]()
	columns := make([]Column, t.NumField())
	for i := range columns {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		columns[i] = Column{Name: name, Item: f.Tag.Get("item"), Type: typeName(f.Type), Doc: f.Tag.Get("doc")}
	}
	return columns
}

func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	}
	return "time"
}

// frame is what a row takes of a frame's JSON.
type frame struct {
	Edition    int32      `json:"edition"`
	Command    string     `json:"command"`
	Flag       string     `json:"flag"`
	VIN        string     `json:"vin"`
	Time       *time.Time `json:"time"`
	Info       []item     `json:"info"`
	ReceivedAt *time.Time `json:"receivedAt"`
	Node       string     `json:"node"`
	Session    string     `json:"session"`
	Remote     string     `json:"remote"`
	Platform   *string    `json:"platform"`
	Duplicate  bool       `json:"duplicate"`
	Masked     bool       `json:"masked"`
}

// item is the keys of all info items together; the names that two of them share mean the same or are told
// apart by the type.
type item struct {
	Type                 string   `json:"type"`
	VehicleState         *int32   `json:"vehicleState"`
	ChargeState          *int32   `json:"chargeState"`
	RunMode              *int32   `json:"runMode"`
	Speed                *float64 `json:"speed"`
	Mileage              *float64 `json:"mileage"`
	TotalVoltage         *float64 `json:"totalVoltage"`
	TotalCurrent         *float64 `json:"totalCurrent"`
	SOC                  *float64 `json:"soc"`
	DCDCState            *int32   `json:"dcdcState"`
	Gear                 *int32   `json:"gear"`
	InsulationResistance *float64 `json:"insulationResistance"`
	Motors               []struct {
		State                 *int32   `json:"state"`
		Speed                 *float64 `json:"speed"`
		Torque                *float64 `json:"torque"`
		Temperature           *float64 `json:"temperature"`
		ControllerTemperature *float64 `json:"controllerTemperature"`
	} `json:"motors"`
	State            *int32   `json:"state"`
	CrankshaftSpeed  *float64 `json:"crankshaftSpeed"`
	FuelConsumption  *float64 `json:"fuelConsumption"`
	Longitude        *float64 `json:"longitude"`
	Latitude         *float64 `json:"latitude"`
	Valid            *bool    `json:"_valid"`
	CoordinateSystem *int32   `json:"coordinateSystem"`
	MaxCellVoltage   *float64 `json:"maxCellVoltage"`
	MinCellVoltage   *float64 `json:"minCellVoltage"`
	MaxTemperature   *float64 `json:"maxTemperature"`
	MinTemperature   *float64 `json:"minTemperature"`
	HighestLevel     *int32   `json:"highestLevel"`
	Flags            *int64   `json:"flags"`
}

// FromJSON makes the row of a frame's JSON. Of an info item that stands twice the first counts.
func FromJSON(line []byte) (Row, error) {
	var f frame
	if err := json.Unmarshal(line, &f); err != nil {
		return Row{}, fmt.Errorf("flat: a frame's JSON: %w", err)
	}
	r := Row{
		ReceivedAt: f.ReceivedAt, CollectedAt: f.Time, VIN: f.VIN, Edition: f.Edition, Command: f.Command, Flag: f.Flag,
		Node: f.Node, Session: f.Session, Remote: f.Remote, Platform: f.Platform, Duplicate: f.Duplicate, Masked: f.Masked,
		JSON: string(line),
	}
	for i := len(f.Info) - 1; i >= 0; i-- {
		r.take(&f.Info[i])
	}
	return r, nil
}

func (r *Row) take(v *item) {
	switch v.Type {
	case "vehicle":
		r.VehicleState, r.ChargeState, r.RunMode, r.Speed, r.Mileage = v.VehicleState, v.ChargeState, v.RunMode, v.Speed, v.Mileage
		r.TotalVoltage, r.TotalCurrent, r.SOC, r.DCDCState, r.Gear = v.TotalVoltage, v.TotalCurrent, v.SOC, v.DCDCState, v.Gear
		r.InsulationResistance = v.InsulationResistance
	case "driveMotors":
		if len(v.Motors) > 0 {
			m := v.Motors[0]
			r.MotorState, r.MotorSpeed, r.MotorTorque = m.State, m.Speed, m.Torque
			r.MotorTemperature, r.MotorControllerTemperature = m.Temperature, m.ControllerTemperature
		}
	case "engine":
		r.EngineState, r.CrankshaftSpeed, r.FuelConsumption = v.State, v.CrankshaftSpeed, v.FuelConsumption
	case "position":
		r.Longitude, r.Latitude, r.PositionValid, r.CoordinateSystem = v.Longitude, v.Latitude, v.Valid, v.CoordinateSystem
	case "extremes":
		r.MaxCellVoltage, r.MinCellVoltage, r.MaxTemperature, r.MinTemperature = v.MaxCellVoltage, v.MinCellVoltage, v.MaxTemperature, v.MinTemperature
	case "alarms":
		r.AlarmLevel, r.AlarmFlags = v.HighestLevel, v.Flags
	}
}
