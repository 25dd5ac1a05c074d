-- Remove delayed jobs, the earliest first, so many at once.
-- KEYS: 1 delayed_queue_schedule, 2 the scheduler's lock.
-- ARGV: how many jobs and times, what every key begins with.
-- Returns: {1 there are more or 0, then for each time that had any: the time, its items}. What is Ruby's to move stays.
-- Atomic because who removes them tells of each, and a list's time goes with it.
-- Cannot raise after its first write because the sorted set was read before and the rest goes by pcall; a time whose
--   key is no list goes, and the key stays.
-- include: rubys
local room, PREFIX = tonumber(ARGV[1]), ARGV[2]
local rubys = rubys_until(KEYS[2])
local from = rubys and '(' .. rubys or '-inf'
local times = redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'LIMIT', 0, room)
local answer = { 0 }
for _, time in ipairs(times) do
  local key = PREFIX .. 'delayed:' .. time
  local items = redis.pcall('LRANGE', key, 0, room - 1)
  for _, item in ipairs(items) do
    redis.pcall('SREM', PREFIX .. 'timestamps:' .. item, 'delayed:' .. time)
  end
  room = room - #items - 1
  if #items > 0 then
    redis.call('LTRIM', key, #items, -1)
    answer[#answer + 1] = time
    answer[#answer + 1] = items
  end
  if redis.call('EXISTS', key) == 0 or items.err then
    redis.call('ZREM', KEYS[1], time)
  end
  if room <= 0 then
    break
  end
end
answer[1] = redis.call('ZCOUNT', KEYS[1], from, '+inf') > 0 and 1 or 0
return answer
