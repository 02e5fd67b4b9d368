-- How the tables above are read.
--
-- A field has a key (that of the JSON form), doc and zh (its names) and a wire form:
--   number   size bytes, big-endian; with measure: raw × step + offset, in units of the last of its
--            decimals, lo..hi raw, marks recognised. enum, bits, reserved: what raw values mean;
--            flags: bits that have names.
--   time     six bytes in Beijing time
--   text     size bytes of GB 18030, padded with pad
--   bytes    behind their length
--   numbers  a count, then entries of the kind each
--   records  a count, then entries with the fields entry
--   domain   a text whose length another parameter holds (from)
--   StorageCodes, PackCodes, ActivationSignature: see the functions of these names

local proto = Proto("gbt32960", "GB/T 32960 电动汽车远程服务与管理系统")

local mark2016, mark2025 = 0x2323, 0x2424
local commandFlag = 0xFE
local headerSize, maxUnit = 24, 65531

local commandNames = {
  [0x01] = "vehicleLogin 车辆登入", [0x02] = "realtime 实时信息上报", [0x03] = "reissue 补发信息上报",
  [0x04] = "vehicleLogout 车辆登出", [0x05] = "platformLogin 平台登入", [0x06] = "platformLogout 平台登出",
  [0x07] = "heartbeat 心跳", [0x08] = "timeSync 终端校时", [0x09] = "activation 激活",
  [0x0A] = "activationResponse 激活应答", [0x0B] = "keyExchange 数据单元加密密钥交换", [0x80] = "paramQuery 查询命令",
  [0x81] = "paramSet 设置命令", [0x82] = "control 车载终端控制命令",
}
local flagNames = {
  [1] = "success 成功", [2] = "error 错误", [3] = "vinDuplicate VIN重复", [4] = "vinUnknown VIN不存在",
  [5] = "signatureError 验签错误", [6] = "structureError 数据结构错误", [7] = "decryptError 解密错误", [commandFlag] = "command 命令",
}
local encryptionNames = {
  [1] = "none 不加密", [2] = "rsa", [3] = "aes", [4] = "sm2", [5] = "sm4", [0xFE] = "abnormal 异常", [0xFF] = "invalid 无效",
}
local controlNames = {
  [1] = "remote upgrade 远程升级", [2] = "shut the terminal down 车载终端关机", [3] = "reset the terminal 车载终端复位",
  [4] = "restore the factory settings 车载终端恢复出厂设置", [5] = "drop the data link 断开数据通信链路",
  [6] = "alarm 车载终端报警/预警", [7] = "open the sampling-monitoring link 开启抽样监测链路",
}

-- Fields that no table holds: kind, doc, zh, and the names of values.
local handmade = {
  start = {"string", "start mark", "起始符"},
  edition = {"number", "edition of GB/T 32960.3", "版本"},
  command = {"hex", "command", "命令标识", commandNames},
  flag = {"hex", "response flag", "应答标志", flagNames},
  vin = {"string", "VIN or unique code", "唯一识别码"},
  encryption = {"hex", "encryption of the data unit", "数据单元加密方式", encryptionNames},
  length = {"number", "length of the data unit", "数据单元长度"},
  unit = {"none", "data unit", "数据单元"},
  check = {"hex", "check byte (BCC)", "校验码"},
  time = {"string", "time", "时间"},
  type = {"hex", "info type", "信息类型标志"},
  ["custom.id"] = {"hex", "info type", "信息类型标志"},
  abnormal = {"string", "measurement that holds the abnormal mark", "异常"},
  invalid = {"string", "measurement that holds the invalid mark", "无效"},
  rest = {"bytes", "not decoded", "未解析数据"},
  idsCount = {"number", "count", "参数总数"},
  ids = {"hex", "parameter id", "参数ID"},
  paramsCount = {"number", "count", "参数总数"},
  params = {"none", "parameter", "参数项"},
  ["params.id"] = {"hex", "parameter id", "参数ID"},
  control = {"number", "control command", "命令ID", controlNames},
  level = {"number", "alarm level", "警告等级"},
  message = {"string", "message", "报警信息"},
  data = {"bytes", "arguments", "命令参数"},
  upgradeForm = {"string", "form of the upgrade's arguments", "远程升级命令参数"},
  separator = {"string", "semicolon", "分号"},
  apn = {"string", "dial-up point", "拨号点名称"},
  address = {"string", "address of the server", "地址"},
  port = {"number", "port of the server", "端口"},
  manufacturer = {"string", "id of the terminal's maker", "车载终端制造商ID"},
  hardwareVersion = {"string", "hardware version", "硬件版本"},
  firmwareVersion = {"string", "firmware version", "固件版本"},
  url = {"string", "URL of the upgrade", "升级URL地址"},
  timeLimit = {"number", "minutes to reach the server", "连接到升级服务器时限"},
  subsystemCount = {"number", "count", "可充电储能子系统数"},
  codeLength = {"number", "length of a code", "可充电储能系统编码长度"},
  bmsCount = {"number", "count", "电池管理系统数"},
  ["bms.packCodesCount"] = {"number", "count", "对应动力蓄电池包个数"},
  ["bms.packCodes"] = {"string", "code of a battery pack", "动力蓄电池包编码"},
  ["signature.marker"] = {"number", "type of the info item before the signature", "信息类型标志"},
}

