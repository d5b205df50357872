-- An event -> a document, by the plans. Expressions become closures once per plan, on first use.
-- Absent is nil; false is a value. No operator raises.
local M = ...
local find, gsub, match, sub = string.find, string.gsub, string.match, string.sub
local concat, floor = table.concat, math.floor

local tables = M.tables

local function is_list(value) return type(value) == "table" end

-- A value as text: decimal numbers, `true` and `false`.
local function text_of(value)
  if type(value) == "string" then return value end
  if type(value) == "number" then return value == floor(value) and M.whole(value) or M.fraction(value) end
  return tostring(value)
end

local function fold(value) return M.lower(text_of(value)) end

local function copy(list)
  local found = {}
  for at = 1, #list do found[at] = list[at] end
  return found
end

-- ---- operators of one value

local function label(text)
  return #text <= 61 and find(text, "^%w[%w-]*$") and find(text, "%w$") and text or nil
end

local function fqdn(text)
  if not find(text, ".", 1, true) or #text > 253 or M.ip(text) then return nil end
  for part in string.gmatch(text .. ".", "([^.]*)%.") do
    if not label(part) then return nil end
  end
  return text
end

local function slug(text)
  local found = gsub(gsub(gsub(M.lower(text), "[^a-z0-9]+", "-"), "^%-", ""), "%-$", "")
  return found ~= "" and found or nil
end

local function scope(address)
  local four = not find(address, ":", 1, true) and M.octets(address)
  if four then
    local one, two = four[1], four[2]
    local inside = one == 10 or one == 127 or (one == 172 and two >= 16 and two < 32) or (one == 192 and two == 168)
      or (one == 100 and two >= 64 and two < 128) or (one == 169 and two == 254)
    return inside and "private" or "public"
  end
  local groups = M.groups_of(address)
  if not groups then return nil end
  local loopback = groups[8] == 1
  for at = 1, 7 do loopback = loopback and groups[at] == 0 end
  local first = groups[1]
  local inside = loopback or (first >= 0xFE80 and first < 0xFEC0) or (first >= 0xFC00 and first < 0xFE00)
  return inside and "private" or "public"
end

local function same(value) return value end

local SINGLE = {
  lower = M.lower, upper = M.upper, slug = slug, ip = M.ip, mac = M.mac, label = label, fqdn = fqdn, scope = scope,
  ipver = function(address) return find(address, ":", 1, true) and "ipv6" or "ipv4" end,
  seconds = function(duration) return floor(duration / 1000) end,
  head = function(value)
    if is_list(value) then return value[1] end
    return value
  end,
  other = same,
  local_mac = function(address) return find("2367ABEF", sub(address, 2, 2), 1, true) ~= nil end,
  text = text_of,
}

local FORMATS = {
  ["mac/upper-colon"] = same,
  ["mac/upper-hyphen"] = function(address) return (gsub(address, ":", "-")) end,
  ["mac/lower-colon"] = string.lower,
  ["time/milliseconds"] = same,
  ["time/iso8601"] = M.iso,
  ["time/seconds"] = function(when) return when / 1000 end,
  ["duration/milliseconds"] = same,
  ["duration/nanoseconds"] = function(duration) return duration * 1000000 end,
  ["duration/seconds"] = function(duration) return duration / 1000 end,
}

-- ---- expressions as closures of the fields

local compile
local OPERATORS = {}

function OPERATORS.const(expr)
  local value = expr[2]
  if is_list(value) then return function() return copy(value) end end
  return function() return value end
end

function OPERATORS.ref(expr)
  local name = expr[2]
  return function(values) return values[name] end
end

function OPERATORS.first(expr)
  local items = {}
  for at, item in ipairs(expr[2]) do items[at] = compile(item) end
  return function(values)
    for at = 1, #items do
      local value = items[at](values)
      if value ~= nil then return value end
    end
  end
end

OPERATORS["if"] = function(expr)
  local test, yes, no = compile(expr[2]), compile(expr[3]), compile(expr[4])
  return function(values)
    if test(values) ~= nil then return yes(values) end
    return no(values)
  end
end

