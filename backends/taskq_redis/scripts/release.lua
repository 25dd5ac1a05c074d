-- Put jobs back into their queues, ahead of what is there or behind it, in their own order.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers, 5 stat:processed, 6 stat:processed:ID, 7 queues, then each
--   queue once.
-- ARGV: worker's id, token, 1 front or 0 back, where a queue's name begins in its key, 1 where the first one had begun
--   (then those held before it ended well) or 0, then for each job: fence, which of the queues, body.
-- Returns: 1 all are back, 0 one of them is not held (any more), and nothing was changed.
-- Atomic because the jobs leave the worker's records and are in their queues in one script.
-- Cannot raise after its first write because every key that it writes was read before, and counters go by pcall.
-- include: call
-- include: batch
-- include: put_back
local is, kept = standing(KEYS[4], ARGV[1], KEYS[3], ARGV[2])
if is ~= 'new' then
  return answered(is, kept)
end
local in_hand, ahead = fence_at(KEYS[1]), {}
for _, record in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  ahead[fence_of(record)] = record
end
look_at_queues(7)
local held, jobs = true, {}
for i = 6, #ARGV, 3 do
  held = held and (ARGV[i] == in_hand or ahead[ARGV[i]] ~= nil)
  jobs[#jobs + 1] = { KEYS[7 + tonumber(ARGV[i + 1])], ARGV[i + 2] }
end

keep(KEYS[3], ARGV[2], held and '1' or '0', kept)
if not held then
  return 0
end
if ARGV[5] == '1' then
  local at = standing_at(in_hand, KEYS[2], ARGV[6])
  count(KEYS[5], KEYS[6], forget_through(in_hand, KEYS[1], KEYS[2], at))
end
for i = 6, #ARGV, 3 do
  if ARGV[i] == in_hand then
    redis.call('DEL', KEYS[1])
  else
    redis.call('LREM', KEYS[2], 1, ahead[ARGV[i]])
  end
end
put_back(KEYS[7], jobs, ARGV[3] == '1', ARGV[4])
return 1
