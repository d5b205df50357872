-- What may be changed; everything else is made from tables and is overwritten when it is made again.
local M = ...
M.settings = {
  -- Fields that may hold the line as it came; the first that is there is read.
  line = { "log", "message" },
  -- Fields that may hold the sender's address, alone or as `udp://ADDRESS:PORT`.
  peer = { "source_address", "peer" },
  -- Names and addresses of Datto switches: what they send is no CEF and does not say what it is.
  switches = {},
  -- Where a document gets the record's id, so that a retry is no second event; nil for nowhere.
  id = @id@,
}
