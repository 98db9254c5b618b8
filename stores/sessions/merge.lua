-- Adds the entries of ARGV[1] to the session KEYS[1]; stores/sessions/packing.py says what an entry is, and does the
-- same in Python. ARGV[2]: numbers of the event types that hide an item, as single characters; ARGV[3]: items hidden
-- at most; ARGV[4]: other events at most. Returns how many entries there are now.
local SIZE = 21
local hiding, max_hidden, max_events = {}, tonumber(ARGV[3]), tonumber(ARGV[4])
for number in ARGV[2]:gmatch('%d') do hiding[tonumber(number)] = true end

local function later(a, b)
  if a.time ~= b.time then return a.time > b.time end
  if a.item ~= b.item then return a.item > b.item end
  if a.kind ~= b.kind then return a.kind > b.kind end
  return a.logged > b.logged
end

local function entries(packed)
  local found = {}
  for at = 1, #packed, SIZE do
    local item, kind, time, logged = struct.unpack('<i4Bdd', packed, at)
    found[#found + 1] = {item = item, kind = kind, time = time, logged = logged, bytes = packed:sub(at, at + SIZE - 1)}
  end
  return found
end

local old, new = entries(redis.call('GET', KEYS[1]) or ''), entries(ARGV[1])
table.sort(new, later)

local kept, hidden, hidden_count, others = {}, {}, 0, 0
local last = {}
local function keep(entry)
  if hiding[entry.kind] then
    if hidden[entry.item] or hidden_count >= max_hidden then return end
    hidden[entry.item] = true
    hidden_count = hidden_count + 1
  else
    if last.item == entry.item and last.kind == entry.kind and last.time == entry.time then return end
    last = entry
    others = others + 1
    if others > max_events then return end
  end
  kept[#kept + 1] = entry.bytes
end

-- What is stored is in order already, and a session may hold thousands.
local i, j = 1, 1
while i <= #old or j <= #new do
  if j > #new or (i <= #old and later(old[i], new[j])) then
    keep(old[i])
    i = i + 1
  else
    keep(new[j])
    j = j + 1
  end
end
redis.call('SET', KEYS[1], table.concat(kept))
return #kept
