package codec

import "strconv"

// header takes the header of the frame.
func (d *dissector) header(m *Message) []Node {
	start := d.leaf(KindText, "start", "start mark", "起始符", 2)
	start.Value = string(d.frame[:2])
	start.Meaning = "GB/T 32960.3-" + editionText(d.edition)
	command := d.number("command", "command", "命令标识", 1)
	command.Meaning = named(m.Command.Name(d.edition), commandChinese(d.edition, m.Command))
	flag := d.number("flag", "response flag", "应答标志", 1)
	flag.Meaning = named(m.Flag.String(), flagChinese(m.Flag))
	vin := d.text("vin", "VIN or unique code", "唯一识别码", VINSize, 0)
	encryption := d.number("encryption", "encryption of the data unit", "数据单元加密方式", 1)
	encryption.Meaning = named(m.Encryption.String(), encryptionChinese(m.Encryption))
	length := d.number("length", "length of the data unit", "数据单元长度", 2)
	length.Unit = "bytes"
	switch why := m.pass.fault; {
	case why.list != "":
	case why.key == "command":
		d.odd(&command, why.code)
	case why.key == "encryption":
		d.odd(&encryption, why.code)
	}
	return []Node{start, command, flag, vin, encryption, length}
}

// unit takes the data unit.
func (d *dissector) unit(m *Message) []Node {
	nodes := d.body(m)
	why := m.pass.fault
	switch {
	case why.list != "":
		return append(nodes, d.broken(m))
	case why.code == CodeTruncated || why.code == CodeCountMismatch:
		// What is left belongs to the field that it does not fill.
		name, zh := d.nameOf(m, why.key)
		n := d.rest(why.key, name, zh)
		d.odd(&n, why.code)
		return append(nodes, n)
	case why.key == "rest":
		n := d.rest("rest", "not decoded", "未解析数据")
		d.odd(&n, why.code)
		return append(nodes, n)
	case len(d.left()) > 0:
		return append(nodes, d.rest("rest", "not decoded", "未解析数据"))
	}
	return nodes
}

// body takes the fields that Decode found.
func (d *dissector) body(m *Message) []Node {
	if m.Body == nil {
		return nil
	}
	keys := m.Body.keyCount() - m.Missing
	switch u := m.Body.(type) {
	case *Realtime:
		return d.realtime(u, keys)
	case *ParamQuery:
		return d.paramQuery(keys)
	case *Params:
		return d.params(u, keys)
	case *Control:
		return d.control(u, keys)
	case *TimeOnly:
		return []Node{d.unitTime()}
	}
	spec := unitSpecOf(d.edition, m.Command)
	return d.fields(spec.fields[:keys])
}

// nameOf returns the names of a field that a cut unit does not hold.
func (d *dissector) nameOf(m *Message, key string) (name, zh string) {
	if spec := unitSpecOf(d.edition, m.Command); spec != nil {
		for i := range spec.fields {
			if f := &spec.fields[i]; f.key == key {
				return f.doc, f.zh
			}
		}
	}
	switch key {
	case "time":
		return "time", "时间"
	case "ids":
		return "parameter ids", "参数ID列表"
	case "params":
		return "parameters", "参数项列表"
	case "control":
		return "control command", "命令ID"
	case "upgradeForm":
		return "arguments of the upgrade", "远程升级命令参数"
	case "level":
		return "alarm level", "警告等级"
	}
	return key, ""
}

// unitTime takes the time that a unit without a table of its own begins with.
func (d *dissector) unitTime() Node { return d.timeOf("time", "time", "时间") }

// realtime takes a report.
func (d *dissector) realtime(u *Realtime, keys int) []Node {
	nodes := []Node{d.timeOf("time", "collection time", "数据采集时间")}
	if keys < 2 {
		return nodes
	}
	signed := false
	for i, item := range u.Info {
		n := d.item(i)
		if signed {
			n.Problems = append(n.Problems, CodeAfterSignature)
		}
		signed = signed || item.ItemType() == itemSignature
		nodes = append(nodes, n)
	}
	return nodes
}

// item takes info item i with its type byte, as far as it goes.
func (d *dissector) item(i int) Node {
	path := d.path
	n := Node{Offset: d.at, Path: indexed("info", i), Key: "info", Name: "info item", Chinese: "信息体"}
	d.path = n.Path
	spec := itemSpecOf(d.edition, d.left()[0])
	key, meaning := "type", ""
	if spec != nil {
		n.Name, n.Chinese = spec.key+": "+spec.doc, spec.zh
		if meaning = spec.key; meaning == "custom" {
			key = "id"
		}
	}
	id := d.number(key, "info type", "信息类型标志", 1)
	id.Value, id.Meaning = hexName(byte(id.Raw)), meaning
	n.Nodes = []Node{id}
	if spec != nil {
		n.Nodes = append(n.Nodes, d.fields(spec.fields)...)
	}
	n.Size = d.at - n.Offset
	d.path = path
	return n
}