function OPERATORS.lookup(expr)
  local subject, other, rows = compile(expr[2]), compile(expr[4]), {}
  for _, row in ipairs(expr[3]) do rows[row[1]] = rows[row[1]] or compile(row[2]) end
  return function(values)
    local value = subject(values)
    local row = value ~= nil and rows[fold(value)]
    if row then return row(values) end
    return other(values)
  end
end

function OPERATORS.table(expr)
  local subject, column, other = compile(expr[2]), expr[4], compile(expr[5])
  local rows, default = tables.lookups[expr[3]].rows, tables.lookups[expr[3]].default[column]
  return function(values)
    local value = subject(values)
    if value ~= nil then
      local row = rows[fold(value)]
      local found = row and row[column]
      if found == nil then found = default end
      if found ~= nil then return is_list(found) and copy(found) or found end
    end
    return other(values)
  end
end

-- A field inside a text; numbers with a fraction keep it even when it is zero.
local function written(name)
  if tables.types[name] ~= "float" then
    return function(values)
      local value = values[name]
      return value ~= nil and text_of(value) or nil
    end
  end
  return function(values)
    local value = values[name]
    return value ~= nil and M.fraction(value) or nil
  end
end

local function filler(parts)
  local pieces = {}
  for at, part in ipairs(parts) do
    if type(part) == "string" then
      pieces[at] = function() return part end
    elseif part[1] == "ref" then
      pieces[at] = written(part[2])
    else
      local inner = filler(part[2])
      pieces[at] = function(values) return inner(values) or "" end
    end
  end
  return function(values)
    local texts = {}
    for at = 1, #pieces do
      local text = pieces[at](values)
      if text == nil then return nil end
      texts[at] = text
    end
    return concat(texts)
  end
end

function OPERATORS.template(expr)
  local fill = filler(expr[2])
  return function(values)
    local text = fill(values)
    return text ~= "" and text or nil
  end
end

