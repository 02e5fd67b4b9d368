// Package vehicle simulates the peers of the gateway: vehicles with a T-Box, and enterprise
// platforms that relay many vehicles over one connection.
//
// A simulated [Vehicle] logs in, reports a plausible drive (speed, mileage, state of charge,
// position and cell voltages move together), sends heartbeats, answers parameter queries, settings
// and controls as a conforming terminal does, checks every answer it gets (flag, time, command) and
// logs out. A [Platform] does the same for its vehicles behind a platform login.
//
// It is made for `tboxgate simulate` and for tests, not for load: one connection costs two
// goroutines.
package vehicle