// broken takes the info item or parameter at which Decode stopped, and all that follows it.
func (d *dissector) broken(m *Message) Node {
	why := m.pass.fault
	d.partial = true
	var n Node
	if why.list == "info" {
		n = d.item(why.index)
	} else {
		n = Node{Offset: d.at, Path: indexed(why.list, why.index), Key: why.list, Name: "parameter", Chinese: "参数项"}
		d.path = n.Path
		if len(d.left()) > 0 {
			n.Nodes = append(n.Nodes, d.paramID())
		}
	}
	if len(d.left()) > 0 {
		d.path = n.Path
		n.Nodes = append(n.Nodes, d.rest("rest", "not decoded", "未解析数据"))
	}
	n.Size = d.at - n.Offset
	n.Problems = []Code{why.code}
	d.path = ""
	return n
}

// paramID takes the id of a parameter.
func (d *dissector) paramID() Node {
	n := d.number("id", "parameter id", "参数ID", 1)
	n.Value = hexName(byte(n.Raw))
	if spec := paramFieldOf(d.edition, byte(n.Raw)); spec != nil {
		n.Meaning = spec.key
	}
	return n
}

// paramCount is the count before ids and parameters.
var paramCount = countSpec{size: 1, zh: "参数总数", lo: 0, hi: maxParams}

// paramIDs is the list of ids in a query.
var (
	paramIDs = fieldSpec{key: "ids", doc: "parameter ids", zh: "参数ID列表"}
	eachID   = fieldSpec{doc: "parameter id", zh: "参数ID", size: 1}
)

func (d *dissector) paramQuery(keys int) []Node {
	nodes := []Node{d.unitTime()}
	if keys < 2 {
		return nodes
	}
	count, entries := d.count(&paramCount, "idsCount")
	ids := d.numbers(&paramIDs, &eachID, entries)
	for i := range ids.Nodes {
		id := &ids.Nodes[i]
		if spec := paramFieldOf(d.edition, byte(id.Raw)); spec != nil {
			id.Meaning = spec.key
		} else if !privateParam(byte(id.Raw)) {
			d.odd(id, CodeUnknownParam)
		}
	}
	return append(nodes, count, ids)
}

func (d *dissector) params(u *Params, keys int) []Node {
	nodes := []Node{d.unitTime()}
	if keys < 2 {
		return nodes
	}
	count, _ := d.count(&paramCount, "paramsCount")
	nodes = append(nodes, count)
	for i, p := range u.Params {
		spec := paramFieldOf(d.edition, p.ID)
		n := Node{Offset: d.at, Path: indexed("params", i), Key: "params", Size: 1 + len(p.Data), Name: spec.doc, Chinese: spec.zh}
		d.path = n.Path
		id := d.paramID()
		if spec.readOnly && d.set {
			d.odd(&id, CodeOutOfRange)
		}
		n.Nodes = []Node{id}
		if spec.wire == wireDomain {
			n.Nodes = append(n.Nodes, d.freeText(spec.key, spec.doc, spec.zh, len(p.Data)))
		} else {
			n.Nodes = d.field(n.Nodes, spec)
		}
		nodes = append(nodes, n)
		d.path = ""
	}
	return nodes
}

func (d *dissector) control(u *Control, keys int) []Node {
	nodes := []Node{d.unitTime()}
	if keys < 2 {
		return nodes
	}
	id := d.number("control", "control command", "命令ID", 1)
	id.Meaning = controlName(u.ID)
	if id.Meaning == "" {
		d.odd(&id, CodeOutOfRange)
	}
	nodes = append(nodes, id)
	switch {
	case keys < 3:
	case u.ID == ControlUpgrade:
		nodes = append(nodes, d.upgrade(&u.Upgrade))
	case u.ID == ControlAlarm:
		level := d.number("level", "alarm level", "警告等级", 1)
		highest := uint32(3)
		if d.edition == Edition2025 {
			highest = 4
		}
		switch {
		case level.Raw == 0:
			level.Meaning = "none"
		case level.Raw == 0xFF:
			level.Meaning = StateInvalid.String()
		case level.Raw > highest:
			d.odd(&level, CodeOutOfRange)
		}
		nodes = append(nodes, level)
		if keys > 3 {
			nodes = append(nodes, d.freeText("message", "message", "报警信息", len(u.Alarm.Message)))
		}
	case len(u.Data) > 0:
		nodes = append(nodes, d.leaf(KindBytes, "data", "arguments", "命令参数", len(u.Data)))
	}
	return nodes
}

