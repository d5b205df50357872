-- One record -> an event: header, pairs, typed fields, notes. The tables say which keys there are;
-- this file knows none. Nothing raises on input, and everything is linear in the record's length.
local M = ...
local byte, find, gsub, match, sub = string.byte, string.find, string.gsub, string.match, string.sub

local MAX_TEXT, MAX_PAIRS, MAX_KEY, MAX_LIST, MAX_NOTES, FIELDS = 65536, 512, 256, 64, 32, 7
-- Sizes at which relays cut a datagram: RFC 5426 and 3164 minimums, and common defaults.
local CUT_SIZES = { [480] = true, [1024] = true, [2048] = true, [8192] = true }
local NO_TEST = { text = true, lower = true, list = true, span = true } -- any text is one
local FAR = 4102444800000 -- 2100: a test asks for a time's form, not whether it is plausible
local SEVERITIES = { [""] = true }
for number = 0, 10 do SEVERITIES[M.whole(number)] = true end
for _, word in ipairs({ "unknown", "low", "medium", "high", "very-high", "very high" }) do SEVERITIES[word] = true end

local tables = M.tables
local placeholders = {}
for _, word in ipairs(tables.placeholders) do placeholders[word] = true end

local function starts(s, with) return sub(s, 1, #with) == with end
local function fold(name) return M.lower((gsub(name, " ", ""))) end

local function is_key(key)
  return #key <= MAX_KEY
    and (find(key, "^[%w_][%w_.,%-]*$") ~= nil or find(key, "^[%w_][%w_.,%-]*%[%d+%]$") ~= nil)
end

local function has(list, item)
  for _, each in ipairs(list) do
    if each == item then return true end
  end
  return false
end

-- Whether a folded name fits a pattern with `*`, without going back further than one star.
local function like(name, pattern)
  local at, place, star, held = 1, 1, nil, nil
  while at <= #name do
    local wanted = byte(pattern, place)
    if wanted == 42 then
      star, held, place = place, at, place + 1
    elseif wanted == byte(name, at) then
      at, place = at + 1, place + 1
    elseif star then
      held = held + 1
      at, place = held, star + 1
    else
      return false
    end
  end
  while byte(pattern, place) == 42 do place = place + 1 end
  return place > #pattern
end

-- ---- the catalogue: which row of the source tables a header belongs to

local any_source, text_source
local event_numbers = {}
for number, event in ipairs(tables.events) do event_numbers[event.id] = number end
for _, source in ipairs(tables.sources) do
  if source.any then any_source = any_source or source end
  if source.takes_text then text_source = text_source or source end
end
text_source = text_source or any_source

local function source_of(header)
  local vendor, product = fold(header.vendor), fold(header.product)
  local best, rank = any_source, 0
  for _, source in ipairs(tables.sources) do
    if source.vendor == vendor and not source.any then
      for _, pattern in ipairs(source.products) do
        local score = pattern == product and 2 or (like(product, pattern) and 1 or 0)
        if score > rank then best, rank = source, score end
      end
    end
  end
  return best
end

-- A header that lacks a field, put in place when a known event shows how.
local function realigned(header)
  local vendor, known = fold(header.vendor), false
  for _, source in ipairs(tables.sources) do known = known or source.vendor == vendor end
  if not known then return header end
  for _, source in ipairs(tables.sources) do
    if source.names[header.device_version .. "/" .. header.class_id] then
      local product, version = header.product, ""
      if source_of(header) ~= source then product, version = source.products[1] or "", product end
      return {
        version = header.version, vendor = header.vendor, product = product, device_version = version,
        class_id = header.device_version, name = header.class_id, severity = header.name,
      }
    end
  end
  return header
end

local function older(version, oldest)
  local count = 0
  for part in string.gmatch(version .. ".", "([^.]*)%.") do
    count = count + 1
    if not find(part, "^%d%d?%d?%d?%d?%d?$") then return false end
  end
  if count < 2 or count > 6 then return false end
  local left, right = string.gmatch(version, "%d+"), string.gmatch(oldest, "%d+")
  while true do
    local one, two = left(), right()
    if not one or not two then return one == nil and two ~= nil end
    if tonumber(one) ~= tonumber(two) then return tonumber(one) < tonumber(two) end
  end
end

-- ---- an event's dialect, made on first use

local entries = {}

-- A test of a value's first word; false where any text will do.
local function tester(cast)
  if NO_TEST[cast.kind] then return false end
  local read = M.casts[cast.kind]
  return function(text) return text == "" or read(text, FAR) ~= nil or placeholders[text] ~= nil end
end

local function checker(cast)
  if cast.agrees ~= "" then
    local field = match(cast.agrees, "^header%.(.*)$") or cast.agrees
    return function(event, key, text)
      if text ~= (event.head and event.head[field] or "") then event.note("conflict", key) end
    end
  end
  if #cast.among == 0 then return nil end
  local name, column = match(cast.among[1], "^([^.]*)%.(.+)$")
  local lookup = name and tables.lookups[name]
  return function(event, key, text)
    local word = M.lower(text)
    if not lookup then
      if not has(cast.among, word) then event.note("unknown_value", key) end
    elseif not lookup.rows[word] then
      event.note("unknown_value", key)
    elseif lookup.rows[word][column] == nil then
      event.note("swapped", key)
    end
  end
end

local function entry_of(number)
  local found = entries[number]
  if found then return found end
  local event = tables.events[number]
  found = {
    event = event, rows = {}, folded = {}, fits = {}, colon = {}, free = {}, glue = {}, lists = {}, documented = false,
    has_colon = false,
  }
  for _, key in ipairs(event.keys) do found.documented = found.documented or key ~= nil end
  for _, pair in ipairs(event.casts) do
    local key, cast = pair[1], tables.casts[pair[2] + 1]
    found.rows[key] = { cast = cast, read = M.casts[cast.kind], check = checker(cast) }
    if key ~= M.lower(key) then found.folded[M.lower(key)] = key end
    if cast.colon then found.colon[key], found.has_colon = tester(cast), true end
  end
  for _, pair in ipairs(event.lists) do
    local cast = tables.casts[pair[2] + 1]
    found.lists[#found.lists + 1] = { start = pair[1], field = cast.parts[1][2] }
    if cast.colon then found.colon[cast.key], found.has_colon = tester(cast), true end
  end
  for _, pair in ipairs(event.boundary) do
    local key, cast = pair[1], tables.casts[pair[2] + 1]
    local test = tester(cast)
    found.fits[key] = test
    if cast.colon then found.colon[key], found.has_colon = test, true end
    if cast.free then found.free[key] = true end
    if has(event.keys, key) and not NO_TEST[cast.kind] then
      if cast.kind == "uid" then -- an id is parted only when it is a UUID or a MAC
        test = function(text) return M.is_uid(text) or placeholders[text] ~= nil end
      end
      found.glue[#found.glue + 1] = { mark = key .. "=", key = key, test = test }
    end
  end
  entries[number] = found
  return found
end

-- ---- the header

local function pipe(text, start)
  local at = find(text, "|", start, true)
  while at and at > 1 and byte(text, at - 1) == 92 do
    local first = at - 1
    while first > start and byte(text, first - 1) == 92 do first = first - 1 end
    if (at - first) % 2 == 0 then break end -- no backslash escapes it
    at = find(text, "|", at + 1, true)
  end
  return at
end

local NAMES = { "version", "vendor", "product", "device_version", "class_id", "name", "severity" }

local function header_of(parts, count)
  local header = {}
  for at, name in ipairs(NAMES) do
    local part = at <= count and parts[at] or ""
    if find(part, "\\", 1, true) then part = gsub(part, "\\([\\|])", "%1") end
    header[name] = M.trimmed(part, M.TRIMMED)
  end
  return header
end

-- A header with fields or the last pipe missing: pairs begin where the first key stands.
local function short_header(text, parts, begins)
  for index = 3, math.min(#parts, FIELDS) do
    local key = match(sub(parts[index], M.skip_blanks(parts[index], 1, #parts[index])), "^([^=]*)=")
    if key and is_key(key) then return header_of(parts, index - 1), begins[index], "header_short" end
  end
  if #parts > FIELDS then return header_of(parts, FIELDS), begins[FIELDS + 1] end
  if #parts < 3 then return nil end
  return header_of(parts, #parts), #text + 1, #parts == FIELDS and "no_final_pipe" or "header_short"
end

-- The seven fields, where the extension begins, and a note; nil without even three fields.
local function split_header(text, start)
  local at = sub(text, start, start + 3) == "CEF:" and start + 4 or start
  local parts, begins = {}, { at }
  local stop = pipe(text, at)
  while stop and #parts < FIELDS do
    parts[#parts + 1] = sub(text, at, stop - 1)
    at = stop + 1
    begins[#begins + 1] = at
    stop = pipe(text, at)
  end
  if #parts == FIELDS and (SEVERITIES[M.lower(parts[FIELDS])] or not find(parts[FIELDS], "=", 1, true)) then
    return header_of(parts, FIELDS), at
  end
  parts[#parts + 1] = sub(text, at)
  return short_header(text, parts, begins)
end

-- ---- the pairs

local UNESCAPED = { ["\\"] = "\\", ["="] = "=", ["|"] = "|", n = "\n", r = "\r" }

local function unescaped(value)
  if not find(value, "\\", 1, true) then return value end
  return (gsub(value, "\\([\\=|nr])", UNESCAPED))
end

local function keep(event, key, value)
  event.pairs[#event.pairs + 1] = { key, value }
  if event.extension[key] == nil then
    event.order[#event.order + 1] = key
    event.extension[key] = value
    return true
  end
  return false
end

-- What is not taken apart is kept as one pair of its own.
local function keep_rest(event, from, to, note)
  event.note(note, "")
  local rest = M.trimmed(sub(event.text, from, to), M.TRIMMED)
  if rest ~= "" then keep(event, "_rest", rest) end
end

-- Part `7external_id=<uuid>` at documented keys that are otherwise absent.
local function unglued(event, entry, present, key, value)
  local glued = {}
  local own = entry.fits[key]
  for _, other in ipairs(entry.glue) do
    local at = find(value, other.mark, 1, true)
    if at and at > 1 and not present[other.key] then
      local right = sub(value, at + #other.mark)
      if right ~= "" and other.test(right) and (not own or own(sub(value, 1, at - 1))) then
        event.note("glued_pair", other.key)
        table.insert(glued, 1, { other.key, right })
        value = sub(value, 1, at - 1)
      end
    end
  end
  return value, glued
end

local function is_numbered(entry, key)
  for _, list in ipairs(entry.lists) do
    if starts(key, list.start) then return find(key, "^[^.]*%.%d+$") ~= nil end
  end
  return false
end

-- Where each pair begins: {key, place of its value, place of its key}.
local function find_pairs(event, entry, from, to)
  local shadow = gsub(sub(event.text, from, to), "[\t\r\n\011\012]", " ")
  local fits, colon, found, free = entry.fits, entry.colon, {}, false
  local at, size = 1, #shadow
  while at <= size + 1 do
    local stop = find(shadow, " ", at, true) or size + 1
    local token = sub(shadow, at, stop - 1)
    local equals = find(token, "=", 1, true)
    local key = equals and sub(token, 1, equals - 1)
    if key and fits[key] ~= nil then
      found[#found + 1] = { key, from + at - 1 + equals, from + at - 1 }
      free = entry.free[key] or false
    elseif key and ((not free and is_key(key)) or is_numbered(entry, key)) then
      found[#found + 1] = { key, from + at - 1 + equals, from + at - 1 }
    elseif entry.has_colon then
      local mark = find(token, ":", 1, true)
      key = mark and sub(token, 1, mark - 1)
      if key and colon[key] ~= nil and (not free or fits[key] ~= nil) then
        local test = colon[key]
        if not test or test(sub(token, mark + 1)) then
          found[#found + 1] = { key, from + at - 1 + mark, from + at - 1 }
          free = entry.free[key] or false
        end
      end
    end
    at = stop + 1
  end
  return found
end

local function scan(event, entry, from)
  local text = event.text
  local to = M.reach(text, MAX_TEXT)
  local found = from <= to and find_pairs(event, entry, from, to) or {}
  if #found == 0 or found[1][3] > from then
    local lead = M.trimmed(sub(text, from, #found > 0 and found[1][3] - 1 or to), M.TRIMMED)
    if lead ~= "" then
      keep(event, "_text", lead)
      event.note("text_before_key", "")
    end
  end
  local limit, last, present = to + 1, #found, {}
  if #found > MAX_PAIRS then limit, last = found[MAX_PAIRS + 1][3], MAX_PAIRS end
  for at = 1, last do present[found[at][1]] = true end
  for at = 1, last do
    local key, begins = found[at][1], found[at][2]
    local stop = at == last and limit or found[at + 1][3]
    local value, glued = M.right_trimmed(sub(text, begins, stop - 1), M.TRIMMED), nil
    if #entry.glue > 0 and not entry.free[key] and find(value, "=", 1, true) then
      value, glued = unglued(event, entry, present, key, value)
    end
    if not keep(event, key, unescaped(value)) then event.note("duplicate_key", key) end
    for _, pair in ipairs(glued or {}) do
      if not keep(event, pair[1], unescaped(pair[2])) then event.note("duplicate_key", pair[1]) end
    end
  end
  if limit <= to then keep_rest(event, limit, to, "too_many_pairs") end
  if to < #text then keep_rest(event, to + 1, #text, "line_too_long") end
end

-- ---- typed fields

-- The key whose value may be cut, when the record has a size at which relays cut.
local function cut_key(event)
  local slashes, at = 0, #event.text
  while at > 0 and byte(event.text, at) == 92 do slashes, at = slashes + 1, at - 1 end
  if #event.pairs == 0 or not (CUT_SIZES[event.size] or slashes % 2 == 1) then return nil end
  local key = event.pairs[#event.pairs][1]
  event.note("truncated", key)
  return key
end

local function last_that_fits(event, entry, key, places)
  local row = entry.rows[key]
  for at = #places, 1, -1 do
    local text = event.pairs[places[at]][2]
    if not row or row.read(text, event.received) ~= nil then return places[at] end
  end
  return places[#places]
end

-- Of duplicates the first counts, if no value that strangers choose stands before it; else the last
-- that fits: what is forged inside a value comes before what the device writes after it. Gives
-- whether the record's last pair is one that counts.
local function choose(event, entry)
  local all = event.pairs
  local border, places, ends = #all + 1, {}, false
  for at = #all, 1, -1 do
    if entry.free[all[at][1]] then border = at end
  end
  for at, pair in ipairs(all) do
    places[pair[1]] = places[pair[1]] or {}
    table.insert(places[pair[1]], at)
  end
  event.chosen = {}
  for _, key in ipairs(event.order) do
    local found = places[key]
    local best = found[1]
    if #found > 1 then
      if best > border then best = last_that_fits(event, entry, key, found) end
      for _, at in ipairs(found) do
        if at ~= best then event.spare[#event.spare + 1] = all[at] end
      end
    end
    event.chosen[key] = all[best][2]
    ends = ends or best == #all
  end
  return ends
end

-- Whether the value that fills a field stands against this key's: the first does, unless this key
-- `wins`. The loser's text is left over.
local function stands(event, entry, key, cast, field)
  event.note("conflict", key)
  local holder
  for _, other in ipairs(event.order) do
    if other == key then break end
    local row = entry.rows[other]
    if row and not event.left[other] then
      for _, part in ipairs(row.cast.parts) do
        if part[2] == field then holder = other end
      end
    end
  end
  if holder and cast.wins and not entry.rows[holder].cast.wins then
    event.left[holder] = true
    return false
  end
  event.left[key] = true
  return true
end

-- The row a key is read by, perhaps under another spelling; nil for a key nobody documents.
local function row_of(event, entry, key)
  local row = entry.rows[key]
  if row then return row end
  local low = M.lower(key)
  local known = entry.rows[low] and low or entry.folded[low]
  if known and event.chosen[known] == nil then return entry.rows[known] end
  if entry.documented then
    for _, list in ipairs(entry.lists) do
      if starts(key, list.start) then return nil end
    end
    event.note("unexpected_key", key)
  end
  return nil
end

local function read_value(event, entry, key, text, row, cut, times)
  local value
  if key ~= cut then value = row.read(text, event.received) end
  if value == nil then
    event.left[key] = true
    if key ~= cut then
      event.note(placeholders[text] and "placeholder" or (row.cast.kind == "time" and "bad_time" or "bad_type"), key)
    end
    return
  end
  if row.check then row.check(event, key, text) end
  if row.cast.kind == "time" then times[key] = value end
  local fields = event.fields
  for _, part in ipairs(row.cast.parts) do
    local held, field = value, part[2]
    if part[1] ~= "" then held = value[part[1]] end
    if held ~= nil then
      local clash = fields[field] ~= nil and fields[field] ~= held
      if not (clash and stands(event, entry, key, row.cast, field)) then fields[field] = held end
    end
  end
end

-- Numbered keys as one list, in order of their numbers; gaps are fine.
local function read_lists(event, entry, cut)
  for _, list in ipairs(entry.lists) do
    local found = {}
    for _, key in ipairs(event.order) do
      local number = starts(key, list.start) and sub(key, #list.start + 1) or ""
      local text = event.chosen[key]
      if text ~= "" and key ~= cut and find(number, "^%d%d?%d?$") then
        found[#found + 1] = { tonumber(number), key, text }
      end
    end
    table.sort(found, function(one, two)
      if one[1] ~= two[1] then return one[1] < two[1] end
      return one[2] < two[2]
    end)
    local values, seen = {}, {}
    for at = 1, math.min(#found, MAX_LIST) do
      local text = found[at][3]
      if not seen[text] then values[#values + 1] = text end
      seen[text] = true
      event.listed[found[at][2]] = true
    end
    if #found > 0 then event.fields[list.field] = values end
  end
end

local function read_time(event, entry, times)
  for _, key in ipairs(entry.event.time) do
    if times[key] then
      event.time, event.time_text = times[key], event.extension[key]
      return
    end
  end
  local text = event.envelope.time_text
  local when = text and M.read(text, event.received)
  if when and M.plausible(when, event.received) then event.time, event.time_text = when, text end
end

local function read_fields(event, entry)
  local cut = cut_key(event)
  event.chosen = event.extension
  if #event.order ~= #event.pairs and not choose(event, entry) then cut = nil end -- the cut one does not count
  for name, value in pairs(entry.event.constants) do event.fields[name] = value end
  local times = {}
  for _, key in ipairs(event.order) do
    local text = event.chosen[key]
    local row = row_of(event, entry, key)
    if row and text ~= "" then read_value(event, entry, key, text, row, cut, times) end
  end
  read_lists(event, entry, cut)
  read_time(event, entry, times)
end

-- ---- the record

local function unframed(text)
  text = M.right_trimmed(text, M.TRIMMED)
  if starts(text, M.BOM) then text = sub(text, 4) end
  if starts(text, '"CEF:') and sub(text, -1) == '"' then text = sub(text, 2, -2) end
  return text
end

-- The row a header belongs to, and whether its firmware is older than the vendor's minimum for CEF.
local function row_number(head)
  local source = source_of(head)
  local names = source.names
  local number = names[head.class_id .. "/" .. head.name] or names[head.class_id .. "/*"] or names["*/*"]
  return number + 1, source.oldest ~= "" and older(head.device_version, source.oldest)
end

local MOST_HEADERS = 2048
local headers, remembered = {}, 0

-- A header to its last pipe before the first `=`: devices send few different ones.
local function header_text(text, start)
  local at = (find(text, "=", start, true) or start) - 1
  while at > start and byte(text, at) ~= 124 do at = at - 1 end
  return at > start and sub(text, start, at) or nil
end

-- Header, row, whether the firmware is old, and where the extension begins; nil without a header.
local function read_header(event, start)
  local text = event.text
  local whole = header_text(text, start)
  local known = whole and headers[whole]
  if known then return known, start + #whole end
  local head, begins, note = split_header(text, start)
  if not head then return nil end
  if note then event.note(note, "") end
  if note == "header_short" then head = realigned(head) end
  local number, old = row_number(head)
  known = { head = head, number = number, old = old }
  if whole and not note and begins == start + #whole and #whole < MAX_KEY then
    if remembered >= MOST_HEADERS then headers, remembered = {}, 0 end
    headers[whole], remembered = known, remembered + 1
  end
  return known, begins
end

local function cef_event(event, start)
  local known, begins = read_header(event, start)
  if not known then
    event.fault = "a CEF header with fewer than three fields"
    return event_numbers[any_source.name .. "/undecodable"], nil
  end
  event.head, event.envelope = known.head, M.prefix(sub(event.text, 1, start - 1))
  if byte(event.text, start) ~= 67 then event.note("cef_missing", "") end
  if tables.events[known.number].inferred then event.note("inferred", "") end
  if known.old then event.note("old_firmware", "") end
  return known.number, begins
end

local function other_event(event, switches)
  local envelope, body = M.record(event.text)
  event.envelope = envelope
  if not envelope.format and envelope.priority == nil then
    event.fault = event.text == "" and "empty record" or "neither CEF nor syslog"
    return event_numbers[any_source.name .. "/undecodable"]
  end
  event.body = body
  local switch = switches[string.lower(envelope.host or "")] or switches[string.lower(event.peer or "")]
  local number = event_numbers[(switch and text_source or any_source).name .. "/text"]
  if tables.events[number].inferred then event.note("inferred", "") end
  return number
end

-- Decode one record: its bytes, receive time in milliseconds, the sender's address or nil, its number
-- among equal ones, and the set of senders known to be switches.
function M.decode(raw, received, peer, ordinal, switches)
  local kinds = {}
  local event = {
    raw = raw, received = received, peer = peer, ordinal = ordinal, envelope = M.no_envelope,
    pairs = {}, order = {}, extension = {}, chosen = {}, spare = {}, left = {}, listed = {}, fields = {},
    size = #M.right_trimmed(raw, M.FRAMING),
  }
  function event.note(kind, key) kinds[key == "" and kind or kind .. ":" .. key] = true end
  local text, broken = M.readable(raw)
  if broken then event.note("bad_utf8", "") end
  event.original = M.right_trimmed(text, M.FRAMING)
  event.text = unframed(event.original)
  local start = M.cef_start(event.text)
  local number, begins
  if start then
    number, begins = cef_event(event, start)
  else
    number = other_event(event, switches)
  end
  local entry = entry_of(number)
  event.row = entry.event
  if begins and begins <= #event.text then scan(event, entry, begins) end
  read_fields(event, entry)
  local notes = {}
  for kind in pairs(kinds) do notes[#notes + 1] = kind end
  table.sort(notes)
  for at = #notes, MAX_NOTES + 1, -1 do notes[at] = nil end
  event.notes = #notes > 0 and notes or nil
  return event
end
