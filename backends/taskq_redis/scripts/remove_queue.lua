-- Remove a queue, its waiting jobs and its pause.
-- KEYS: 1 the queue, 2 queues, 3 paused.
-- ARGV: its name.
-- Returns: how many jobs went with it.
-- Atomic because the number is of what was removed.
-- Cannot raise after its first write because the two sets were read before, and UNLINK takes any type.
local is = redis.call('TYPE', KEYS[1]).ok
local length = is == 'list' and redis.call('LLEN', KEYS[1]) or 0
redis.call('SCARD', KEYS[2])
redis.call('SCARD', KEYS[3])

redis.call('UNLINK', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[3], ARGV[1])
return length
