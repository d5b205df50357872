-- Times: texts to epoch milliseconds and back, by whole numbers only. What is no time is nil.
local M = ...
local find, floor, format, match, sub = string.find, math.floor, string.format, string.match, string.sub

local SECOND, MINUTE, HOUR, DAY = 1000, 60000, 3600000, 86400000
local FLOOR, CEILING = 1420070400000, 253402300800000 -- 2015-01-01 and 10000-01-01
M.DAY, M.FLOOR = DAY, FLOOR

local MONTHS = {}
for number, name in ipairs({ "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec" }) do
  MONTHS[name] = number
end

-- Hours ahead of UTC. Names with several meanings (IST, AST ..) are known as zones, never guessed.
local ZONES = {}
for hours, names in pairs({
  [-10] = "HST", [-9] = "AKST", [-8] = "PST AKDT", [-7] = "MST PDT", [-6] = "CST MDT",
  [-5] = "EST CDT", [-4] = "EDT", [-3.5] = "NST", [-3] = "ADT", [-2.5] = "NDT",
  [0] = "Z UTC GMT UT WET", [1] = "BST CET WEST", [2] = "CEST EET SAST", [3] = "EEST MSK",
  [8] = "AWST HKT SGT", [9] = "JST KST", [9.5] = "ACST", [10] = "AEST", [10.5] = "ACDT",
  [11] = "AEDT", [12] = "NZST", [13] = "NZDT",
}) do
  for name in string.gmatch(names, "%a+") do ZONES[name] = hours * HOUR end
end
M.zone_names = { IST = true, AST = true, SST = true, WST = true, GST = true, BDT = true }
for name in pairs(ZONES) do M.zone_names[name] = true end

-- Days since 1970 of a date of the proleptic Gregorian calendar, and back.
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local era = floor(year / 400)
  local of_era = year - era * 400
  local of_year = floor((153 * (month - 3) + 2) / 5) + day - 1
  return era * 146097 + of_era * 365 + floor(of_era / 4) - floor(of_era / 100) + of_year - 719468
end

local function date(count)
  count = count + 719468
  local era = floor(count / 146097)
  local of_era = count - era * 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * of_year + 2) / 153)
  local day = of_year - floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  return year + era * 400 + (month <= 2 and 1 or 0), month, day
end

local LENGTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- Epoch milliseconds of a midnight; nil when there is no such day, or before 1970.
local function midnight(year, month, day)
  if year < 1 or month < 1 or month > 12 or day < 1 then return nil end
  local length = LENGTHS[month]
  if month == 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then length = 29 end
  if day > length then return nil end
  local start = days(year, month, day) * DAY
  return start >= 0 and start or nil
end

local function in_range(when)
  return when >= 0 and when < CEILING and when or nil
end

local function milliseconds(fraction)
  return tonumber(sub(fraction .. "00", 1, 3))
end

-- Milliseconds since midnight; a leap second stays in its own minute.
local function clock(hour, minute, second, fraction)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if hour > 23 or minute > 59 or second > 60 then return nil end
  if second == 60 then return hour * HOUR + minute * MINUTE + 59999 end
  return hour * HOUR + minute * MINUTE + second * SECOND + (fraction and milliseconds(fraction) or 0)
end

-- Milliseconds ahead of UTC; nil for a zone that is not understood.
local function ahead_of(zone)
  zone = string.upper(zone)
  if ZONES[zone] then return ZONES[zone] end
  local rest = match(zone, "^GMT(.*)$") or match(zone, "^UTC(.*)$") or zone
  local sign, hours, minutes = match(rest, "^([+-])(%d%d?)$")
  if not sign then sign, hours, minutes = match(rest, "^([+-])(%d%d?):?(%d%d)$") end
  if not sign then return nil end
  hours, minutes = tonumber(hours), tonumber(minutes or 0)
  if hours > 23 or minutes > 59 then return nil end
  local ahead = hours * HOUR + minutes * MINUTE
  return sign == "-" and -ahead or ahead
end

-- `h:mm:ss`, up to nine decimals, and where that ends.
local function read_clock(text, at)
  local _, stop, hour, minute, second = find(text, "^(%d%d?):(%d%d):(%d%d)", at)
  if not stop then return nil end
  local _, last, fraction = find(text, "^[.,](%d+)", stop + 1)
  if last then
    if #fraction > 9 then return nil end
    stop = last
  end
  return stop + 1, hour, minute, second, fraction
end

