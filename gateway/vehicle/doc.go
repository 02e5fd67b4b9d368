// Package vehicle simulates the peers of the gateway: vehicles with a T-Box, and enterprise
// platforms that relay many vehicles over one connection.
//
// A simulated [Vehicle] logs in, reports a plausible drive (speed, mileage, state of charge,
// position and cell voltages move together), sends heartbeats, answers parameter queries, settings
// and controls as a conforming terminal does, checks every answer it gets (flag, time, command) and
// logs out. A [Platform] does the same for its vehicles behind a platform login.
//
// A vehicle costs one goroutine and some 23 KB; thousands fit in one process. A [Script] breaks what a
// network and bad terminals break.
package vehicle
