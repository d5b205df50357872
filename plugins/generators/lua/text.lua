-- Text as the converter sees it: characters, white space, case. Lua strings are bytes, so whatever
-- counts characters or knows letters beyond ASCII stands here. Everything is linear.
local M = ...
local byte, char, find, format = string.byte, string.char, string.find, string.format
local gmatch, gsub, lower, sub, upper = string.gmatch, string.gsub, string.lower, string.sub, string.upper
local concat, floor = table.concat, math.floor

M.BOM = "\239\187\191"

-- How many bytes the well-formed UTF-8 sequence at `at` has; 0 when there is none.
local function sequence(s, at)
  local first, second, third, fourth = byte(s, at, at + 3)
  local function follows(b) return b ~= nil and b >= 128 and b < 192 end
  if first < 128 then return 1 end
  if first < 194 or first > 244 or not follows(second) then return 0 end
  if first < 224 then return 2 end
  if first < 240 then
    -- no overlong form, and no half of a surrogate pair
    if (first == 224 and second < 160) or (first == 237 and second > 159) then return 0 end
    return follows(third) and 3 or 0
  end
  if (first == 240 and second < 144) or (first == 244 and second > 143) then return 0 end
  return follows(third) and follows(fourth) and 4 or 0
end

-- The bytes as UTF-8, what is none of it as \xNN; and whether there was any such byte.
function M.readable(raw)
  local at = find(raw, "[\128-\255]")
  if not at then return raw, false end
  local parts, from = {}, 1
  while at do
    local size = sequence(raw, at)
    if size == 0 then
      parts[#parts + 1] = sub(raw, from, at - 1)
      parts[#parts + 1] = format("\\x%02x", byte(raw, at))
      from, size = at + 1, 1
    end
    at = find(raw, "[\128-\255]", at + size)
  end
  if from == 1 then return raw, false end
  parts[#parts + 1] = sub(raw, from)
  return concat(parts), true
end

-- Bytes of the character that begins with this byte, in well-formed text.
local function size_of(first)
  if first < 192 then return 1 end
  if first < 224 then return 2 end
  return first < 240 and 3 or 4
end
M.size_of = size_of

-- Where the first `count` characters end.
function M.reach(s, count)
  if #s <= count then return #s end
  local at = find(s, "[\128-\255]")
  if not at or at > count then return count end
  count = count - (at - 1)
  local size = #s
  while count > 0 and at <= size do
    at = at + size_of(byte(s, at))
    count = count - 1
  end
  return at - 1
end

function M.characters(s)
  local _, count = gsub(s, "[^\128-\191]", "")
  return count
end

local BLANKS_OF_THREE = {
  ["\225\154\128"] = true, ["\226\128\168"] = true, ["\226\128\169"] = true,
  ["\226\128\175"] = true, ["\226\129\159"] = true, ["\227\128\128"] = true,
}
for last = 128, 138 do BLANKS_OF_THREE["\226\128" .. char(last)] = true end

-- Bytes of the white space character at `at` (Unicode's White_Space, and 1C to 1F); 0 for others.
local function blank(s, at)
  local first = byte(s, at)
  if not first then return 0 end
  if first == 32 or (first >= 9 and first <= 13) or (first >= 28 and first <= 31) then return 1 end
  if first < 194 then return 0 end
  if first == 194 then
    local second = byte(s, at + 1)
    return (second == 133 or second == 160) and 2 or 0
  end
  return BLANKS_OF_THREE[sub(s, at, at + 2)] and 3 or 0
end
M.blank = blank

-- Whether there is white space anywhere.
function M.has_blank(s)
  if find(s, "[%s\028-\031]") then return true end
  local at = find(s, "[\194\225-\227]")
  while at do
    if blank(s, at) > 0 then return true end
    at = find(s, "[\194\225-\227]", at + 1)
  end
  return false
end

-- Where the white space that begins at `at` ends, at most `most` characters of it.
function M.skip_blanks(s, at, most)
  while most > 0 do
    local size = blank(s, at)
    if size == 0 then break end
    at, most = at + size, most - 1
  end
  return at
end

-- The framing of a record, and what is trimmed at the end of a value.
M.FRAMING = { [10] = true, [13] = true, [0] = true }
M.TRIMMED = { [32] = true, [9] = true, [13] = true, [10] = true, [0] = true, [11] = true, [12] = true }

-- Without the bytes of a set at its end; backwards, because a pattern would start at each of them.
local function right_trimmed(s, set)
  local last = #s
  while last > 0 and set[byte(s, last)] do last = last - 1 end
  return last == #s and s or sub(s, 1, last)
end
M.right_trimmed = right_trimmed

function M.trimmed(s, set)
  local first, size = 1, #s
  while first <= size and set[byte(s, first)] do first = first + 1 end
  return right_trimmed(first == 1 and s or sub(s, first), set)
end

local function encoded(code)
  if code < 128 then return char(code) end
  if code < 2048 then return char(192 + floor(code / 64), 128 + code % 64) end
  local last = 128 + code % 64
  code = floor(code / 64)
  if code < 1024 then return char(224 + floor(code / 64), 128 + code % 64, last) end
  return char(240 + floor(code / 4096), 128 + floor(code / 64) % 64, 128 + code % 64, last)
end

local function letters(rows, many)
  local found = {}
  for _, row in ipairs(rows) do
    for code = row[1], row[2], row[3] do found[encoded(code)] = encoded(code + row[4]) end
  end
  for from, to in pairs(many) do found[from] = to end
  return found
end

local lowered, uppered
local SIGMA, FINAL_SIGMA = "\206\163", "\207\130"

local function code_of(letter)
  local code = byte(letter)
  if code >= 240 then code = code - 240 elseif code >= 224 then code = code - 224 else code = code - 192 end
  for at = 2, #letter do code = code * 64 + byte(letter, at) - 128 end
  return code
end

local function within(ranges, letter)
  local code = code_of(letter)
  for at = 1, #ranges, 2 do
    if code <= ranges[at + 1] then return code >= ranges[at] end
  end
  return false
end

local function cased(letter)
  if #letter == 1 then return find(letter, "^%a") ~= nil end
  return within(M.cased_ranges, letter)
end

local function ignored(letter)
  if #letter == 1 then return find(letter, "^['.:^`]") ~= nil end
  return within(M.ignored_ranges, letter)
end

-- A capital sigma is written in its final form after a letter when no letter follows; marks between
-- letters do not count (Unicode's Final_Sigma). Two passes, so that many marks cost nothing.
local function sigmas(s)
  local all, count = {}, 0
  for letter in gmatch(s, "[%z\1-\127\194-\244][\128-\191]*") do
    count = count + 1
    all[count] = letter
  end
  local follows, after = {}, false
  for at = count, 1, -1 do
    follows[at] = after
    if not ignored(all[at]) then after = cased(all[at]) end
  end
  local before = false
  for at = 1, count do
    local letter = all[at]
    if letter == SIGMA and before and not follows[at] then all[at] = FINAL_SIGMA end
    if not ignored(letter) then before = cased(letter) end
  end
  return concat(all)
end

local function load_letters()
  lowered = letters(M.lower_rows, M.lower_many)
  uppered = letters(M.upper_rows, M.upper_many)
end

function M.lower(s)
  if not find(s, "[\128-\255]") then return lower(s) end
  if not lowered then load_letters() end
  if find(s, SIGMA, 1, true) then s = sigmas(s) end
  return (gsub(lower(s), "[\194-\244][\128-\191]+", lowered))
end

function M.upper(s)
  if not find(s, "[\128-\255]") then return upper(s) end
  if not uppered then load_letters() end
  return (gsub(upper(s), "[\194-\244][\128-\191]+", uppered))
end

-- A whole number as text; Lua's own way turns to exponents at 14 digits.
function M.whole(number) return format("%d", number) end

-- A number with a fraction as the converter writes it: the shortest digits that read back.
function M.fraction(number)
  local text
  for digits = 15, 17 do
    text = format("%." .. digits .. "g", number)
    if tonumber(text) == number then break end
  end
  local mantissa, exponent = text:match("^([^e]+)e([+-]%d+)$")
  if exponent and tonumber(exponent) > 0 and tonumber(exponent) < 16 then
    return format("%.1f", number)
  end
  if mantissa then return text end
  if find(text, ".", 1, true) then return text end
  return #text:gsub("-", "") > 16 and format("%.16e", number):gsub("%.?0+e", "e") or text .. ".0"
end
