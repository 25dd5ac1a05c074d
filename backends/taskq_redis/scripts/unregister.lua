-- Forget an idle worker.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 registration:ID, 5 worker:ID:started, 6 stat:processed:ID,
--   7 stat:failed:ID, 8 workers, 9 taskq:workers, 10 workers:heartbeat.
-- ARGV: worker's id, the process part of its tokens.
-- Returns: 1 forgotten, 0 it holds something or is not registered under this process part.
-- Atomic because a job reserved between the look and the end would be nobody's.
-- Cannot raise after its first write because the sets and the hash were read before, and DEL takes any type.
local kept = redis.call('GET', KEYS[3])
if redis.call('SISMEMBER', KEYS[8], ARGV[1]) == 0 or not kept or string.sub(kept, 1, 8) ~= ARGV[2] then
  return 0
end
if redis.call('STRLEN', KEYS[1]) + redis.call('LLEN', KEYS[2]) > 0 then
  return 0
end
redis.call('SCARD', KEYS[9])
redis.call('HLEN', KEYS[10])

redis.call('DEL', unpack(KEYS, 1, 7))
redis.call('SREM', KEYS[8], ARGV[1])
redis.call('SREM', KEYS[9], ARGV[1])
redis.call('HDEL', KEYS[10], ARGV[1])
return 1
