package fuzz

// item2025 reads the body of an info item, 2025 tables 8 to 27, and reports whether the type is
// known.
func (it *item) item2025(c *cursor, kind byte) bool {
	o := it.object
	cells := measure{key: "cellVoltages", width: 2, decimals: 3, hi: 60000}
	switch kind {
	case 0x01:
		o["type"] = "vehicle"
		it.fields(c, o, "",
			raw8("vehicleState"), raw8("chargeState"), raw8("runMode"),
			measure{key: "speed", width: 2, decimals: 1, hi: 5000},
			measure{key: "mileage", width: 4, decimals: 1, hi: 9999999},
			measure{key: "totalVoltage", width: 2, decimals: 1, hi: 60000},
			measure{key: "totalCurrent", width: 2, decimals: 1, offset: -30000, hi: 60000},
			measure{key: "soc", width: 1, hi: 100},
			raw8("dcdcState"), raw8("gear"),
			measure{key: "insulationResistance", width: 2, hi: 60000})
	case 0x02:
		o["type"] = "driveMotors"
		it.records(c, "motors", func(o object, prefix string) {
			it.fields(c, o, prefix,
				measure{key: "number", width: 1, lo: 1, hi: 253},
				raw8("state"), temp("controllerTemperature", 250),
				measure{key: "speed", width: 2, offset: -32000, hi: 65531},
				measure{key: "torque", width: 4, decimals: 1, offset: -200000, hi: 400000},
				temp("temperature", 250))
		})
	case 0x03:
		o["type"] = "fuelCell"
		it.fields(c, o, "",
			measure{key: "hydrogenMaxTemperature", width: 2, offset: -40, hi: 250},
			measure{key: "hydrogenMaxTemperatureProbe", width: 1, lo: 1, hi: 253},
			measure{key: "hydrogenMaxConcentration", width: 2, decimals: 4, hi: 60000},
			measure{key: "hydrogenMaxConcentrationSensor", width: 1, lo: 1, hi: 253},
			measure{key: "hydrogenMaxPressure", width: 2, decimals: 1, hi: 1000},
			measure{key: "hydrogenMaxPressureSensor", width: 1, lo: 1, hi: 253},
			raw8("dcdcState"),
			measure{key: "hydrogenRemaining", width: 1, hi: 100},
			temp("dcdcControllerTemperature", 250))
	case 0x04:
		o["type"] = "engine"
		it.fields(c, o, "", measure{key: "crankshaftSpeed", width: 2, hi: 60000})
	case 0x05:
		o["type"] = "position"
		status := c.uint(1)
		o["status"], o["coordinateSystem"] = whole(status), whole(c.uint(1))
		it.degrees(c, "longitude", status&4 != 0, 180000000)
		it.degrees(c, "latitude", status&2 != 0, 90000000)
	case 0x06:
		o["type"] = "alarms"
		it.fields(c, o, "", raw8("highestLevel"), raw32("flags"))
		for _, key := range []string{"storageFaults", "motorFaults", "engineFaults", "otherFaults"} {
			it.rawList(c, key, 4)
		}
		it.records(c, "alarmLevels", func(o object, prefix string) {
			it.fields(c, o, prefix, raw8("bit"), raw8("level"))
		})
	case 0x07:
		o["type"] = "cellVoltages"
		it.records(c, "packs", func(o object, prefix string) {
			it.fields(c, o, prefix,
				measure{key: "number", width: 1, lo: 1, hi: 50},
				measure{key: "voltage", width: 2, decimals: 1, hi: 60000},
				measure{key: "current", width: 2, decimals: 1, offset: -30000, hi: 60000})
			it.list(c, o, prefix, c.count(o, "cellVoltages", 2), cells)
		})
	case 0x08:
		o["type"] = "packTemperatures"
		it.records(c, "packs", func(o object, prefix string) {
			it.fields(c, o, prefix, measure{key: "number", width: 1, lo: 1, hi: 50})
			it.list(c, o, prefix, c.count(o, "temperatures", 2), temp("temperatures", 250))
		})
	case 0x30:
		o["type"] = "fuelCellStacks"
		it.records(c, "stacks", func(o object, prefix string) {
			it.fields(c, o, prefix,
				measure{key: "number", width: 1, lo: 1, hi: 253},
				measure{key: "voltage", width: 2, decimals: 1, hi: 20000},
				measure{key: "current", width: 2, decimals: 1, hi: 20000},
				measure{key: "hydrogenInletPressure", width: 2, decimals: 1, offset: -1000, hi: 5000},
				measure{key: "airInletPressure", width: 2, decimals: 1, offset: -1000, hi: 5000},
				temp("airInletTemperature", 250))
			it.list(c, o, prefix, c.count(o, "coolantTemperatures", 2), temp("coolantTemperatures", 250))
		})
	case 0x31:
		o["type"] = "supercapacitor"
		it.fields(c, o, "",
			measure{key: "number", width: 1, lo: 1, hi: 253},
			measure{key: "voltage", width: 2, decimals: 1, hi: 10000},
			measure{key: "current", width: 2, decimals: 1, offset: -30000, hi: 60000})
		it.list(c, o, "", c.count(o, "cellVoltages", 2), cells)
		it.list(c, o, "", c.count(o, "temperatures", 2), temp("temperatures", 250))
	case 0x32:
		o["type"] = "supercapacitorExtremes"
		system := func(key string) measure { return measure{key: key, width: 1, lo: 1, hi: 253} }
		code := func(key string) measure { return measure{key: key, width: 2, lo: 1, hi: 65531} }
		volt := func(key string) measure { return measure{key: key, width: 2, decimals: 3, hi: 60000} }
		it.fields(c, o, "",
			system("maxVoltageSystem"), code("maxVoltageCell"), volt("maxCellVoltage"),
			system("minVoltageSystem"), code("minVoltageCell"), volt("minCellVoltage"),
			system("maxTemperatureSystem"), code("maxTemperatureProbe"), temp("maxTemperature", 250),
			system("minTemperatureSystem"), code("minTemperatureProbe"), temp("minTemperature", 250))
	case 0xFF:
		o["type"] = "signature"
		o["algorithm"] = whole(c.uint(1))
		o["r"] = hexOf(c)
		o["s"] = hexOf(c)
	default:
		if kind < 0x80 {
			return false
		}
		it.custom(c, kind)
	}
	return true
}
