-- What Fluent Bit calls. A record without a line, and one that fails here, passes as it is: nothing
-- vanishes, and a fault never holds up the records beside it.
local M = ...
local floor, match = math.floor, string.match

local switches = {}
for _, name in ipairs(M.settings.switches) do switches[string.lower(name)] = true end

-- Numbers equal lines that came in the same millisecond, so that their ids differ.
local current, counts = nil, {}

local function ordinal(line, peer, received)
  if received ~= current then current, counts = received, {} end
  local key = (peer or "") .. "\0" .. line
  local number = counts[key] or 0
  counts[key] = number + 1
  return number
end

local function first_text(record, names)
  for _, name in ipairs(names) do
    local value = record[name]
    if type(value) == "string" then return value end
  end
  return nil
end

-- The address in `udp://192.0.2.1:5140` or `tcp://[2001:db8::1]:5140`; other texts as they are.
local function address(text)
  if not text then return nil end
  local host = match(text, "^%a+://(.+):%d+$") or text
  return match(host, "^%[(.*)%]$") or host
end

local function convert(timestamp, record)
  local line = first_text(record, M.settings.line)
  if not line then return nil end
  local received
  if type(timestamp) == "table" then
    received = timestamp.sec * 1000 + floor(timestamp.nsec / 1000000)
  else
    received = floor(timestamp * 1000 + 0.0005) -- seconds in a double are exact to a microsecond
  end
  local peer = address(first_text(record, M.settings.peer))
  local event = M.decode(line, received, peer, ordinal(line, peer, received), switches)
  local document, id = M.document(event), M.settings.id
  if id then
    local place = document
    for at = 1, #id - 1 do
      place[id[at]] = place[id[at]] or {}
      place = place[id[at]]
    end
    place[id[#id]] = M.event_id(event)
  end
  return document, event.time or received
end

-- Gives 1, the event's own time and its document; 0 leaves a record as it is.
function datto(tag, timestamp, record)
  local fine, document, when = pcall(convert, timestamp, record)
  if not fine or not document then return 0, timestamp, record end
  if type(timestamp) == "table" then
    return 1, { sec = floor(when / 1000), nsec = when % 1000 * 1000000 }, document
  end
  return 1, when / 1000, document
end
