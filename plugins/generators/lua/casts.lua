-- Casts: what a wire text is as a number, an address, a time. What does not fit is nil; a cast of
-- several parts gives a table of the parts that are there.
local M = ...
local byte, find, gmatch, match, sub = string.byte, string.find, string.gmatch, string.match, string.sub
local floor = math.floor

local LONGEST_IP = 45
local LONGEST_SPAN = 1000000000 -- seconds; from here on a number is a date

local function text(value) return value ~= "" and value or nil end
local function lower(value) return value ~= "" and M.lower(value) or nil end

local function dns_name(value)
  value = M.lower(value)
  if sub(value, -1) == "." then value = sub(value, 1, -2) end
  return text(value)
end

-- Up to 18 digits; beyond 2^53 a double keeps the size and not every digit.
local function int(value)
  local digits = match(value, "^%-?(%d+)$")
  if not digits or #digits > 18 then return nil end
  local number = tonumber(value)
  return number == 0 and 0 or number -- no negative zero
end

local function float(value)
  if #value > 64 then return nil end
  local exponent = match(value, "^%-?%d+([eE]?[+-]?%d*)$") or match(value, "^%-?%d+%.%d+([eE]?[+-]?%d*)$")
  if not exponent or not (exponent == "" or find(exponent, "^[eE][+-]?%d%d?$")) then return nil end
  return tonumber(value)
end

local function port(value)
  if not find(value, "^%d+$") or #value > 5 then return nil end
  local number = tonumber(value)
  return number <= 65535 and number or nil
end

local MACS = {
  "^%x%x:%x%x:%x%x:%x%x:%x%x:%x%x$", "^%x%x%-%x%x%-%x%x%-%x%x%-%x%x%-%x%x$",
  "^%x%x%x%x%.%x%x%x%x%.%x%x%x%x$", "^%x%x%x%x%x%x%x%x%x%x%x%x$",
}

local function mac(value)
  local size = #value
  if size < 12 or size > 17 then return nil end
  for _, pattern in ipairs(MACS) do
    if find(value, pattern) then
      local digits = string.upper((value:gsub("[:.-]", "")))
      return (digits:gsub("(%x%x)", "%1:", 5))
    end
  end
  return nil
end

local function octets(value)
  local parts = { match(value, "^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$") }
  if not parts[1] then return nil end
  for at = 1, 4 do
    if #parts[at] > 1 and byte(parts[at]) == 48 then return nil end
    parts[at] = tonumber(parts[at])
    if parts[at] > 255 then return nil end
  end
  return parts
end

