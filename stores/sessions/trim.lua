-- Drops the entries of the session KEYS[1] that happened and were logged before ARGV[1], epoch seconds.
local SIZE = 21
local packed, passed, kept = redis.call('GET', KEYS[1]) or '', tonumber(ARGV[1]), {}
for at = 1, #packed, SIZE do
  local _, _, time, logged = struct.unpack('<i4Bdd', packed, at)
  if time >= passed or logged >= passed then kept[#kept + 1] = packed:sub(at, at + SIZE - 1) end
end
if #kept == 0 then
  redis.call('DEL', KEYS[1])
elseif #kept * SIZE < #packed then
  redis.call('SET', KEYS[1], table.concat(kept))
end
