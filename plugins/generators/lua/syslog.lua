-- The syslog header around a message: PRI, time, host, app. Each reader takes the text and a place
-- and gives the place after what it read, or nil. They do what the converter's patterns do, step by
-- step: where a pattern could go back, the code tries the longer reading first and then the shorter.
local M = ...
local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local MOST_HEADERS = 8 -- relays in a row; more is an attack, and the rest stays unread
local NONE = {} -- no header at all
M.no_envelope = NONE

local function set(characters)
  local found = {}
  for at = 1, #characters do found[byte(characters, at)] = true end
  return found
end

local function count(s, at, wanted, most)
  local from = at
  while at - from < most and byte(s, at) == wanted do at = at + 1 end
  return at - from
end

local function spaces(s, at) return count(s, at, 32, 3) end

local function digits(s, at, most)
  local from = at
  while at - from < most do
    local b = byte(s, at)
    if not b or b < 48 or b > 57 then break end
    at = at + 1
  end
  return at - from
end

-- Where a word ends: at white space, at a character of `stops`, or after `most` characters.
local function word(s, at, stops, most)
  local size = #s
  while at <= size and most > 0 do
    local b = byte(s, at)
    if stops[b] or M.blank(s, at) > 0 then break end
    at, most = at + M.size_of(b), most - 1
  end
  return at
end

local function ends(s, at) return at > #s or M.blank(s, at) > 0 end

-- Up to eight of byte order mark, white space and quote.
local function skip_lead(s, at)
  for _ = 1, 8 do
    local size = byte(s, at) == 34 and 1 or M.blank(s, at)
    if size == 0 and sub(s, at, at + 2) == M.BOM then size = 3 end
    if size == 0 then break end
    at = at + size
  end
  return at
end

-- `<PRI>`: the place after it, and the number.
local function priority(s, at)
  local _, stop, number = find(s, "^<(%d%d?%d?)>", at)
  if not stop then return nil end
  return stop + 1 + spaces(s, stop + 1), tonumber(number)
end

-- The place after one to three blanks; nil when there are none or more.
local function gap(s, at)
  local size = count(s, at, 32, 4)
  return size > 0 and size < 4 and at + size or nil
end

-- `1 ` before a time or `-`: the place after it, and whether a `-` follows.
local function version(s, at)
  local _, stop = find(s, "^[1-9]%d?%d?", at)
  local after = stop and gap(s, stop + 1)
  if not after then return nil end
  if byte(s, after) == 45 then return after, true end
  if find(s, "^%d%d%d%d%-%d%d%-%d%d[Tt]", after) then return after, false end
  return nil
end

-- An ISO time: the places after it with its zone and without.
local function iso(s, at)
  if not find(s, "^%d%d%d%d%-%d%d%-%d%d[Tt ]", at) then return nil end
  local stop = M.read_clock(s, at + 11)
  if not stop then return nil end
  local _, zone = find(s, "^[Zz]", stop)
  if not zone then _, zone = find(s, "^[+-]%d%d:?%d%d", stop) end
  return zone and zone + 1 or stop, stop
end

