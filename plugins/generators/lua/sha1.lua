-- SHA-1 and what is made of it: a record's id, and the Community ID of a flow.
local M = ...
local bit = require("bit")
local band, bor, bxor, bnot, rol, tobit, tohex = bit.band, bit.bor, bit.bxor, bit.bnot, bit.rol, bit.tobit, bit.tohex
local byte, char, floor, format, sub = string.byte, string.char, math.floor, string.format, string.sub

local function long(number)
  return char(floor(number / 16777216) % 256, floor(number / 65536) % 256, floor(number / 256) % 256, number % 256)
end

-- The digest as five 32-bit numbers.
local function sha1(message)
  local size = #message
  message = message .. "\128" .. string.rep("\0", (55 - size) % 64)
    .. long(floor(size / 536870912)) .. long(size * 8 % 4294967296)
  local h0, h1, h2, h3, h4 = 0x67452301, tobit(0xEFCDAB89), tobit(0x98BADCFE), 0x10325476, tobit(0xC3D2E1F0)
  local w = {}
  for from = 1, #message, 64 do
    for at = 0, 15 do
      local b0, b1, b2, b3 = byte(message, from + at * 4, from + at * 4 + 3)
      w[at] = tobit(b0 * 16777216 + b1 * 65536 + b2 * 256 + b3)
    end
    for at = 16, 79 do w[at] = rol(bxor(w[at - 3], w[at - 8], w[at - 14], w[at - 16]), 1) end
    local a, b, c, d, e = h0, h1, h2, h3, h4
    for at = 0, 79 do
      local f, k
      if at < 20 then
        f, k = bor(band(b, c), band(bnot(b), d)), 0x5A827999
      elseif at < 40 then
        f, k = bxor(b, c, d), 0x6ED9EBA1
      elseif at < 60 then
        f, k = bor(band(b, c), band(b, d), band(c, d)), 0x8F1BBCDC
      else
        f, k = bxor(b, c, d), 0xCA62C1D6
      end
      a, b, c, d, e = tobit(rol(a, 5) + f + e + k + w[at]), a, rol(b, 30), c, d
    end
    h0, h1, h2, h3, h4 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d), tobit(h4 + e)
  end
  return h0, h1, h2, h3, h4
end

-- UUIDv5 of the DNS name "datto-siem.invalid": the namespace of these ids.
local NAMESPACE = "\188\025\138\147\251\063\090\111\142\074\221\101\241\242\230\111"

-- The same record at the same place gives the same id, in the form of a UUID version 5.
function M.uid(raw, peer, received, ordinal)
  local h0, h1, h2, h3 = sha1(NAMESPACE .. (peer or "") .. format("\0%d\0%d\0", received, ordinal) .. raw)
  local hex = tohex(h0) .. tohex(h1) .. tohex(h2) .. tohex(h3)
  local digit = tonumber(sub(hex, 17, 17), 16) % 4 + 1
  return sub(hex, 1, 8) .. "-" .. sub(hex, 9, 12) .. "-5" .. sub(hex, 14, 16) .. "-"
    .. sub("89ab", digit, digit) .. sub(hex, 18, 20) .. "-" .. sub(hex, 21, 32)
end

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for at = 1, #bytes, 3 do
    local a, b, c = byte(bytes, at, at + 2)
    local number = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local digit = floor(number / 64 ^ place) % 64 + 1
      out[#out + 1] = (place == 1 and not b or place == 0 and not c) and "=" or sub(ALPHABET, digit, digit)
    end
  end
  return table.concat(out)
end

local function packed(address)
  local found = not address:find(":", 1, true) and M.octets(address)
  if found then return char(found[1], found[2], found[3], found[4]) end
  found = M.groups_of(address)
  if not found then return "" end
  local out = {}
  for at, group in ipairs(found) do out[at] = char(floor(group / 256), group % 256) end
  return table.concat(out)
end

local function short(number) return char(floor(number / 256), number % 256) end

-- Community ID version 1, seed 0 (https://github.com/corelight/community-id-spec).
function M.community_id(source, source_port, destination, destination_port, protocol)
  if not (source and source_port and destination and destination_port) then return nil end
  if protocol ~= 6 and protocol ~= 17 and protocol ~= 132 then return nil end
  local one, two = packed(source), packed(destination)
  if #one ~= #two or one == "" then return nil end
  if one > two or (one == two and source_port > destination_port) then
    one, two, source_port, destination_port = two, one, destination_port, source_port
  end
  local h = { sha1("\0\0" .. one .. two .. char(protocol) .. "\0" .. short(source_port) .. short(destination_port)) }
  for at = 1, 5 do h[at] = long(h[at] % 4294967296) end
  return "1:" .. base64(table.concat(h))
end
