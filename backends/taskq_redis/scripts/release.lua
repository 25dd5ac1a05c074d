-- Put jobs back into their queues, ahead of what is there or behind it, in their own order; or among the delayed jobs.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers, 5 stat:processed, 6 stat:processed:ID, 7 queues,
--   8 delayed_queue_schedule, 9 a key that is never there, then each list that something goes back to, once.
-- ARGV: worker's id, token, 1 where the first one had begun (then those held before it ended well) or 0, how many jobs,
--   the fence of each, then where they go back to (see `places` in parts/put_back).
-- Returns: 1 all are back, 0 one of them is not held (any more), and nothing was changed.
-- Atomic because the jobs leave the worker's records and are where they go back to in one script.
-- Cannot raise after its first write because every key that it writes was read before, and counters go by pcall.
-- include: call
-- include: batch
-- include: delay
-- include: rubys
-- include: put_back
local is, kept = standing(KEYS[4], ARGV[1], KEYS[3], ARGV[2])
if is ~= 'new' then
  return answered(is, kept)
end
local in_hand, ahead = fence_at(KEYS[1]), {}
for _, record in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
  ahead[fence_of(record)] = record
end
local last = 4 + tonumber(ARGV[4])
local jobs = places(7, last + 1)
local held = true
for i = 5, last do
  held = held and (ARGV[i] == in_hand or ahead[ARGV[i]] ~= nil)
end

if held then
  note_times(7, jobs)
end
keep(KEYS[3], ARGV[2], held and '1' or '0', kept)
if not held then
  return 0
end
if ARGV[3] == '1' then
  local at = standing_at(in_hand, KEYS[2], ARGV[5])
  count(KEYS[5], KEYS[6], forget_through(in_hand, KEYS[1], KEYS[2], at))
end
for i = 5, last do
  if ARGV[i] == in_hand then
    redis.call('DEL', KEYS[1])
  else
    redis.call('LREM', KEYS[2], 1, ahead[ARGV[i]])
  end
end
put_back(7, last + 1, jobs)
return 1
