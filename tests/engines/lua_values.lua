-- Reads one expression of Lua a line, as hex, and prints its value in a form that hides nothing: lists
-- and maps with their keys in order, text as hex, numbers with all their digits.
local function shown(value)
  if type(value) == "string" then
    return "s" .. value:gsub(".", function(c) return string.format("%02x", c:byte()) end)
  end
  if type(value) == "number" then return string.format("n%.17g", value) end
  if type(value) ~= "table" then return tostring(value) end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(one, two) return shown(one) < shown(two) end)
  for at, key in ipairs(keys) do parts[at] = shown(key) .. "=" .. shown(value[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

io.stdout:setvbuf("no")
for line in io.lines() do
  local text = line:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  print(shown(assert(loadstring("return " .. text))()))
end
