-- Push a failed job's payload and mark its entry, if that is still where it was found.
-- KEYS: 1 the failed list, 2 queues, 3 the queue.
-- ARGV: the entry's index, the entry, what stands in its place then, the queue's name, the payload.
-- Returns: 1 done, 0 another entry is there.
-- Atomic because of two who requeue one entry only one may push.
-- Cannot raise after its first write because the keys were read before and the index is there. A full Redis refuses the
--   first write, so nothing is done.
local at, length = tonumber(ARGV[1]), redis.call('LLEN', KEYS[1])
if at * 2 >= length then
  at = at - length -- Redis 6 walks from the end that the sign says
end
if redis.call('LINDEX', KEYS[1], at) ~= ARGV[2] then
  return 0
end
redis.call('SCARD', KEYS[2])
redis.call('LLEN', KEYS[3])

redis.call('SADD', KEYS[2], ARGV[4])
redis.call('RPUSH', KEYS[3], ARGV[5])
redis.call('LSET', KEYS[1], at, ARGV[3])
return 1
