-- Keep a schedule, or remove it, and say to schedulers which one has changed.
-- KEYS: 1 persistent_schedules, 2 schedules_changed.
-- ARGV: its name, what it is (none: remove it).
-- Returns: 1 one of this name was there, 0 none was.
-- Atomic because a change that nobody is told of would be found at the next start only.
-- Cannot raise after its first write because both keys were read before.
redis.call('SCARD', KEYS[2])
local there = redis.call('HEXISTS', KEYS[1], ARGV[1])

if ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('SADD', KEYS[2], ARGV[1])
return there
