package main

// examples are what --help shows of each command, by its name: lines that can be typed as they stand, once files and
// vehicles of these names exist.
func examples() map[string]string {
	return map[string]string{
		"tboxgate serve": "tboxgate serve --dev --data-dir tboxgate-data      to try it out\n" +
			"tboxgate serve --config /etc/tboxgate/tboxgate.yaml",
		"tboxgate decode": "tboxgate decode --pretty 232307fe4c54455354343433373233303434363035010000a4\n" +
			"tboxgate decode --pcap vehicle.pcap --port 8999 --dissect",
		"tboxgate encode": "tboxgate decode frames.hex | tboxgate encode",
		"tboxgate simulate": "tboxgate simulate --vehicles 3\n" +
			"tboxgate simulate --addr gw.example:8998 --tls --ca ca.crt --edition both --duration 1m",
		"tboxgate probe": "tboxgate probe --vin LTEST000000000101 --vins 8 127.0.0.1:8999\n" +
			"tboxgate probe --case 'answer.*' --format junit gw.example:8999",

		"tboxgate send":                      "tboxgate send --vin LTEST000000000001 --json command.json",
		"tboxgate send query":                "tboxgate send query --vin LTEST000000000001 --params reportPeriod,heartbeatPeriod",
		"tboxgate send set":                  "tboxgate send set --vin LTEST000000000001 --set reportPeriod=10 --set heartbeatPeriod=2m",
		"tboxgate send control":              "tboxgate send control --vin LTEST000000000001 --id 130 --data 01ff",
		"tboxgate send control upgrade":      "tboxgate send control upgrade --vin LTEST000000000001 --url ftp://updates.example/t.bin --firmware-version 1.2.3",
		"tboxgate send control shutdown":     "tboxgate send control shutdown --vin LTEST000000000001",
		"tboxgate send control reset":        "tboxgate send control reset --vin LTEST000000000001",
		"tboxgate send control factoryReset": "tboxgate send control factoryReset --vin LTEST000000000001",
		"tboxgate send control disconnect":   "tboxgate send control disconnect --vin LTEST000000000001",
		"tboxgate send control alarm":        "tboxgate send control alarm --vin LTEST000000000001 --level 2 --message 'Stop safely'",
		"tboxgate send control sampling":     "tboxgate send control sampling --vin LTEST000000000001",

		"tboxgate status": "tboxgate status --data-dir /var/lib/tboxgate\n" +
			"tboxgate status --ready",
		"tboxgate tail": "tboxgate tail --vin LTEST000000000001 --command realtime --follow\n" +
			"tboxgate tail --vin LTEST000000000001 --since 1h --raw | tboxgate decode --dissect",
		"tboxgate export": "tboxgate export --since 24h --format parquet --output day.parquet",
		"tboxgate gaps":   "tboxgate gaps --vin LTEST000000000001 --since 7d --period 10s",
		"tboxgate last":   "tboxgate last --vin LTEST000000000001",

		"tboxgate sessions list":   "tboxgate sessions list --json",
		"tboxgate sessions show":   "tboxgate sessions show LTEST000000000001",
		"tboxgate sessions kick":   "tboxgate sessions kick LTEST000000000001",
		"tboxgate fleet summary":   "tboxgate fleet summary",
		"tboxgate fleet silent":    "tboxgate fleet silent --for 24h --never",
		"tboxgate fleet clock":     "tboxgate fleet clock --off 5m",
		"tboxgate fleet encrypted": "tboxgate fleet encrypted --json",
		"tboxgate trace":           "tboxgate trace --vin LTEST000000000001 --dump",

		"tboxgate vehicles import":  "tboxgate vehicles import vins.csv\n" + "echo LTEST000000000001 | tboxgate vehicles import",
		"tboxgate vehicles list":    "tboxgate vehicles list --json",
		"tboxgate vehicles disable": "tboxgate vehicles disable LTEST000000000001",
		"tboxgate vehicles enable":  "tboxgate vehicles enable LTEST000000000001",
		"tboxgate vehicles delete":  "tboxgate vehicles delete LTEST000000000001",
		"tboxgate vehicles erase":   "tboxgate vehicles erase LTEST000000000001",
		"tboxgate devices create":   "tboxgate devices create --name charger-1",
		"tboxgate devices import":   "tboxgate devices import devices.csv > secrets.csv",
		"tboxgate devices list":     "tboxgate devices list --json",
		"tboxgate devices disable":  "tboxgate devices disable charger-1",
		"tboxgate devices enable":   "tboxgate devices enable charger-1",
		"tboxgate devices delete":   "tboxgate devices delete charger-1",
		"tboxgate platforms create": "tboxgate platforms create --code TESTPLATFORM00001 --user platform < password.txt",
		"tboxgate platforms list":   "tboxgate platforms list",
		"tboxgate platforms delete": "tboxgate platforms delete TESTPLATFORM00001",
		"tboxgate keys create":      "tboxgate keys create --id reader --allow read --expires 12h",
		"tboxgate keys list":        "tboxgate keys list",
		"tboxgate keys disable":     "tboxgate keys disable reader",
		"tboxgate keys enable":      "tboxgate keys enable reader",
		"tboxgate keys delete":      "tboxgate keys delete reader",

		"tboxgate backup":       "tboxgate backup --data-dir /var/lib/tboxgate tboxgate.tar",
		"tboxgate restore":      "tboxgate restore --data-dir /var/lib/tboxgate tboxgate.tar",
		"tboxgate config check": "tboxgate config check --config /etc/tboxgate/tboxgate.yaml",
		"tboxgate config print": "tboxgate config print --config /etc/tboxgate/tboxgate.yaml",
		"tboxgate completion":   "source <(tboxgate completion bash)",
	}
}
