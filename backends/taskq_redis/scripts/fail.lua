-- Settle a started job as failed.
-- KEYS: 1 worker:ID, 2 token:ID, 3 workers, 4 stat:processed, 5 stat:processed:ID, 6 stat:failed, 7 stat:failed:ID,
--   8 the failed list, 9 failed_queues.
-- ARGV: worker's id, token, fence, the failed entry, how many entries the list keeps (0: all), the list's name in
--   failed_queues (empty for the common list, which is not in there).
-- Returns: {1 settled or 0 not held (any more), length of the failed list}.
-- Atomic because the job leaves the worker's record and enters the failed list, counted, in one script.
-- Cannot raise after its first write because the keys it writes were read before, and counters go by pcall.
-- include: call
local is, kept = standing(KEYS[3], ARGV[1], KEYS[2], ARGV[2])
local length = redis.call('LLEN', KEYS[8])
if is ~= 'new' then
  return { answered(is, kept), length }
end
if ARGV[6] ~= '' then
  redis.call('SCARD', KEYS[9])
end
local held = fence_at(KEYS[1]) == ARGV[3]

keep(KEYS[2], ARGV[2], held and '1' or '0', kept)
if not held then
  return { 0, length }
end
redis.call('DEL', KEYS[1])
if ARGV[6] ~= '' then
  redis.call('SADD', KEYS[9], ARGV[6])
end
length = append_failure(KEYS[8], ARGV[4], ARGV[5])
for counter = 4, 7 do
  redis.pcall('INCRBY', KEYS[counter], 1)
end
return { 1, length }
