-- Drops the entries of the session KEYS[1] that happened and were logged before ARGV[1], epoch seconds.
local COUNT, SIZE = 2, 21
local session, passed = redis.call('GET', KEYS[1]), tonumber(ARGV[1])
if not session then return end

local past = COUNT + struct.unpack('<H', session) * SIZE
local function kept(first, last)
  local entries = {}
  for at = first, last, SIZE do
    local _, _, time, logged = struct.unpack('<i4Bdd', session, at)
    if time >= passed or logged >= passed then entries[#entries + 1] = session:sub(at, at + SIZE - 1) end
  end
  return table.concat(entries)
end

local hiding, others = kept(COUNT + 1, past), kept(past + 1, #session)
if hiding == '' and others == '' then
  redis.call('DEL', KEYS[1])
elseif #hiding + #others < #session - COUNT then
  redis.call('SET', KEYS[1], struct.pack('<H', #hiding / SIZE) .. hiding .. others)
end