local experts = {}
for code, text in pairs({
  outOfRange = "value outside the standard's range", reservedBits = "reserved bits are set", badTime = "no calendar has this time",
  padding = "the text is not padded as it should be, or is no text", countMark = "the count holds a mark",
  countMismatch = "the count announces more than there is", unknownItem = "info item of unknown length",
  unknownCommand = "command that the edition does not assign", truncated = "the data unit ends inside this field",
  trailing = "bytes after the end of the layout", afterSignature = "info item behind the signature",
  unknownParam = "parameter of unknown length", encrypted = "the data unit is encrypted",
  badCheck = "wrong check byte", garbage = "bytes that belong to no frame",
}) do
  local group, severity = expert.group.PROTOCOL, expert.severity.WARN
  if code == "badCheck" then
    group, severity = expert.group.CHECKSUM, expert.severity.ERROR
  elseif code == "truncated" or code == "trailing" or code == "countMismatch" or code == "garbage" then
    group = expert.group.MALFORMED
  elseif code == "encrypted" then
    group, severity = expert.group.UNDECODED, expert.severity.NOTE
  end
  experts[code] = ProtoExpert.new("gbt32960.problem." .. code, text, group, severity)
end
proto.experts = experts

-- The Wireshark fields. A field that both editions have is one field; where they differ in width or
-- scale it still has the same physical values.
local fields = {}
do
  local definitions, order = {}, {}
  local function define(abbr, kind, doc, zh, names)
    local d = definitions[abbr]
    if not d then
      d = {kind = kind, doc = doc, name = abbr:match("[^.]+$") .. " " .. zh, names = {}}
      definitions[abbr] = d
      order[#order + 1] = abbr
    end
    for value, name in pairs(names or {}) do
      d.names[value] = name
    end
  end
  local function defineTable(prefix, list)
    for _, f in ipairs(list) do
      local abbr = prefix .. "." .. f.key
      if f.wire == "number" then
        local names = {}
        for _, enum in ipairs({f.enum or {}, f.enum2025 or {}}) do
          for value, name in pairs(enum) do
            names[value] = name
          end
        end
        if f.enum and f.marks then
          names[0xFE], names[0xFF] = "abnormal 异常", "invalid 无效"
        end
        define(abbr, f.measure and "double" or "number", f.doc, f.zh, names)
        for b, name in pairs(f.flags or {}) do
          define(abbr .. "." .. name, "flag", f.bits[b], "")
        end
      elseif f.wire == "bytes" then
        define(abbr .. "Length", "number", "length of the " .. f.doc, f.length.zh)
        define(abbr, "bytes", f.doc, f.zh)
      elseif f.wire == "numbers" then
        define(abbr .. "Count", "number", "count", f.count.zh)
        define(abbr .. ".list", "none", f.doc, f.zh)
        define(abbr, f.each.measure and "double" or "number", f.doc, f.zh)
      elseif f.wire == "records" then
        define(abbr .. "Count", "number", "count", f.count.zh)
        define(abbr, "none", f.doc, f.zh)
        defineTable(abbr, f.entry)
      elseif f.wire == "ActivationSignature" then
        define(abbr, "none", f.doc, f.zh)
      else
        define(abbr, "string", f.doc, f.zh)
      end
    end
  end
  for key, h in pairs(handmade) do
    define("gbt32960." .. key, h[1], h[2], h[3], h[4])
  end
  for _, edition in ipairs({2016, 2025}) do
    for _, r in pairs(units[edition]) do
      defineTable("gbt32960", r.fields)
    end
    for _, r in pairs(items[edition]) do
      if type(r) == "table" then
        define("gbt32960." .. r.type, "none", r.doc, r.zh)
        defineTable("gbt32960." .. r.type, r.fields)
      end
    end
    for _, f in pairs(params[edition]) do
      defineTable("gbt32960.params", {f})
    end
  end
  for _, abbr in ipairs(order) do
    local d = definitions[abbr]
    local names = next(d.names) and d.names or nil
    local f
    if d.kind == "none" then
      f = ProtoField.none(abbr, d.name, d.doc)
    elseif d.kind == "string" then
      f = ProtoField.string(abbr, d.name, base.NONE, d.doc)
    elseif d.kind == "bytes" then
      f = ProtoField.bytes(abbr, d.name, base.NONE, d.doc)
    elseif d.kind == "flag" then
      f = ProtoField.bool(abbr, d.doc, base.NONE)
    elseif d.kind == "double" then
      f = ProtoField.double(abbr, d.name, base.NONE, d.doc)
    elseif d.kind == "hex" then
      f = ProtoField.uint8(abbr, d.name, base.HEX, names, nil, d.doc)
    else
      f = ProtoField.uint32(abbr, d.name, base.DEC, names, nil, d.doc)
    end
    fields[abbr] = f
  end
  local list = {}
  for _, abbr in ipairs(order) do
    list[#list + 1] = fields[abbr]
  end
  proto.fields = list
end

-- A pass over a data unit. It makes nodes, which are drawn when it is clear that the layout is the
-- right one: {abbr, at, size, value, text, problems, nodes}.
local Pass = {}
Pass.__index = Pass

local function newPass(tvb, at, last, edition, entries)
  return setmetatable({tvb = tvb, at = at, last = last, edition = edition, entries = entries, status = 0}, Pass)
end

function Pass:left() return self.last - self.at end

function Pass:fits(n)
  if n > self:left() then
    self.short = true
  end
  return not self.short
end

function Pass:leaf(abbr, size, value, text)
  local node = {abbr = abbr, at = self.at, size = size, value = value, text = text}
  self.at = self.at + size
  return node
end

local function problem(node, code)
  node.problems = node.problems or {}
  table.insert(node.problems, code)
end

function Pass:uint(size) return self.tvb(self.at, size):uint() end

function Pass:number(abbr, size)
  return self:leaf(abbr, size, self:uint(size))
end

local function bitSet(n, b) return math.floor(n / 2 ^ b) % 2 == 1 end

local monthDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

function Pass:time(abbr)
  local t = {}
  for i = 0, 5 do
    t[i] = self.tvb(self.at + i, 1):uint()
  end
  local days = monthDays[t[1]] or 0
  if t[1] == 2 and t[0] % 4 == 0 then
    days = 29
  end
  local node = self:leaf(abbr, 6, string.format("20%02d-%02d-%02dT%02d:%02d:%02d+08:00", t[0], t[1], t[2], t[3], t[4], t[5]))
  if t[0] > 99 or t[2] < 1 or t[2] > days or t[3] > 23 or t[4] > 59 or t[5] > 59 then
    node.value = "impossible time"
    problem(node, "badTime")
  end
  return node
end

-- Texts are padded on the right. Whether the padding is the right one is looked at, whether the
-- bytes are GB 18030 is not. Wireshark reads what is not ASCII: a Lua string of it comes out cut.
function Pass:text(abbr, size, pad)
  local raw = size > 0 and self.tvb:raw(self.at, size) or ""
  local text = raw:match("^(.-)[\0 ]*$")
  local node = self:leaf(abbr, size, text)
  if not text:match("^[ -~]*$") then
    node.encoded = #text
  end
  if pad and raw:sub(#text + 1) ~= string.rep(string.char(pad), size - #text) or text:match("%c") then
    problem(node, "padding")
  end
  return node
end

function Pass:freeText(abbr, size)
  local node = self:leaf(abbr, size, size > 0 and self.tvb:raw(self.at, size) or "")
  if not node.value:match("^[ -~]*$") then
    node.encoded = size
  end
  return node
end

local markNames = {[0] = "abnormal", [1] = "invalid"}

-- known returns the name of an enumeration's value in the edition.
local function known(f, edition, raw)
  return f.enum[raw] or edition == 2025 and f.enum2025 and f.enum2025[raw]
end

local gearNames = {[0] = "N", [13] = "R", [14] = "D", [15] = "P"}

local function bitText(f, raw)
  local words = {}
  if f.gear and not bitSet(raw, 7) then
    words[1] = "gear " .. (gearNames[raw % 16] or tostring(raw % 16))
  end
  for b = 0, 31 do
    if f.bits[b] and bitSet(raw, b) then
      words[#words + 1] = f.bits[b]
    end
  end
  return table.concat(words, ", ")
end

-- flagNodes returns a node for each named bit that is set.
local function flagNodes(abbr, f, at, raw)
  local nodes = {}
  for b = 0, 31 do
    if f.flags[b] and bitSet(raw, b) then
      nodes[#nodes + 1] = {abbr = abbr .. "." .. f.flags[b], at = at, size = f.size, value = true}
    end
  end
  return nodes
end

function Pass:scalar(abbr, f)
  local node = self:number(abbr, f.size)
  local raw, mark = node.value, 256 ^ f.size - 2
  if f.signs then
    self.status = raw
  end
  if f.measure then
    if (raw < f.lo or raw > f.hi) and raw >= mark then
      local name = markNames[raw - mark]
      node.label = abbr:match("[^.]+$") .. " " .. f.zh .. ": " .. name
      node.abbr, node.value = "gbt32960." .. name, (abbr:gsub("^gbt32960%.", ""))
      return node
    end
    local v = raw * f.step + f.offset
    if f.sign and bitSet(self.status, f.sign) then
      v = -v
    end
    node.value = v / 10 ^ f.decimals
    node.text = f.unit ~= "" and " " .. f.unit or nil
    if raw < f.lo or raw > f.hi then
      problem(node, "outOfRange")
    end
  elseif f.enum then
    if not known(f, self.edition, raw) and not (f.marks and raw >= mark) then
      problem(node, "outOfRange")
    end
  elseif f.lo and (raw < f.lo or raw > f.hi) then
    problem(node, "outOfRange")
  end
  if f.flags then
    node.nodes = flagNodes(abbr, f, node.at, raw)
  elseif f.bits then
    local text = bitText(f, raw)
    node.text = text ~= "" and " (" .. text .. ")" or nil
  end
  for _, b in ipairs(f.reserved or {}) do
    if bitSet(raw, b) then
      problem(node, "reservedBits")
      break
    end
  end
  return node
end

-- count reads the count before a list and returns the number of entries behind it.
function Pass:count(abbr, c)
  local node = self:number(abbr, c.size)
  local n, mark = node.value, 256 ^ c.size - 2
  if n >= mark and not c.always then
    node.text = " (" .. markNames[n - mark] .. ")"
    problem(node, "countMark")
    self.marked = true
    return node, self.entries
  end
  if n < c.lo or n > c.hi then
    problem(node, "outOfRange")
  end
  return node, n
end

function Pass:list(nodes, prefix, f)
  if not self:fits(f.count.size) then
    return
  end
  local abbr = prefix .. "." .. f.key
  local node, entries = self:count(abbr .. "Count", f.count)
  nodes[#nodes + 1] = node
  if f.wire == "numbers" then
    local list = {abbr = abbr .. ".list", at = self.at, nodes = {}}
    if not self:fits(entries * f.each.size) then
      entries = math.floor(self:left() / f.each.size)
    end
    for i = 1, entries do
      list.nodes[i] = self:scalar(abbr, f.each)
    end
    list.size = self.at - list.at
    list.text = string.format(" (%d)", entries)
    nodes[#nodes + 1] = list
    return
  end
  for i = 1, entries do
    local entry = {abbr = abbr, at = self.at, text = string.format("[%d]", i - 1)}
    entry.nodes = self:fields(abbr, f.entry)
    entry.size = self.at - entry.at
    nodes[#nodes + 1] = entry
    if self.short then
      return
    end
  end
end

function Pass:bytes(nodes, prefix, f)
  if not self:fits(f.length.size) then
    return
  end
  local abbr = prefix .. "." .. f.key
  local length = self:number(abbr .. "Length", f.length.size)
  nodes[#nodes + 1] = length
  if not self:fits(length.value) then
    return
  end
  local node = self:leaf(abbr, length.value)
  if length.value < f.length.lo then
    problem(length, "outOfRange")
  end
  nodes[#nodes + 1] = node
end

-- StorageCodes: the codes of a vehicle login of 2016.
function Pass:StorageCodes(nodes)
  if not self:fits(2) then
    return
  end
  local count, entries = self:count("gbt32960.subsystemCount", {size = 1, lo = 0, hi = 250})
  local width = self:number("gbt32960.codeLength", 1)
  if width.value > 50 then
    problem(width, "outOfRange")
  end
  nodes[#nodes + 1], nodes[#nodes + 2] = count, width
  if entries * width.value > self:left() then
    self.fault = "countMismatch"
    return
  end
  for _ = 1, width.value > 0 and entries or 0 do
    nodes[#nodes + 1] = self:text("gbt32960.storageCodes", width.value)
    nodes[#nodes].problems = nil
  end
end

-- PackCodes: the codes of a vehicle login of 2025.
function Pass:PackCodes(nodes)
  if not self:fits(1) then
    return
  end
  local node, systems = self:count("gbt32960.bmsCount", {size = 1, lo = 0, hi = 20})
  nodes[#nodes + 1] = node
  if not self:fits(systems) then
    return
  end
  local packs = {}
  for i = 1, systems do
    nodes[#nodes + 1], packs[i] = self:count("gbt32960.bms.packCodesCount", {size = 1, lo = 0, hi = 50})
  end
  for i = 1, systems do
    for _ = 1, packs[i] do
      if not self:fits(24) then
        return
      end
      nodes[#nodes + 1] = self:text("gbt32960.bms.packCodes", 24)
      nodes[#nodes].problems = nil
    end
  end
end

-- ActivationSignature: 0xFF may stand before it.
function Pass:ActivationSignature(nodes)
  local group = {abbr = "gbt32960.signature", at = self.at, nodes = {}}
  if self:left() > 0 and self:uint(1) == 0xFF then
    group.nodes[1] = self:number("gbt32960.signature.marker", 1)
  end
  for _, node in ipairs(self:fields("gbt32960.signature", records.Signature2025.fields)) do
    table.insert(group.nodes, node)
  end
  group.size = self.at - group.at
  nodes[#nodes + 1] = group
end

function Pass:field(nodes, prefix, f)
  local abbr = prefix .. "." .. f.key
  if f.wire == "numbers" or f.wire == "records" then
    self:list(nodes, prefix, f)
  elseif f.wire == "bytes" then
    self:bytes(nodes, prefix, f)
  elseif not f.size then
    self[f.wire](self, nodes)
  elseif self:fits(f.size) then
    if f.wire == "time" then
      nodes[#nodes + 1] = self:time(abbr)
    elseif f.wire == "text" then
      nodes[#nodes + 1] = self:text(abbr, f.size, f.pad)
    else
      nodes[#nodes + 1] = self:scalar(abbr, f)
    end
  end
end

-- fields reads the fields of an info item or of a list's entry, as far as they fit.
function Pass:fields(prefix, list)
  local nodes = {}
  for _, f in ipairs(list) do
    self:field(nodes, prefix, f)
    if self.short then
      break
    end
  end
  return nodes
end

-- The layouts of data units. Each fills self.nodes and stops with self.fault.
local layouts = {}

function layouts.record(self, record)
  for _, f in ipairs(record.fields) do
    local at, nodes = self.at, {}
    self:field(nodes, "gbt32960", f)
    if self.short then
      self.at = at -- the field is cut: it is left to the rest
      return
    end
    for _, node in ipairs(nodes) do
      table.insert(self.nodes, node)
    end
    if self.fault then
      return
    end
  end
end

function layouts.time(self)
  if self:fits(6) then
    table.insert(self.nodes, self:time("gbt32960.time"))
  end
end

local function itemRecord(edition, id)
  local t = items[edition]
  return t[id] or id >= t.first and id <= t.last and t.ranged
end

-- forget drops the problems of an item that is cut: it as a whole is odd.
local forget
function forget(nodes)
  for _, node in ipairs(nodes) do
    node.problems = nil
    forget(node.nodes or {})
  end
end

-- item reads an info item with its type byte. An item of unknown type has unknown length: it takes
-- all that is left.
function Pass:item()
  local id = self:uint(1)
  local record = itemRecord(self.edition, id)
  if not record then
    local head = self:number("gbt32960.type", 1)
    self.fault = "unknownItem"
    return head, self:left() > 0 and self:leaf("gbt32960.rest", self:left()) or nil
  end
  local item = {abbr = "gbt32960." .. record.type, at = self.at}
  local head = self:number(record.type == "custom" and "gbt32960.custom.id" or "gbt32960.type", 1)
  head.text = " " .. record.type
  item.nodes = self:fields("gbt32960." .. record.type, record.fields)
  table.insert(item.nodes, 1, head)
  if self.short then
    self.short, self.fault = false, "truncated"
    forget(item.nodes)
    if self:left() > 0 then
      table.insert(item.nodes, self:leaf("gbt32960.rest", self:left()))
    end
  end
  item.size = self.at - item.at
  return item
end

function layouts.realtime(self)
  layouts.time(self)
  local signed = false
  while not self.short and not self.fault and self:left() > 0 do
    local id = self:uint(1)
    local item, rest = self:item()
    if self.fault then
      problem(item, self.fault)
      self.told = true
    elseif signed then
      problem(item, "afterSignature")
    end
    signed = signed or id == 0xFF and self.edition == 2025
    table.insert(self.nodes, item)
    table.insert(self.nodes, rest)
  end
end

local paramCount = {size = 1, lo = 0, hi = 252}

function layouts.query(self)
  layouts.time(self)
  if self.short or not self:fits(1) then
    return
  end
  local at = self.at
  local count, entries = self:count("gbt32960.idsCount", paramCount)
  if not self:fits(entries) then
    self.at = at
    return
  end
  table.insert(self.nodes, count)
  for _ = 1, entries do
    local id = self:number("gbt32960.ids", 1)
    local f = params[self.edition][id.value]
    id.text = f and " " .. f.key .. " " .. f.zh or nil
    if not f and (id.value < 0x80 or id.value == 0xFF) then
      problem(id, "unknownParam")
    end
    table.insert(self.nodes, id)
  end
end

function layouts.params(self)
  layouts.time(self)
  if self.short or not self:fits(1) then
    return
  end
  local count, entries = self:count("gbt32960.paramsCount", paramCount)
  table.insert(self.nodes, count)
  local lengths = {}
  for _ = 1, entries do
    local param = {abbr = "gbt32960.params", at = self.at, size = self:left(), nodes = {}}
    table.insert(self.nodes, param)
    local f, size
    if self:left() > 0 then
      local id = self:number("gbt32960.params.id", 1)
      f = params[self.edition][id.value]
      size = f and (f.size or lengths[f.from])
      if f then
        param.label = f.key .. " " .. f.zh
        id.text = " " .. f.key
        if f.readOnly and self.set then
          problem(id, "outOfRange")
        end
      end
      param.nodes[1] = id
    end
    if not size or size > self:left() then
      self.fault = f == nil and #param.nodes > 0 and "unknownParam" or #param.nodes > 0 and not size and "unknownParam" or "truncated"
      problem(param, self.fault)
      self.told = true
      if self:left() > 0 then
        table.insert(param.nodes, self:leaf("gbt32960.rest", self:left()))
      end
      return
    end
    if f.key == "platformDomainLength" or f.key == "publicDomainLength" then
      lengths[param.nodes[1].value] = self:uint(1)
    end
    if f.wire == "domain" then
      table.insert(param.nodes, self:freeText("gbt32960.params." .. f.key, size))
    else
      self:field(param.nodes, "gbt32960.params", f)
    end
    param.size = self.at - param.at
  end
end

-- The arguments of a remote upgrade in the order of table B.16, and with the URL first as in B.15.
local upgradeKeys = {"apn", "username", "password", "address", "port", "manufacturer", "hardwareVersion", "firmwareVersion", "url", "timeLimit"}
local upgradeKeysURLFirst = {"url", "apn", "username", "password", "address", "port", "manufacturer", "hardwareVersion", "firmwareVersion", "timeLimit"}

-- upgradeBinary returns the sizes of the arguments, nil when they have another form.
local function upgradeBinary(s)
  local sizes, at = {}, 1
  for i = 1, 8 do
    local stop
    if i == 4 or i == 5 then
      stop = at + (i == 4 and 6 or 2)
      if s:sub(stop, stop) ~= ";" then
        return nil
      end
    else
      stop = s:find(";", at, true)
      if not stop then
        return nil
      end
    end
    sizes[i] = stop - at
    at = stop + 1
  end
  local n = #s - at + 1 - 3
  if n < 0 or s:sub(at + n, at + n) ~= ";" then
    return nil
  end
  sizes[9], sizes[10] = n, 2
  return sizes
end

local function decimal16(s)
  return s:match("^%d+$") and #s <= 5 and tonumber(s) <= 65535 and (s == "0" or s:sub(1, 1) ~= "0")
end

-- upgradeText is upgradeBinary for the two text forms.
local function upgradeText(s, keys)
  local sizes, at = {}, 1
  for i = 1, 10 do
    local stop = s:find(";", at, true)
    if (i == 10) == (stop ~= nil) then
      return nil
    end
    stop = stop or #s + 1
    if (keys[i] == "port" or keys[i] == "timeLimit") and not decimal16(s:sub(at, stop - 1)) then
      return nil
    end
    sizes[i] = stop - at
    at = stop + 1
  end
  return sizes
end

function Pass:upgrade()
  local s = self:left() > 0 and self.tvb:raw(self.at, self:left()) or ""
  local form, keys, sizes = "binary", upgradeKeys, upgradeBinary(s)
  if not sizes then
    form, sizes = "text", upgradeText(s, upgradeKeys)
  end
  if not sizes then
    form, keys = "textUrlFirst", upgradeKeysURLFirst
    sizes = upgradeText(s, keys)
  end
  if not sizes then
    self.short = true
    return
  end
  local group = {abbr = "gbt32960.upgradeForm", at = self.at, size = #s, value = form, nodes = {}}
  for i, key in ipairs(keys) do
    local abbr = "gbt32960." .. key
    if i > 1 then
      table.insert(group.nodes, self:leaf("gbt32960.separator", 1, ";"))
    end
    local node
    if key == "port" or key == "timeLimit" then
      if form == "binary" then
        node = self:number(abbr, 2)
      else
        node = self:leaf(abbr, sizes[i], tonumber(self.tvb:raw(self.at, sizes[i])))
      end
      if node.value > (key == "port" and 65531 or 60000) then
        problem(node, "outOfRange")
      end
    elseif key == "address" and form == "binary" then
      local r = self.tvb(self.at, 6)
      node = self:leaf(abbr, 6, r:bytes():tohex():lower())
      if r(0, 2):uint() == 0 then
        node.value = string.format("%d.%d.%d.%d", r(2, 1):uint(), r(3, 1):uint(), r(4, 1):uint(), r(5, 1):uint())
      end
    else
      node = self:freeText(abbr, sizes[i])
    end
    table.insert(group.nodes, node)
  end
  table.insert(self.nodes, group)
end

function layouts.control(self)
  layouts.time(self)
  if self.short or not self:fits(1) then
    return
  end
  local id = self:number("gbt32960.control", 1)
  if id.value == 0 or id.value > 7 and id.value < 0x80 or id.value == 0xFF then
    problem(id, "outOfRange")
  end
  table.insert(self.nodes, id)
  if id.value == 1 then
    self:upgrade()
  elseif id.value == 6 then
    if not self:fits(1) then
      return
    end
    local level = self:number("gbt32960.level", 1)
    if level.value > (self.edition == 2025 and 4 or 3) and level.value ~= 0xFF then
      problem(level, "outOfRange")
    end
    table.insert(self.nodes, level)
    table.insert(self.nodes, self:freeText("gbt32960.message", self:left()))
  elseif self:left() > 0 then
    table.insert(self.nodes, self:leaf("gbt32960.data", self:left()))
  end
end

-- try reads a data unit by a layout, once.
local function try(unit, layout, record, entries)
  local pass = newPass(unit.tvb, unit.at, unit.last, unit.edition, entries)
  pass.nodes, pass.set = {}, unit.set
  layouts[layout](pass, record)
  if pass.short then
    pass.fault = "truncated"
  elseif not pass.fault and pass:left() > 0 then
    pass.fault = "trailing"
  end
  return pass
end

-- decodeAs reads a data unit by a layout. A count that holds a mark is followed by no entries; when
-- the unit then does not end where it should, once more with one entry for each mark.
local function decodeAs(unit, layout, record)
  local pass = try(unit, layout, record, 0)
  if pass.fault and pass.marked then
    local second = try(unit, layout, record, 1)
    if not second.fault then
      return second
    end
  end
  return pass
end

local layoutNames = {[0x02] = "realtime", [0x03] = "realtime", [0x07] = "time", [0x08] = "time", [0x80] = "query", [0x81] = "params", [0x82] = "control"}

-- decode reads a data unit: that of a command by its own layout; that of an answer as a time of six
-- bytes, or by the layout of the request, or as a time and a rest.
local function decode(unit, command, flag)
  local record = units[unit.edition][command]
  local layout = record and "record" or layoutNames[command]
  local size = unit.last - unit.at
  if not layout then
    return nil, "unknownCommand"
  elseif command == 0x07 or command == 0x08 then
    if size == 0 then
      return nil
    elseif size ~= 6 then
      return nil, "trailing"
    end
    return decodeAs(unit, "time")
  elseif flag ~= commandFlag then
    if size == 0 then
      return nil
    elseif size == 6 then
      return decodeAs(unit, "time")
    end
    for _, l in ipairs(command == 0x80 and {"params", layout} or {layout}) do
      local pass = decodeAs(unit, l, record)
      if not pass.fault then
        return pass
      end
    end
    return decodeAs(unit, "time")
  elseif command == 0x80 then
    local pass = decodeAs(unit, "query")
    if pass.fault then
      local answer = decodeAs(unit, "params")
      if not answer.fault then
        return answer
      end
    end
    return pass
  end
  return decodeAs(unit, layout, record)
end

local function tell(item, problems)
  for _, code in ipairs(problems or {}) do
    item:add_proto_expert_info(experts[code])
  end
end

-- draw adds nodes to Wireshark's tree.
local function draw(tree, tvb, nodes)
  for _, node in ipairs(nodes) do
    if node.size > 0 or node.problems then
      local range = tvb(node.at, node.size)
      local item
      if node.encoded then
        item = tree:add_packet_field(fields[node.abbr], tvb(node.at, node.encoded), ENC_GB18030)
        item:set_len(node.size)
      elseif node.value ~= nil then
        item = tree:add(fields[node.abbr], range, node.value)
      else
        item = tree:add(fields[node.abbr], range)
      end
      if node.label then
        item:set_text(node.label)
      end
      if node.text then
        item:append_text(node.text)
      end
      tell(item, node.problems)
      draw(item, tvb, node.nodes or {})
    end
  end
end

local function firstWord(s) return s and s:match("^%S+") end

-- dissectFrame draws one whole frame.
local function dissectFrame(tvb, pinfo, root)
  local pass = newPass(tvb, 0, headerSize, tvb(0, 2):uint() == mark2025 and 2025 or 2016, 0)
  local edition, last = pass.edition, tvb:len() - 1
  local tree = root:add(proto, tvb())
  tree:add(fields["gbt32960.edition"], tvb(0, 2), edition):set_generated()
  local start = pass:leaf("gbt32960.start", 2, tvb:raw(0, 2))
  local command, flag = pass:number("gbt32960.command", 1), pass:number("gbt32960.flag", 1)
  local vin = pass:text("gbt32960.vin", 17, 0)
  local encryption, length = pass:number("gbt32960.encryption", 1), pass:number("gbt32960.length", 2)
  local body, fault
  if encryption.value > 1 then
    problem(encryption, "encrypted")
  else
    body, fault = decode({tvb = tvb, at = headerSize, last = last, edition = edition, set = command.value == 0x81 and flag.value == commandFlag},
      command.value, flag.value)
    if fault == "unknownCommand" then
      problem(command, fault)
    end
  end
  draw(tree, tvb, {start, command, flag, vin, encryption, length})

  local unit = tree
  if last > headerSize then
    unit = tree:add(fields["gbt32960.unit"], tvb(headerSize, last - headerSize))
  end
  local at = headerSize
  if body then
    draw(unit, tvb, body.nodes)
    at = body.at
    fault = not body.told and body.fault or nil
  end
  if at < last then
    local rest = unit:add(fields["gbt32960.rest"], tvb(at, last - at))
    if fault and fault ~= "unknownCommand" then
      tell(rest, {fault})
    end
  elseif fault and fault ~= "unknownCommand" then
    tell(unit, {fault})
  end

  local sum = 0
  local bytes = tvb:raw(2, last - 2)
  for i = 1, #bytes do
    sum = bit.bxor(sum, bytes:byte(i))
  end
  local have = tvb(last, 1):uint()
  local check = tree:add(fields["gbt32960.check"], tvb(last, 1), have)
  if have == sum then
    check:append_text(" (right)")
  else
    check:append_text(string.format(" (wrong, computed 0x%02X)", sum))
    tell(check, {"badCheck"})
  end

  local name = firstWord(commandNames[command.value])
  if not name or edition == 2016 and command.value >= 0x09 and command.value <= 0x0B then
    name = string.format("0x%02X", command.value)
  end
  local text = string.format("%d %s %s %s", edition, name, firstWord(flagNames[flag.value]) or string.format("0x%02X", flag.value),
    (vin.value:gsub("[^ -~]", "?")))
  tree:append_text(", " .. text)
  return text
end

-- plausible reports whether a frame may begin at an offset, as far as the bytes go.
local function plausible(tvb, at)
  local left = tvb:len() - at
  local first = tvb(at, 1):uint()
  if first ~= 0x23 and first ~= 0x24 or left > 1 and tvb(at + 1, 1):uint() ~= first then
    return false
  end
  if left > 2 then
    local command = tvb(at + 2, 1):uint()
    if command == 0 or command == 0xFF then
      return false
    end
  end
  if left > 21 then
    local encryption = tvb(at + 21, 1):uint()
    if encryption > 5 and encryption < 0xFE then
      return false
    end
  end
  return left < headerSize or tvb(at + 22, 2):uint() <= maxUnit
end

function proto.dissector(tvb, pinfo, root)
  local at, texts = 0, {}
  pinfo.cols.protocol = "GB/T 32960"
  while at < tvb:len() do
    if not plausible(tvb, at) then
      local from = at
      repeat
        at = at + 1
      until at == tvb:len() or plausible(tvb, at)
      root:add(proto, tvb(from, at - from), "GB/T 32960, bytes that belong to no frame"):add_proto_expert_info(experts.garbage)
      texts[#texts + 1] = "garbage"
    else
      local left = tvb:len() - at
      local size = left < headerSize and headerSize or headerSize + 1 + tvb(at + 22, 2):uint()
      if size > left then
        pinfo.desegment_offset = at
        pinfo.desegment_len = left < headerSize and DESEGMENT_ONE_MORE_SEGMENT or size - left
        break
      end
      texts[#texts + 1] = dissectFrame(tvb(at, size):tvb(), pinfo, root)
      at = at + size
    end
  end
  if #texts > 0 then
    pinfo.cols.info:set(table.concat(texts, "; "))
  end
  return tvb:len()
end

-- The standard fixes no port. On any other port a connection is recognised by its first bytes.
proto.prefs.ports = Pref.range("TCP ports", "8999,32960", "ports that always carry GB/T 32960", 65535)

local table_ = DissectorTable.get("tcp.port")
local registered

function proto.prefs_changed()
  if registered ~= proto.prefs.ports then
    if registered then
      table_:remove(registered, proto)
    end
    registered = proto.prefs.ports
    table_:add(registered, proto)
  end
end

registered = "8999,32960"
table_:add(registered, proto)

proto:register_heuristic("tcp", function(tvb, pinfo, root)
  if tvb:len() < 4 or not plausible(tvb, 0) then
    return false
  end
  local command, flag = tvb(2, 1):uint(), tvb(3, 1):uint()
  if not commandNames[command] or not flagNames[flag] then
    return false
  end
  pinfo.conversation = proto
  proto.dissector(tvb, pinfo, root)
  return true
end)
