-- Calls a filter script's `datto` as Fluent Bit does, over one record a line: `received peer hex`, a
-- `-` for no peer. Prints `code when document` for each, the document as JSON.
-- usage: luajit fluent_bit_driver.lua datto.lua < records
dofile(arg[1])

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\" }
local function escaped(character) return ESCAPES[character] or string.format("\\u%04x", character:byte()) end
local function quoted(text) return '"' .. text:gsub('[%c"\\]', escaped) .. '"' end

local function json(value)
  if type(value) == "string" then return quoted(value) end
  if type(value) == "number" then
    -- as Fluent Bit: a whole number of 64 bits, or a double
    local whole = value == math.floor(value) and math.abs(value) < 2 ^ 63
    return string.format(whole and "%d" or "%.17g", value)
  end
  if type(value) == "boolean" then return tostring(value) end
  assert(type(value) == "table", "a document holds no " .. type(value))
  local parts = {}
  -- as Fluent Bit tells lists from maps: by the greatest number among the keys
  local length = table.maxn(value)
  if length > 0 then
    for at = 1, length do parts[at] = json(value[at]) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for name, item in pairs(value) do
    assert(type(name) == "string")
    parts[#parts + 1] = quoted(name) .. ":" .. json(item)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

for record in io.lines() do
  local received, peer, hex = record:match("^(%d+) (%S+) (%x*)$")
  local line = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  local given = { sec = math.floor(received / 1000), nsec = received % 1000 * 1000000 + 999999 }
  local source = peer ~= "-" and "udp://" .. peer .. ":50514" or nil
  local code, when, document = datto("datto", given, { log = line, source_address = source })
  io.write(code, " ", string.format("%d", when.sec * 1000 + when.nsec / 1000000), " ", json(document), "\n")
end
