-- Remove the first jobs of a queue, and with its last one the queue and its pause.
-- KEYS: 1 the queue, 2 queues, 3 paused.
-- ARGV: its name, how many jobs.
-- Returns: their bodies.
-- Atomic because who removes them tells of each, and what is pushed meanwhile is of a queue that is known.
-- Cannot raise after its first write because the keys were read before, and DEL takes any type.
local is = redis.call('TYPE', KEYS[1]).ok
local most = tonumber(ARGV[2])
local jobs = is == 'list' and most > 0 and redis.call('LRANGE', KEYS[1], 0, most - 1) or {}
local left = is == 'list' and redis.call('LLEN', KEYS[1]) - #jobs or 0
redis.call('SCARD', KEYS[2])
redis.call('SCARD', KEYS[3])

if left > 0 then
  redis.call('LTRIM', KEYS[1], #jobs, -1)
else
  redis.call('DEL', KEYS[1])
  redis.call('SREM', KEYS[2], ARGV[1])
  redis.call('SREM', KEYS[3], ARGV[1])
end
return jobs
