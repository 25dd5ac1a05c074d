-- Where a key holds a value, set it to another for a time, or remove it.
-- KEYS: 1 the key.
-- ARGV: the value, milliseconds, the other one (none: remove it).
-- Returns: 1 done, 0 it holds something else or nothing.
-- Atomic because a key that expired meanwhile may be somebody else's by now.
-- Cannot raise after its first write because it was read before. In a full Redis it goes through, for it opens with a
--   DEL.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
if ARGV[3] then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
end
return 1