-- A number of seconds, milliseconds, microseconds or nanoseconds; its size tells which. By its
-- digits, because 19 of them do not fit a double.
function M.epoch(text)
  local whole, fraction = match(text, "^(%d+)$"), nil
  if not whole then
    whole, fraction = match(text, "^(%d+)%.(%d+)$")
    if not whole or #fraction > 18 then return nil end
  end
  if #whole > 19 then return nil end
  whole = match(whole, "^0*(.*)$")
  if #whole <= 11 then
    return (tonumber(whole) or 0) * SECOND + (fraction and milliseconds(fraction) or 0)
  end
  if #whole <= 14 then return tonumber(whole) end
  return tonumber(sub(whole, 1, #whole <= 17 and -4 or -7))
end

M.read_clock = read_clock

function M.rfc3339(text)
  local year, month, day = match(text, "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ]%d%d:")
  if not year then return nil end
  local at, hour, minute, second, fraction = read_clock(text, 12)
  if not at then return nil end
  local zone = sub(text, at)
  if not (zone == "" or find(zone, "^[Zz]$") or find(zone, "^[+-]%d%d:?%d%d$")) then return nil end
  local start = midnight(tonumber(year), tonumber(month), tonumber(day))
  local within = clock(hour, minute, second, fraction)
  if not start or not within then return nil end
  if #zone < 2 then return start + within end
  local ahead = ahead_of(zone)
  return ahead and in_range(start + within - ahead)
end

local function is_zone(text)
  local rest = match(text, "^%a%a?%a?%a?%a?(.*)$")
  if rest then
    return rest == "" or find(rest, "^[+-]%d%d?$") ~= nil or find(rest, "^[+-]%d%d?:?%d%d$") ~= nil
  end
  return find(text, "^[+-]%d%d?:?%d%d$") ~= nil
end

-- What may follow a clock: a zone, a year, both or neither. False when it is something else.
local function zone_and_year(rest)
  if rest == "" then return true end
  local zone, year = match(rest, "^ ?([%a+-][^ ]*) +(%d%d%d%d)$")
  if not zone then zone = match(rest, "^ ?([%a+-][^ ]*)$") end
  if zone then return is_zone(zone), zone, year end
  year = match(rest, "^ +(%d%d%d%d)$")
  return year ~= nil, nil, year
end

-- The latest year that puts a date at most one day after its receipt.
local function nearest(month, day, within, received)
  local latest = received + DAY
  local year = date(floor(latest / DAY))
  for candidate = year + 1, year - 1, -1 do -- +1: a zone ahead of UTC on New Year's Eve
    local start = midnight(candidate, month, day)
    if start and start + within <= latest then return in_range(start + within) end
  end
  return nil
end

local function read_named_month(text, at, received)
  local _, stop, first = find(text, "^(%d%d%d%d) +", at)
  if stop then at = stop + 1 end
  local _, after, name, day = find(text, "^(%a%a%a) +(%d%d?),? +", at)
  if not after then return nil end
  local _, later, middle = find(text, "^(%d%d%d%d),? +", after + 1)
  local rest, hour, minute, second, fraction = read_clock(text, (later or after) + 1)
  if not rest then return nil end
  local fits, zone, last = zone_and_year(sub(text, rest))
  if not fits then return nil end
  local month = MONTHS[string.lower(name)]
  local within = clock(hour, minute, second, fraction)
  local ahead = zone and ahead_of(zone) or (not zone and 0 or nil)
  if not month or not within or not ahead then return false end
  local year = first or middle or last
  if not year then return nearest(month, tonumber(day), within - ahead, received) or false end
  local start = midnight(tonumber(year), month, tonumber(day))
  return start and in_range(start + within - ahead) or false
end

local function read_slashed(text)
  local _, stop, month, day, year = find(text, "^(%d%d?)/(%d%d?)/(%d%d%d%d),? +")
  if not stop then return nil end
  local rest, hour, minute, second, fraction = read_clock(text, stop + 1)
  if not rest then return nil end
  local half, tail = match(text, "^ ?([AaPp])[Mm](.*)$", rest)
  if not half then return nil end
  local zone
  if tail ~= "" then
    zone = match(tail, "^ ([%a+-][^ ]*)$")
    if not zone or not is_zone(zone) then return nil end
  end
  hour = tonumber(hour)
  if hour < 1 or hour > 12 then return nil end
  local start = midnight(tonumber(year), tonumber(month), tonumber(day))
  local within = clock(hour % 12 + (find(half, "[Pp]") and 12 or 0), minute, second, fraction)
  local ahead = zone == nil and 0 or ahead_of(zone)
  if not start or not within or not ahead then return nil end
  return in_range(start + within - ahead)
end

-- Texts with the month by name, a year or none, and `M/d/yyyy h:mm:ss AM`.
function M.named(text, received)
  if #text > 64 then return nil end
  local _, weekday = find(text, "^%u%l%l,? +")
  local when = weekday and read_named_month(text, weekday + 1, received)
  -- nil: not that form; false: that form, and no time
  if when == nil then when = read_named_month(text, 1, received) end
  if when ~= nil then return when or nil end
  return read_slashed(text)
end

function M.read(text, received)
  return M.epoch(text) or M.rfc3339(text) or M.named(text, received)
end

function M.plausible(when, received)
  return when >= FLOOR and when <= received + DAY
end

function M.iso(when)
  local year, month, day = date(floor(when / DAY))
  local second = floor(when / SECOND) % 86400
  return format("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, floor(second / 3600),
    floor(second / 60) % 60, second % 60, when % SECOND)
end