function OPERATORS.list(expr)
  local items = {}
  for at, item in ipairs(expr[2]) do items[at] = compile(item) end
  return function(values)
    local found, seen = {}, {}
    local function add(value)
      if not seen[value] then found[#found + 1] = value end
      seen[value] = true
    end
    for at = 1, #items do
      local value = items[at](values)
      if is_list(value) then
        for inner = 1, #value do add(value[inner]) end
      elseif value ~= nil then
        add(value)
      end
    end
    return #found > 0 and found or nil
  end
end

function OPERATORS.join(expr)
  local list, separator = compile(expr[2]), expr[3]
  return function(values)
    local value = list(values)
    if value == nil then return nil end
    if not is_list(value) then return text_of(value) end
    local texts = {}
    for at = 1, #value do texts[at] = text_of(value[at]) end
    local text = concat(texts, separator)
    return text ~= "" and text or nil
  end
end

function OPERATORS.minus(expr)
  local left, right = compile(expr[2]), compile(expr[3])
  return function(values)
    local one, two = left(values), right(values)
    if one == nil or two == nil or one < two then return nil end
    return one - two
  end
end

function OPERATORS.fmt(expr)
  local write, inner = FORMATS[expr[2][1] .. "/" .. expr[2][2]], compile(expr[3])
  return function(values)
    local value = inner(values)
    if value == nil then return nil end
    return write(value)
  end
end

function OPERATORS.community_id(expr)
  local items = {}
  for at, item in ipairs(expr[2]) do items[at] = compile(item) end
  return function(values)
    return M.community_id(items[1](values), items[2](values), items[3](values), items[4](values), items[5](values))
  end
end

function OPERATORS.collect(expr)
  local rows = {}
  for at, row in ipairs(expr[2]) do rows[at] = { row[1], row[2], row[3], compile(row[4]) } end
  return function(values)
    local found = {}
    for at = 1, #rows do
      local row = rows[at]
      local value = row[4](values)
      if value ~= nil then
        found[#found + 1] = { name = row[1], type_id = row[2], type = row[3], value = text_of(value) }
      end
    end
    return #found > 0 and found or nil
  end
end

function compile(expr)
  local single = SINGLE[expr[1]]
  if not single then return OPERATORS[expr[1]](expr) end
  if expr[1] == "text" and expr[2][1] == "ref" then return written(expr[2][2]) end
  local inner = compile(expr[2])
  return function(values)
    local value = inner(values)
    if value == nil then return nil end
    return single(value)
  end
end

-- ---- fields that decoder and caller fill

local function filled(text) return text ~= "" and text or nil end

function M.event_id(event)
  event.id = event.id or M.uid(event.raw, event.peer, event.received, event.ordinal)
  return event.id
end

local GIVEN = {
  ["header.cef_version"] = function(event) return event.head and filled(event.head.version) end,
  ["header.vendor"] = function(event) return event.head and filled(event.head.vendor) end,
  ["header.product"] = function(event) return event.head and filled(event.head.product) end,
  ["header.version"] = function(event) return event.head and filled(event.head.device_version) end,
  ["header.class_id"] = function(event) return event.head and filled(event.head.class_id) end,
  ["header.name"] = function(event) return event.head and filled(event.head.name) end,
  ["header.severity"] = function(event) return event.head and filled(event.head.severity) end,
  ["syslog.priority"] = function(event) return event.envelope.priority end,
  ["syslog.facility"] = function(event) return event.envelope.priority and floor(event.envelope.priority / 8) end,
  ["syslog.severity"] = function(event) return event.envelope.priority and event.envelope.priority % 8 end,
  ["syslog.host"] = function(event) return event.envelope.host end,
  ["syslog.app"] = function(event) return event.envelope.app end,
  ["syslog.time"] = function(event)
    return event.envelope.time_text and M.read(event.envelope.time_text, event.received)
  end,
  ["syslog.format"] = function(event) return event.envelope.format end,
  ["syslog.text"] = function(event) return event.body and filled(event.body) end,
  ["peer.ip"] = function(event) return event.peer and M.ip(event.peer) end,
  received = function(event) return event.received end,
  processed = function(event) return event.received end,
  uid = M.event_id,
  original = function(event) return event.original end,
  original_size = function(event) return event.size end,
  notes = function(event) return event.notes end,
  fault = function(event) return event.fault end,
  ["event.time"] = function(event) return event.time or event.received end,
  ["event.time_text"] = function(event) return event.time_text end,
  pairs = function(event)
    local found = {}
    for _, pair in ipairs(event.pairs) do
      local key, text = pair[1], pair[2]
      local known = found[key]
      if known == nil then
        found[key] = text
      elseif is_list(known) then
        known[#known + 1] = text
      else
        found[key] = { known, text }
      end
    end
    return next(found) ~= nil and found or nil
  end,
}

-- The fields of an event; what is costly is worked out when a plan first asks.
local function fields_of(event)
  local values = setmetatable({}, {
    __index = function(held, name)
      local given = GIVEN[name]
      local value = given and given(event)
      if value == nil then return nil end
      rawset(held, name, value)
      return value
    end,
  })
  for name, value in pairs(event.fields) do values[name] = value end
  return values
end

-- ---- plans

local plans = {}

-- A path's parts: {name, whether the first item of a list of objects is meant}.
local function path_of(path)
  local parts = {}
  for part in string.gmatch(path .. ".", "([^.]*)%.") do
    local name = match(part, "^(.*)%[0%]$")
    parts[#parts + 1] = { name or part, name ~= nil }
  end
  return parts
end

local function assign(document, path, value)
  for at = 1, #path - 1 do
    local name, first = path[at][1], path[at][2]
    if document[name] == nil then document[name] = first and { {} } or {} end
    document = first and document[name][1] or document[name]
  end
  document[path[#path][1]] = value
end

local function set_of(list)
  local found = {}
  for _, item in ipairs(list) do found[item] = true end
  return found
end

local function plan_of(number)
  if plans[number] then return plans[number] end
  local row = tables.plans[number]
  local plan = {
    derive = {}, emit = {}, needs = {}, said = {}, used = set_of(row.used), columns = row.columns,
    has_columns = next(row.columns) ~= nil, leftovers = row.leftovers, note = row.note,
    instead = row.instead and row.instead + 1,
  }
  for at, step in ipairs(row.derive) do
    local made = tables.steps[step + 1]
    plan.derive[at] = { made[1], compile(made[2]) }
  end
  for at, step in ipairs(row.emit) do
    local made = tables.steps[step + 1]
    plan.emit[at] = { path_of(made[1]), compile(made[2]) }
  end
  for at, need in ipairs(row.needs) do plan.needs[at] = compile(need) end
  for at, said in ipairs(row.said) do plan.said[at] = { said[1], compile(said[2]) } end
  plans[number] = plan
  return plan
end

local function values_of(plan, event, extra)
  local values = fields_of(event)
  if #extra > 0 then
    local notes = copy(event.notes or {})
    for _, note in ipairs(extra) do notes[#notes + 1] = note end
    table.sort(notes)
    values.notes = notes
  end
  for at = 1, #plan.derive do
    local step = plan.derive[at]
    local value = step[2](values)
    rawset(values, step[1], value)
  end
  return values
end

local function met(plan, values)
  for at = 1, #plan.needs do
    if plan.needs[at](values) == nil then return false end
  end
  return true
end

local function fill_columns(document, event, plan)
  local taken = {}
  for _, key in ipairs(event.order) do
    local column, text = plan.columns[key], event.chosen[key]
    if column and text ~= "" then
      local read = M.columns[column[2]]
      local value = text
      if read then value = read(text, event.received) end
      if value ~= nil then
        document[column[1]] = value
        taken[key] = true
      end
    end
  end
  return taken
end

-- Pairs that no row carries, in order of the record.
local function gather(event, plan, taken, said)
  local found, used = {}, plan.used
  for _, key in ipairs(event.order) do
    local text = event.chosen[key]
    if event.left[key] then
      found[#found + 1] = { key, text }
    elseif not (used[key] or taken[key] or said[key]) and text ~= "" then
      local whole = event.listed[key] and match(key, "^(.*%.)") .. "*"
      if not (whole and (used[whole] or taken[whole] or said[whole])) then found[#found + 1] = { key, text } end
    end
  end
  for _, pair in ipairs(event.spare) do found[#found + 1] = pair end
  return found
end

-- A `;` inside a value would forge a pair for every reader of the column.
local function pair_part(text) return (gsub(text, ";", "%%3B")) end

-- Keys from the wire are only ever names inside the leftover place, never paths; a name that a row
-- fills is set apart by `raw_`.
local function place(document, rest, into, style)
  if style == "pairs" then
    local texts = {}
    for at, pair in ipairs(rest) do texts[at] = pair_part(pair[1]) .. "=" .. pair_part(pair[2]) end
    local text = concat(texts, ";")
    local held = document[into]
    document[into] = held and held ~= "" and held .. ";" .. text or text
    return
  end
  local prefix = style == "object" and "" or into
  if style == "object" then
    for _, part in ipairs(path_of(into)) do
      if document[part[1]] == nil then document[part[1]] = {} end
      document = document[part[1]]
    end
  end
  local names = {}
  for name in pairs(document) do names[name] = true end
  for _, pair in ipairs(rest) do
    local key, value = pair[1], pair[2]
    local name = prefix == "" and key or prefix .. gsub(key, "[^%w_]", "_")
    if names[name] then name = prefix .. "raw_" .. sub(name, #prefix + 1) end
    local held = document[name]
    if held == nil then
      document[name] = value
    elseif is_list(held) then
      held[#held + 1] = value
    else
      document[name] = { held, value }
    end
  end
end

-- The document of an event.
function M.document(event)
  local plan, extra = plan_of(event.row.plan + 1), {}
  local values = values_of(plan, event, extra)
  while not met(plan, values) and plan.instead do
    if plan.note ~= "" then extra[#extra + 1] = plan.note end
    plan = plan_of(plan.instead)
    values = values_of(plan, event, extra)
  end
  local document = {}
  for at = 1, #plan.emit do
    local step = plan.emit[at]
    local value = step[2](values)
    if value ~= nil then assign(document, step[1], value) end
  end
  local taken = plan.has_columns and fill_columns(document, event, plan) or {}
  if plan.leftovers then
    local said = {}
    for _, row in ipairs(plan.said) do
      if row[2](values) ~= nil then said[row[1]] = true end
    end
    local rest = gather(event, plan, taken, said)
    if #rest > 0 then place(document, rest, plan.leftovers[1], plan.leftovers[2]) end
  end
  return document
end
