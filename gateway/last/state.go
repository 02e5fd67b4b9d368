package last

import (
	"encoding/json"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// State is the last known state of a vehicle: the value of its key in the bucket. Each group of measurements is
// that of the newest report that has it, by collection time. docs/schema is made of it.
type State struct {
	VIN        string            `json:"vin" schema:"vin"`
	Edition    codec.Edition     `json:"edition"`
	Time       time.Time         `json:"time" schema:"wireTime"` // the newest report's, +08:00
	ReceivedAt session.Timestamp `json:"receivedAt"`
	Node       string            `json:"node"`
	Session    string            `json:"session" schema:"session"`
	Platform   string            `json:"platform,omitempty"`
	Vehicle    *Vehicle          `json:"vehicle,omitempty"`
	Position   *Position         `json:"position,omitempty"`
	Alarms     *Alarms           `json:"alarms,omitempty"`
	Frame      json.RawMessage   `json:"frame" schema:"frame"` // the newest report, as it stands in the stream
}

// Vehicle is taken of the info item vehicle. null is an abnormal or invalid mark.
type Vehicle struct {
	Time         time.Time    `json:"time" schema:"wireTime"`
	VehicleState *int32       `json:"vehicleState"`
	ChargeState  *int32       `json:"chargeState"`
	RunMode      *int32       `json:"runMode"`
	Speed        *json.Number `json:"speed"`        // km/h
	Mileage      *json.Number `json:"mileage"`      // km
	TotalVoltage *json.Number `json:"totalVoltage"` // V
	TotalCurrent *json.Number `json:"totalCurrent"` // A
	SOC          *json.Number `json:"soc"`          // %
	Gear         *int32       `json:"gear"`
}

// Position is taken of the info item position.
type Position struct {
	Time      time.Time    `json:"time" schema:"wireTime"`
	Longitude *json.Number `json:"longitude"` // °, west is negative
	Latitude  *json.Number `json:"latitude"`  // °, south is negative
	Valid     bool         `json:"valid"`     // it was fixed; else the last that was
}

// Alarms is taken of the info item alarms.
type Alarms struct {
	Time         time.Time `json:"time" schema:"wireTime"`
	HighestLevel *int32    `json:"highestLevel"`
	Flags        *int64    `json:"flags"`
}

// frame is what of a report's JSON goes into a state.
type frame struct {
	Info []item `json:"info"`
}

type item struct {
	Type string `json:"type"`
	Vehicle
	Longitude    *json.Number `json:"longitude"`
	Latitude     *json.Number `json:"latitude"`
	Valid        bool         `json:"_valid"`
	HighestLevel *int32       `json:"highestLevel"`
	Flags        *int64       `json:"flags"`
}

// maxAhead is how far a vehicle's clock may be ahead for a report of it to count as the newest.
const maxAhead = 24 * time.Hour

// newer reports whether a report collected at the given time takes the place of the one in s.
func (s *State) newer(at, received time.Time) bool {
	if s.Frame == nil {
		return true
	}
	if s.Time.After(s.ReceivedAt.Add(maxAhead)) { // what stands there was no real time
		return true
	}
	return !at.Before(s.Time) && !at.After(received.Add(maxAhead))
}

// take puts a report into the state and reports false when it is older than what is there.
func (s *State) take(r *stream.Record, m *codec.Message) bool {
	at, ok := r.CollectedAt()
	if !ok || !s.newer(at, r.ReceivedAt) {
		return false
	}
	body := r.AppendJSON(nil, m)
	var f frame
	if err := json.Unmarshal(body, &f); err != nil {
		return false // no frame's JSON: what cannot be read is no state
	}
	s.VIN, s.Edition, s.Time, s.ReceivedAt = r.VIN.String(), r.Edition, at, session.At(r.ReceivedAt)
	s.Node, s.Session, s.Platform, s.Frame = r.Node, session.FormatID(r.Session), r.Platform, body
	for i := range f.Info {
		switch v := &f.Info[i]; v.Type {
		case "vehicle":
			s.Vehicle = &v.Vehicle
			s.Vehicle.Time = at
		case "position":
			s.Position = &Position{at, v.Longitude, v.Latitude, v.Valid}
		case "alarms":
			s.Alarms = &Alarms{at, v.HighestLevel, v.Flags}
		}
	}
	return true
}
