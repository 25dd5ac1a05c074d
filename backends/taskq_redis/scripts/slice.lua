-- Read a part of a list that may be near its end.
-- KEYS: 1 the list.
-- ARGV: the first index, how many.
-- Returns: the elements, fewer where the list ends.
-- Atomic because an index that is counted from the end is an element's only within one script.
local first, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local length = redis.call('LLEN', KEYS[1])
local stop = math.min(first + count, length)
-- LRANGE walks to its first element from the oldest one, which in Redis 6 takes 12 ms of a million failures; LINDEX walks
-- from the end that its sign says, once for each. Taken is what walks less.
if (stop - first) * (length - first) > first then
  return redis.call('LRANGE', KEYS[1], first, stop - 1)
end
local found = {}
for index = first, stop - 1 do
  found[#found + 1] = redis.call('LINDEX', KEYS[1], index - length)
end
return found
