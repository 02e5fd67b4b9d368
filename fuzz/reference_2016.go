package fuzz

// raw8, raw16 and raw32 are raw integers; temp is a temperature in one byte, degrees Celsius + 40.
func raw8(key string) measure  { return measure{key: key, width: 1} }
func raw32(key string) measure { return measure{key: key, width: 4} }
func temp(key string, hi uint64) measure {
	return measure{key: key, width: 1, offset: -40, hi: hi}
}

// item2016 reads the body of an info item, 2016 tables 9 to 19 and B.4 to B.8, and reports whether
// the type is known.
func (it *item) item2016(c *cursor, kind byte) bool {
	o := it.object
	switch kind {
	case 0x01:
		o["type"] = "vehicle"
		it.fields(c, o, "",
			raw8("vehicleState"), raw8("chargeState"), raw8("runMode"),
			measure{key: "speed", width: 2, decimals: 1, hi: 2200},
			measure{key: "mileage", width: 4, decimals: 1, hi: 9999999},
			measure{key: "totalVoltage", width: 2, decimals: 1, hi: 10000},
			measure{key: "totalCurrent", width: 2, decimals: 1, offset: -10000, hi: 20000},
			measure{key: "soc", width: 1, hi: 100},
			raw8("dcdcState"), raw8("gear"),
			measure{key: "insulationResistance", width: 2, hi: 60000},
			measure{key: "acceleratorPedal", width: 1, hi: 100},
			measure{key: "brakePedal", width: 1, hi: 101})
	case 0x02:
		o["type"] = "driveMotors"
		it.records(c, "motors", func(o object, prefix string) {
			it.fields(c, o, prefix,
				measure{key: "number", width: 1, lo: 1, hi: 253},
				raw8("state"), temp("controllerTemperature", 250),
				measure{key: "speed", width: 2, offset: -20000, hi: 65531},
				measure{key: "torque", width: 2, decimals: 1, offset: -20000, hi: 65531},
				temp("temperature", 250),
				measure{key: "inputVoltage", width: 2, decimals: 1, hi: 60000},
				measure{key: "busCurrent", width: 2, decimals: 1, offset: -10000, hi: 20000})
		})
	case 0x03:
		o["type"] = "fuelCell"
		it.fields(c, o, "",
			measure{key: "voltage", width: 2, decimals: 1, hi: 20000},
			measure{key: "current", width: 2, decimals: 1, hi: 20000},
			measure{key: "fuelConsumption", width: 2, decimals: 2, hi: 60000})
		n := c.count(o, "probeTemperatures", 2)
		it.list(c, o, "", n, temp("probeTemperatures", 240))
		it.fields(c, o, "",
			measure{key: "hydrogenMaxTemperature", width: 2, decimals: 1, offset: -400, hi: 2400},
			measure{key: "hydrogenMaxTemperatureProbe", width: 1, lo: 1, hi: 252},
			measure{key: "hydrogenMaxConcentration", width: 2, hi: 60000},
			measure{key: "hydrogenMaxConcentrationSensor", width: 1, lo: 1, hi: 252},
			measure{key: "hydrogenMaxPressure", width: 2, decimals: 1, hi: 1000},
			measure{key: "hydrogenMaxPressureSensor", width: 1, lo: 1, hi: 252},
			raw8("dcdcState"))
	case 0x04:
		o["type"] = "engine"
		it.fields(c, o, "",
			raw8("state"),
			measure{key: "crankshaftSpeed", width: 2, hi: 60000},
			measure{key: "fuelConsumption", width: 2, decimals: 2, hi: 60000})
	case 0x05:
		o["type"] = "position"
		status := c.uint(1)
		o["status"] = whole(status)
		it.degrees(c, "longitude", status&4 != 0, 180000000)
		it.degrees(c, "latitude", status&2 != 0, 90000000)
	case 0x06:
		o["type"] = "extremes"
		number := func(key string) measure { return measure{key: key, width: 1, lo: 1, hi: 250} }
		volt := func(key string) measure { return measure{key: key, width: 2, decimals: 3, hi: 15000} }
		it.fields(c, o, "",
			number("maxVoltageSubsystem"), number("maxVoltageCell"), volt("maxCellVoltage"),
			number("minVoltageSubsystem"), number("minVoltageCell"), volt("minCellVoltage"),
			number("maxTemperatureSubsystem"), number("maxTemperatureProbe"), temp("maxTemperature", 250),
			number("minTemperatureSubsystem"), number("minTemperatureProbe"), temp("minTemperature", 250))
	case 0x07:
		o["type"] = "alarms"
		it.fields(c, o, "", raw8("highestLevel"), raw32("flags"))
		for _, key := range []string{"storageFaults", "motorFaults", "engineFaults", "otherFaults"} {
			it.rawList(c, key, 4)
		}
	case 0x08:
		o["type"] = "storageVoltages"
		it.records(c, "subsystems", func(o object, prefix string) {
			it.fields(c, o, prefix,
				measure{key: "number", width: 1, lo: 1, hi: 250},
				measure{key: "voltage", width: 2, decimals: 1, hi: 10000},
				measure{key: "current", width: 2, decimals: 1, offset: -10000, hi: 20000},
				measure{key: "cellCount", width: 2, lo: 1, hi: 65531},
				measure{key: "firstCell", width: 2, lo: 1, hi: 65531})
			// The number of cells in this frame is always a count, 254 and 255 too.
			it.list(c, o, prefix, int(c.uint(1)), measure{key: "cellVoltages", width: 2, decimals: 3, hi: 60000})
		})
	case 0x09:
		o["type"] = "storageTemperatures"
		it.records(c, "subsystems", func(o object, prefix string) {
			it.fields(c, o, prefix, measure{key: "number", width: 1, lo: 1, hi: 250})
			it.list(c, o, prefix, c.count(o, "temperatures", 2), temp("temperatures", 250))
		})
	default:
		if kind < 0x80 || kind > 0xFE {
			return false
		}
		it.custom(c, kind)
	}
	return true
}
