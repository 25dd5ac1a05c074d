-- Settle what a dead worker left, and forget it, if it is still as it was seen.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 registration:ID, 5 worker:ID:started, 6 stat:processed:ID,
--   7 stat:failed:ID, 8 workers, 9 taskq:workers, 10 workers:heartbeat, 11 stat:processed, 12 stat:failed,
--   13 the failed list, 14 failed_queues, 15 queues, 16 delayed_queue_schedule, 17 a key that is never there, then each
--   list that something goes back to, once.
-- ARGV: worker's id, record, heartbeat and token as seen (empty where there was none), the failed entry (empty: none),
--   how many entries the failed list keeps (0: all), its name in failed_queues (empty for the common one), then
--   where jobs go back to (see `places` in parts/put_back).
-- Returns: {1 settled or 0 not as seen, length of the failed list}.
-- Atomic because who dies in the middle of recovering must leave all or nothing, and of two only one may find it.
-- Cannot raise after its first write because every key that it writes was read before; counters go by pcall.
-- include: call
-- include: delay
-- include: rubys
-- include: put_back
local id = ARGV[1]
local record, token = redis.call('GET', KEYS[1]), redis.call('GET', KEYS[3])
local heartbeat = redis.call('HGET', KEYS[10], id)
local traces = redis.call('SISMEMBER', KEYS[8], id) + redis.call('SISMEMBER', KEYS[9], id) + redis.call('LLEN', KEYS[2])
local length = redis.call('LLEN', KEYS[13])
if (record or '') ~= ARGV[2] or (heartbeat or '') ~= ARGV[3] or (token or '') ~= ARGV[4] then
  return { 0, length }
end
if traces == 0 and not record and not heartbeat and not token then
  return { 0, length }
end
if ARGV[7] ~= '' then
  redis.call('SCARD', KEYS[14])
end
local jobs = places(15, 8)

note_times(15, jobs)
redis.call('DEL', unpack(KEYS, 1, 7))
redis.call('SREM', KEYS[8], id)
redis.call('SREM', KEYS[9], id)
redis.call('HDEL', KEYS[10], id)
put_back(15, 8, jobs)
if ARGV[5] ~= '' then
  if ARGV[7] ~= '' then
    redis.call('SADD', KEYS[14], ARGV[7])
  end
  length = append_failure(KEYS[13], ARGV[5], ARGV[6])
  redis.pcall('INCRBY', KEYS[11], 1)
  redis.pcall('INCRBY', KEYS[12], 1)
end
return { 1, length }