local function read_groups(groups, parts, first, last)
  for at = first, last do
    if not find(parts[at], "^%x%x?%x?%x?$") then return false end
    groups[#groups + 1] = tonumber(parts[at], 16)
  end
  return true
end

-- The eight numbers of an IPv6 address (RFC 4291 section 2.2, no zone); nil when it is none.
local function groups_of(value)
  local parts = {}
  for part in gmatch(value .. ":", "([^:]*):") do parts[#parts + 1] = part end
  if #parts < 3 then return nil end
  if find(parts[#parts], ".", 1, true) then
    local four = octets(parts[#parts])
    if not four then return nil end
    parts[#parts] = string.format("%x", four[1] * 256 + four[2])
    parts[#parts + 1] = string.format("%x", four[3] * 256 + four[4])
  end
  if #parts > 9 then return nil end
  local gap
  for at = 2, #parts - 1 do
    if parts[at] == "" then
      if gap then return nil end
      gap = at
    end
  end
  local groups = {}
  if not gap then
    return #parts == 8 and read_groups(groups, parts, 1, 8) and groups or nil
  end
  local high, low = gap - 1, #parts - gap
  if parts[1] == "" then
    high = high - 1
    if high > 0 then return nil end
  end
  if parts[#parts] == "" then
    low = low - 1
    if low > 0 then return nil end
  end
  if high + low > 7 then return nil end
  if not read_groups(groups, parts, 1, high) then return nil end
  for _ = 1, 8 - high - low do groups[#groups + 1] = 0 end
  return read_groups(groups, parts, #parts - low + 1, #parts) and groups or nil
end

-- As written but in lower case: no shortening, so the text is what the device wrote.
local function ip(value)
  if #value > LONGEST_IP then return nil end
  if not find(value, ":", 1, true) then return octets(value) and value or nil end
  return groups_of(value) and string.lower(value) or nil
end

local function time(value, received)
  local when
  if #value == 13 and find(value, "^%d+$") then -- milliseconds, leading zeros or not
    when = tonumber(value)
  else
    when = M.read(value, received)
  end
  return when and M.plausible(when, received) and when or nil
end

local function joined(host, tail)
  local address, number = ip(host), port(tail)
  return address and number and { ip = address, port = number } or nil
end

local function hostport(value)
  local host, tail = match(value, "^(.*):([^:]*)$")
  if host and host ~= "" then
    if not find(host, ":", 1, true) then
      local both = joined(host, tail)
      if both then return both end
    elseif byte(host) == 91 and byte(host, -1) == 93 then
      return joined(sub(host, 2, -2), tail)
    end
  end
  if #value > LONGEST_IP + 12 then return nil end
  local bare = ip(match(value, "^%[(.*)%]$") or value)
  if bare then return { ip = bare } end
  local address, between, number = match(value, "^%[([%x:.]+)%]([ &,#]+)(%d+)$")
  if not address then address, between, number = match(value, "^([%x:.]+)([ &,#]+)(%d+)$") end
  if not address or #number > 5 then return nil end
  if not (find(between, "^ *[&,#] *$") or find(between, "^ +$")) then return nil end
  return joined(address, number)
end

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local function uid(value)
  if value == "" then return nil end
  return { all = value, mac = mac(value) }
end

local function email(value)
  if value == "" then return nil end
  local whole = M.lower(value)
  local name, domain = match(whole, "^([^@]+)@([^@]+)$")
  if name and not M.has_blank(whole) then
    return { all = whole, email = whole, name = name, domain = domain }
  end
  return { all = whole, name = whole }
end

-- Unit of a Go duration: milliseconds, or (as a fraction of one) nanoseconds, and the power of ten
-- and factor that its decimals count in nanoseconds.
local UNITS = {
  h = { 3600000, 0, 9, 3600 }, m = { 60000, 0, 9, 60 }, s = { 1000, 0, 9, 1 }, ms = { 1, 0, 6, 1 },
  us = { 0, 1000, 3, 1 }, ns = { 0, 1, 0, 1 },
}
UNITS["\194\181s"], UNITS["\206\188s"] = UNITS.us, UNITS.us

-- Nanoseconds of a part's decimals, cut off. Two exact steps: the product may not fit a double.
local function decimals(fraction, unit)
  local digits, spare = tonumber(fraction), unit[3] - #fraction
  if spare >= 0 then return digits * unit[4] * 10 ^ spare end
  return floor(digits * unit[4] / 10 ^ -spare)
end

local function go_length(value)
  if M.characters(value) > 64 then return nil end
  local at, count, whole_ms, rest_ns = 1, 0, 0, 0
  while at <= #value do
    local _, stop, digits, fraction, unit = find(value, "^(%d+)%.(%d+)([hmnsu\194\206\181\188]+)", at)
    if not stop then _, stop, digits, unit = find(value, "^(%d+)([hmnsu\194\206\181\188]+)", at) end
    local known = unit and UNITS[unit]
    count = count + 1
    if not known or count > 8 or #digits > 12 or (fraction and #fraction > 12) then return nil end
    whole_ms = whole_ms + tonumber(digits) * known[1]
    rest_ns = rest_ns + tonumber(digits) * known[2] + (fraction and decimals(fraction, known) or 0)
    at = stop + 1
  end
  if count == 0 then return nil end
  local length = whole_ms + floor(rest_ns / 1000000)
  return length < LONGEST_SPAN * 1000 and length or nil
end

local function span(value, received)
  if value == "" then return nil end
  local found = { all = value }
  local whole, fraction = match(value, "^(%d+)$"), nil
  if not whole then whole, fraction = match(value, "^(%d+)%.(%d+)$") end
  if whole and (#whole > 19 or (fraction and #fraction > 18)) then whole = nil end
  if whole and tonumber(whole) < LONGEST_SPAN then
    found.length = tonumber(whole) * 1000 + tonumber(sub((fraction or "") .. "000", 1, 3))
    return found
  end
  if whole or M.rfc3339(value) then found["end"] = time(value, received) end
  if not found["end"] then found.length = go_length(value) end
  return found
end

M.casts = {
  text = text, lower = lower, dns_name = dns_name, int = int, float = float, port = port, mac = mac,
  ip = ip, time = time, hostport = hostport, uid = uid, email = email, span = span,
}
M.mac, M.ip, M.octets, M.groups_of = mac, ip, octets, groups_of
function M.is_uid(value) return find(value, UUID) ~= nil or mac(value) ~= nil end

-- Readers of columns that take a wire text literally.
M.columns = {
  int = function(value)
    local number = int(value)
    return number and number >= -2147483648 and number < 2147483648 and number or nil
  end,
  long = int,
  real = float,
  datetime = function(value, received)
    local when = M.read(value, received)
    return when and M.iso(when)
  end,
}
