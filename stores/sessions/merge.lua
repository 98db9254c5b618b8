-- Adds the entries of ARGV[1] to the session KEYS[1]; stores/sessions/packing.py says how they lie in it, and does the
-- same in Python. ARGV[2]: numbers of the event types that hide an item, as single digits; ARGV[3]: items hidden at
-- most; ARGV[4]: other events at most. Returns how many entries there are now.
local COUNT, SIZE, ITEM, EVENT = 2, 21, 4, 13

local function later(a, at, b)
  local item_a, kind_a, time_a, logged_a = struct.unpack('<i4Bdd', a, at)
  local item_b, kind_b, time_b, logged_b = struct.unpack('<i4Bdd', b)
  if time_a ~= time_b then return time_a > time_b end
  if item_a ~= item_b then return item_a > item_b end
  if kind_a ~= kind_b then return kind_a > kind_b end
  return logged_a > logged_b
end

local function place(part, entry)
  local low, high = 0, #part / SIZE
  while low < high do
    local middle = math.floor((low + high) / 2)
    if later(part, middle * SIZE + 1, entry) then low = middle + 1 else high = middle end
  end
  return low * SIZE + 1
end

local function placed(part, entries, same, most)
  local edits, seen, chunks, at = {}, {}, {}, 1
  table.sort(entries, function(a, b) return later(a, 1, b) end)
  for order, entry in ipairs(entries) do
    local head = entry:sub(1, same)
    local found = part:find(head, 1, true)
    while found and (found - 1) % SIZE ~= 0 do found = part:find(head, found + 1, true) end
    if not seen[head] and not (found and not later(entry, 1, part:sub(found, found + SIZE - 1))) then
      if found then edits[#edits + 1] = {place = found, skip = SIZE, bytes = '', order = order} end
      edits[#edits + 1] = {place = place(part, entry), skip = 0, bytes = entry, order = order}
    end
    seen[head] = true
  end
  table.sort(edits, function(a, b)
    if a.place ~= b.place then return a.place < b.place end
    if a.skip ~= b.skip then return a.skip < b.skip end
    return a.order < b.order
  end)
  for _, edit in ipairs(edits) do
    chunks[#chunks + 1] = part:sub(at, edit.place - 1)
    chunks[#chunks + 1] = edit.bytes
    at = edit.place + edit.skip
  end
  chunks[#chunks + 1] = part:sub(at)
  return table.concat(chunks):sub(1, tonumber(most) * SIZE)
end

local session, hiding, others = redis.call('GET', KEYS[1]), '', ''
if session then
  local past = COUNT + struct.unpack('<H', session) * SIZE
  hiding, others = session:sub(COUNT + 1, past), session:sub(past + 1)
end
local hides, rest = {}, {}
for start = 1, #ARGV[1], SIZE do
  local entry = ARGV[1]:sub(start, start + SIZE - 1)
  local into = ARGV[2]:find(tostring(entry:byte(5)), 1, true) and hides or rest
  into[#into + 1] = entry
end
hiding, others = placed(hiding, hides, ITEM, ARGV[3]), placed(others, rest, EVENT, ARGV[4])
if hiding ~= '' or others ~= '' then
  redis.call('SET', KEYS[1], struct.pack('<H', #hiding / SIZE) .. hiding .. others)
end
return (#hiding + #others) / SIZE