-- After a time: a colon or none, then a blank or the end.
local function stamp_end(s, at)
  if byte(s, at) == 58 and (at == #s or byte(s, at + 1) == 32) then
    at = at + 1
  elseif at <= #s and byte(s, at) ~= 32 then
    return nil
  end
  return at + spaces(s, at)
end

local function zone_end(s, at)
  if byte(s, at) == 90 then return at + 1 end
  local _, stop, name = find(s, "^ (%u+)", at)
  if not (stop and M.zone_names[name]) then _, stop = find(s, "^ [+-]%d%d:?%d%d", at) end
  if not stop then return nil end
  local after = byte(s, stop + 1)
  return (not after or after == 32 or after == 58) and stop + 1 or nil
end

local function year_end(s, at)
  local _, stop = find(s, "^ %d%d%d%d", at)
  return stop and (stop == #s or byte(s, stop + 1) == 32) and stop + 1 or at
end

-- `Nov 24 10:00:00`, the year before or after the day, a zone, a year: the place after what follows
-- the time, the place after the time, and whether the date has a year.
local function month_time(s, at)
  local dated = false
  if find(s, "^%d%d%d%d ", at) then
    at, dated = gap(s, at + 4), true
    if not at then return nil end
  end
  local _, stop = find(s, "^%u%l%l", at)
  at = stop and gap(s, stop + 1)
  if not at then return nil end
  _, stop = find(s, "^%d%d?,?", at)
  at = stop and gap(s, stop + 1)
  if not at then return nil end
  _, stop = find(s, "^%d%d%d%d,?", at)
  local after_year = stop and gap(s, stop + 1)
  if after_year then at, dated = after_year, true end
  local clock = M.read_clock(s, at)
  if not clock then return nil end
  for _, after in ipairs({ zone_end(s, clock) or clock, clock }) do
    local time_end = year_end(s, after)
    local next_ = stamp_end(s, time_end)
    if next_ then return next_, time_end, dated end
  end
  return nil
end

-- A time of RFC 3164 or ISO: the place after it, its text, whether the date has a year.
local function bare_stamp(s, at)
  local mark = byte(s, at)
  if mark == 42 or mark == 46 then at = at + 1 end -- Cisco's `*` and `.`: clock not synchronised
  local next_, stop, dated = month_time(s, at)
  if not next_ then
    local full, clock = iso(s, at)
    if not full then return nil end
    stop = full
    next_ = stamp_end(s, full)
    if not next_ then stop, next_ = clock, stamp_end(s, clock) end
    if not next_ then return nil end
  end
  return next_, sub(s, at, stop - 1), dated or false
end

local CISCO_STOPS = set(":|")

-- The same, with Cisco's sequence number and host before it: the fourth value is that host.
local function stamp(s, at)
  local size = digits(s, at, 10)
  if size > 0 and byte(s, at + size) == 58 then
    local gap = spaces(s, at + size + 1)
    if gap > 0 then
      local from = at + size + 1 + gap
      local stop = word(s, from, CISCO_STOPS, 255)
      local colon = byte(s, stop) == 32 and stop + 1 or stop
      if stop > from and byte(s, colon) == 58 and spaces(s, colon + 1) > 0 then
        local next_, text, dated = bare_stamp(s, colon + 1 + spaces(s, colon + 1))
        if next_ then return next_, text, dated, sub(s, from, stop - 1) end
      end
      local next_, text, dated = bare_stamp(s, from)
      if next_ then return next_, text, dated end
    end
  end
  return bare_stamp(s, at)
end

-- A version number and a pipe: the place after them.
local function version_pipe(s, at)
  local size = digits(s, at, 9)
  if size == 0 then return nil end
  at = at + size
  if byte(s, at) == 46 then
    size = digits(s, at + 1, 9)
    if size == 0 then return nil end
    at = at + 1 + size
  end
  return byte(s, at) == 124 and at + 1 or nil
end

local TAG_STOPS, PID_STOPS = set(':[]|=<>"%'), set("]|")

-- `tag:` or `tag[pid]:`: the place after it, the tag, and the pid ("" for empty brackets).
local function tag(s, at)
  if sub(s, at, at + 3) == "CEF:" and version_pipe(s, byte(s, at + 4) == 32 and at + 5 or at + 4) then
    return nil
  end
  local stop = word(s, at, TAG_STOPS, 128)
  if stop == at then return nil end
  local name, pid = sub(s, at, stop - 1), nil
  if byte(s, stop) == 91 then
    local last = word(s, stop + 1, PID_STOPS, 64)
    if byte(s, last) ~= 93 then return nil end
    pid = sub(s, stop + 1, last - 1)
    stop = last + 1
  end
  if byte(s, stop) ~= 58 or not ends(s, stop + 1) then return nil end
  return M.skip_blanks(s, stop + 1, 3), name, pid
end

local HOST_STOPS, LAST_STOPS = set('|=<>"[]'), set('|=<>"')

local function host_word(s, at)
  local stop = word(s, at, HOST_STOPS, 255)
  if stop == at or not ends(s, stop) then return nil end
  local after = M.skip_blanks(s, stop, 3)
  local mark = byte(s, after)
  if (mark == 58 or mark == 45) and ends(s, after + 1) then after = M.skip_blanks(s, after + 1, 3) end
  return after, sub(s, at, stop - 1)
end

local function last_word(s, at)
  local stop = word(s, at, LAST_STOPS, 128)
  if stop == at then return nil end
  local after = M.skip_blanks(s, stop, #s)
  return after > #s and after or nil, sub(s, at, stop - 1)
end

-- A name without the colon of `host:` (kept in an IPv6 address); `-` is no name.
local function cleaned(name)
  if sub(name, -1) == ":" and not M.ip(name) then name = sub(name, 1, -2) end
  if name == "-" or name == "" then return nil end
  return name
end

local function filled(name) return name ~= "" and name or nil end

-- Host and tag of RFC 3164, either of which may be missing: host, app, pid, the place after them.
local function names(s, at, before_cef, expect_host, dated)
  local host
  local after, name, pid = tag(s, at)
  if expect_host then
    if not after then
      if not (before_cef and stamp(s, at)) then
        local stop, found = host_word(s, at)
        if stop then
          host, at = cleaned(found), stop
          after, name, pid = tag(s, at)
        end
      end
    elseif pid == nil and (dated or find(name, ".", 1, true) or name == "-") then
      host, at = cleaned(name), after
      after, name, pid = tag(s, at)
    end
  end
  if after then return host, name, pid and filled(pid), after end
  if before_cef and host ~= nil then
    local stop, last = last_word(s, at)
    if stop then return host, cleaned(last), nil, stop end
  end
  return host, nil, nil, at
end

-- Where the structured data ends that begins at `at`; `at` itself when there is none.
local function structured_end(s, at)
  local first = byte(s, at)
  if first == 45 then
    local second = byte(s, at + 1)
    return (second == nil or second == 32) and at + 1 or at
  end
  if first ~= 91 then return at end
  local quoted, place = false, at
  while true do
    place = find(s, '[\\"%[%]]', place)
    if not place then return at end
    local mark = byte(s, place)
    if mark == 92 then
      place = place + 1 -- what is escaped closes nothing
    elseif mark == 34 then
      quoted = not quoted
    elseif mark == 93 and not quoted and byte(s, place + 1) ~= 91 then
      return place + 1
    end
    place = place + 1
  end
end

-- Time, host, app, pid and message id of RFC 5424, and the place after them.
local function five_words(s, at)
  local stop = iso(s, at)
  if not stop then
    if byte(s, at) ~= 45 then return nil end
    stop = at + 1
  end
  local found = { sub(s, at, stop - 1) }
  for place = 2, 5 do
    local _, last, name = find(s, "^ +([^ |]+)", stop)
    if not last then return nil end
    found[place], stop = name, last + 1
  end
  local _, last = find(s, "^ +", stop)
  if last then return found, last + 1 end
  if stop > #s then return found, stop end
  return nil
end

local function dashed(name) return name ~= "-" and name or nil end

-- The rest of an RFC 5424 header, or what a sender makes of it that omits fields.
local function read_5424(s, start, number, before_cef)
  local found, at = five_words(s, start)
  if found then
    local data_end = structured_end(s, at)
    if data_end > at or (before_cef and at > #s) then
      local data = sub(s, at, data_end - 1)
      local stop = data_end + spaces(s, data_end)
      if sub(s, stop, stop + 2) == M.BOM then stop = stop + 3 end
      return {
        format = "RFC5424", priority = number, time_text = dashed(found[1]), host = dashed(found[2]),
        app = dashed(found[3]), pid = dashed(found[4]), msgid = dashed(found[5]),
        data = data ~= "" and dashed(data) or nil,
      }, stop, data_end
    end
  end
  local stop = iso(s, start)
  if stop and stop <= #s and byte(s, stop) ~= 32 then stop = nil end
  if not stop and byte(s, start) == 45 and (start == #s or byte(s, start + 1) == 32) then stop = start + 1 end
  if not stop then return { format = "RFC5424", priority = number }, start, 0 end
  local host, app, pid, after = names(s, stop + spaces(s, stop), before_cef, true, false)
  return {
    format = "RFC5424", priority = number, time_text = dashed(sub(s, start, stop - 1)),
    host = host, app = app, pid = pid,
  }, after, 0
end

-- One header at `start`: the envelope, the place after it (`start` when there is none), and where
-- its structured data end.
local function header(s, start, before_cef, nested)
  local number
  local at, read = priority(s, start)
  if at then
    number = read <= 191 and read or nil
  elseif nested and not before_cef then
    return NONE, start, 0
  end
  local marked = at ~= nil
  at = at or start
  local body, dash = version(s, at)
  if body and (marked or not dash) then return read_5424(s, body, number, before_cef) end
  local next_, text, dated, cisco = stamp(s, at)
  if next_ then
    local host, app, pid, after = names(s, next_, before_cef, cisco == nil, dated)
    return {
      format = "RFC3164", priority = number, time_text = text, host = host or cisco, app = app, pid = pid,
    }, after, 0
  end
  if number == nil then return NONE, start, 0 end
  local host, app, pid, after = names(s, at, before_cef, before_cef, false)
  if before_cef and after <= #s and byte(s, after) ~= 60 then
    return { format = "RFC3164", priority = number }, at, 0 -- several words and no time: no header
  end
  return { format = "RFC3164", priority = number, host = host, app = app, pid = pid }, after, 0
end

local function merged(inner, outer)
  return {
    format = inner.format, priority = inner.priority or outer.priority,
    time_text = inner.time_text or outer.time_text, host = inner.host or outer.host,
    app = inner.app, pid = inner.pid, msgid = inner.msgid, data = inner.data,
  }
end

-- All headers: the envelope, the place where the body begins (nil without a header), and where
-- structured data ended last (0 without any).
local function scan(s, before_cef)
  local start = skip_lead(s, 1)
  local size = digits(s, start, 6)
  if size > 0 and sub(s, start + size, start + size + 1) == " <" then start = start + size + 1 end
  local at, envelope, data_end = start, NONE, 0
  for _ = 1, MOST_HEADERS do
    local inner, after, after_data = header(s, at, before_cef, at > start)
    if after == at then break end
    at, data_end = after, math.max(data_end, after_data)
    local outer = envelope
    envelope = outer == NONE and inner or merged(inner, outer)
  end
  if envelope == NONE then
    if before_cef then
      local after, name, pid = tag(s, start)
      if after == #s + 1 then envelope = { app = name, pid = pid and filled(pid) } end
    end
    return envelope, nil, data_end
  end
  return envelope, at, data_end
end

-- What stands before the `CEF:` of a line.
function M.prefix(text)
  if text == "" then return NONE end
  return (scan(text, true))
end

-- A record that is not CEF: its header and its body.
function M.record(text)
  local envelope, at = scan(text, false)
  return envelope, at and sub(text, at) or text
end

local function next_cef(text, from)
  local at = find(text, "CEF:", from, true)
  while at do
    local after = byte(text, at + 4)
    if version_pipe(text, (after == 32 or after == 9) and at + 5 or at + 4) then return at end
    at = find(text, "CEF:", at + 4, true)
  end
  return nil
end

local function without_cef(text)
  if not find(text, "|", 1, true) then return nil end
  if not find(string.lower(sub(text, 1, M.reach(text, 2048))), "datto", 1, true) then return nil end
  local _, at = scan(text, false)
  at = skip_lead(text, at or 1)
  local after = version_pipe(text, at)
  return after and find(text, "^ ?[Dd][Aa][Tt][Tt][Oo] ?|", after) and at or nil
end

-- Where the CEF header of a line begins; nil when it is no CEF.
function M.cef_start(text)
  local start = next_cef(text, 1)
  if not start then return without_cef(text) end
  local quoted = find(text, '="', 1, true)
  if not quoted or quoted + 1 >= start then return start end -- no quoted value before it
  local _, _, after = scan(text, false)
  if after <= start then return start end
  return next_cef(text, after) or without_cef(text)
end
