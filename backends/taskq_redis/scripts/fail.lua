-- Settle a job as failed, and those held before it as done; the job may go back as well, to be performed again.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers, 5 stat:processed, 6 stat:processed:ID, 7 stat:failed,
--   8 stat:failed:ID, 9 the failed list, 10 failed_queues, 11 queues, 12 delayed_queue_schedule, 13 a key that is
--   never there, then the list that the job goes back to, if any.
-- ARGV: worker's id, token, fence, the failed entry, how many entries the list keeps (0: all), the list's name in
--   failed_queues (empty for the common list, which is not in there), then where the job goes back to (see `places` in
--   parts/put_back).
-- Returns: {1 settled or 0 not held (any more), length of the failed list}.
-- Atomic because the job leaves the worker's record, enters the failed list, counted, and is back in one script.
-- Cannot raise after its first write because the keys it writes were read before, and counters go by pcall.
-- include: call
-- include: batch
-- include: delay
-- include: rubys
-- include: put_back
local is, kept = standing(KEYS[4], ARGV[1], KEYS[3], ARGV[2])
local length = redis.call('LLEN', KEYS[9])
if is ~= 'new' then
  return { answered(is, kept), length }
end
if ARGV[6] ~= '' then
  redis.call('SCARD', KEYS[10])
end
local in_hand = fence_at(KEYS[1])
local at = standing_at(in_hand, KEYS[2], ARGV[3])
local back = places(11, 7)

if at then
  note_times(11, back)
end
keep(KEYS[3], ARGV[2], at and '1' or '0', kept)
if not at then
  return { 0, length }
end
local before = forget_through(in_hand, KEYS[1], KEYS[2], at)
if ARGV[6] ~= '' then
  redis.call('SADD', KEYS[10], ARGV[6])
end
length = append_failure(KEYS[9], ARGV[4], ARGV[5])
count(KEYS[5], KEYS[6], before + 1)
count(KEYS[7], KEYS[8], 1)
put_back(11, 7, back)
return { 1, length }