// upgrade takes the arguments of a remote upgrade, with the semicolons between them.
func (d *dissector) upgrade(u *Upgrade) Node {
	n := Node{Offset: d.at, Path: "upgradeForm", Key: "upgradeForm", Name: "arguments of the upgrade, form " + u.Form.String(), Chinese: "远程升级命令参数"}
	for i, field := range u.texts() {
		if i > 0 {
			n.Nodes = append(n.Nodes, d.leaf(KindBytes, "separator", "semicolon", "分号", 1))
		}
		var arg Node
		switch field := field.(type) {
		case *[]byte:
			key := u.keyOf(field)
			if u.Form == UpgradeBinary && key == "address" {
				arg = d.leaf(KindBytes, key, "address of the server", "地址", len(*field))
				quoted := appendAddress(nil, *field)
				arg.Value = string(quoted[:len(quoted)-1])
			} else {
				name, zh := u.names(key)
				arg = d.freeText(key, name, zh, len(*field))
			}
		case *uint16:
			arg = d.upgradeNumber(u, field)
		}
		n.Nodes = append(n.Nodes, arg)
	}
	n.Size = d.at - n.Offset
	return n
}

// upgradeNumber takes the port or the time limit, two bytes or decimal digits.
func (d *dissector) upgradeNumber(u *Upgrade, field *uint16) (n Node) {
	key, name, zh, most := "port", "port of the server", "端口", uint16(longestPort)
	unit := ""
	if field == &u.TimeLimit {
		key, name, zh, most, unit = "timeLimit", "time to reach the server", "连接到升级服务器时限", longestMinutes, "min"
	}
	if u.Form == UpgradeBinary {
		n = d.number(key, name, zh, 2)
	} else {
		n = d.freeText(key, name, zh, len(strconv.Itoa(int(*field))))
	}
	n.Unit = unit
	if *field > most {
		d.odd(&n, CodeOutOfRange)
	}
	return n
}

// storageCodes takes the codes of a vehicle login of 2016.
func (d *dissector) storageCodes(nodes []Node, s *fieldSpec) []Node {
	count := countSpec{size: 1, zh: "可充电储能子系统数", lo: 0, hi: 250}
	subsystems, entries := d.count(&count, "subsystemCount")
	width := d.number("codeLength", "length of a code", "可充电储能系统编码长度", 1)
	width.Unit = "bytes"
	if width.Raw > 50 {
		d.odd(&width, CodeOutOfRange)
	}
	nodes = append(nodes, subsystems, width)
	if width.Raw == 0 || entries*int(width.Raw) > len(d.left()) {
		return nodes // codes are not sent, or cut
	}
	return append(nodes, d.codes(s, s.key, entries, int(width.Raw))...)
}

// packCodes takes the codes of a vehicle login of 2025: the number of systems, the number of codes
// of each, then the codes.
func (d *dissector) packCodes(nodes []Node, s *fieldSpec) []Node {
	count := countSpec{size: 1, zh: "电池管理系统数", lo: 0, hi: 20}
	node, systems := d.count(&count, s.key+"Count")
	nodes = append(nodes, node)
	each := countSpec{size: 1, zh: "对应动力蓄电池包个数", lo: 0, hi: 50}
	packs := make([]int, systems)
	for i := range packs {
		d.path = indexed(s.key, i)
		node, packs[i] = d.count(&each, "packCodesCount")
		nodes = append(nodes, node)
	}
	for i, n := range packs {
		d.path = indexed(s.key, i)
		nodes = append(nodes, d.codes(s, "packCodes", n, packCodeWidth)...)
	}
	d.path = ""
	return nodes
}

// codes takes codes of equal width.
func (d *dissector) codes(s *fieldSpec, key string, n, width int) []Node {
	nodes := make([]Node, n)
	for i := range nodes {
		code := &nodes[i]
		*code = d.text(key, s.doc, s.zh, width, 0)
		code.Path, code.Problems = indexed(code.Path, i), nil // the JSON shows an odd one in hex
	}
	return nodes
}

// signature takes the signature at the end of an activation.
func (d *dissector) signature(s *fieldSpec) Node {
	n := Node{Offset: d.at, Path: s.key, Key: s.key, Name: s.doc, Chinese: s.zh}
	d.path = s.key
	if d.left()[0] == signatureMarker {
		n.Nodes = append(n.Nodes, d.number("marker", "type of the info item", "信息类型标志", 1))
	}
	n.Nodes = append(n.Nodes, d.fields(itemSpecOf(Edition2025, itemSignature).fields)...)
	n.Size = d.at - n.Offset
	d.path = ""
	return n
}
