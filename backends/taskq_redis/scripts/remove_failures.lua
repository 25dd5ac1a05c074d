-- Remove several entries of a failed list, each that is still where it was found.
-- KEYS: 1 the failed list, 2 a key that is never there.
-- ARGV: a mark that is no other entry; then for each entry its index and itself.
-- Returns: for each: 1 removed, 0 another entry is there.
-- Atomic because an index is an entry's only within one script. All are marked, and then removed in one pass from the
--   nearer end of the list: each by itself in the middle of a million takes 30 ms.
-- Cannot raise after its first write because the list was read before and the indexes are there.
-- include: entries
local length = redis.call('LLEN', KEYS[1])
redis.call('DEL', KEYS[2])

local there = entries_at(KEYS[1], length, 2, 2)
local done, found = {}, 0
for at = 2, #ARGV, 2 do
  local index = tonumber(ARGV[at])
  if there[index] == ARGV[at + 1] then
    redis.call('LSET', KEYS[1], from_nearer_end(index, length), ARGV[1])
    there[index] = nil
    found = found + 1
    done[#done + 1] = 1
  else
    done[#done + 1] = 0
  end
end
if found > 0 then
  local nearer = tonumber(ARGV[2]) * 2 < length and found or -found
  redis.call('LREM', KEYS[1], nearer, ARGV[1])
end
return done
