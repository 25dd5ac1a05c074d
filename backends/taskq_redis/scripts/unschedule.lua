-- Remove every delayed job that has exactly these bytes.
-- KEYS: 1 delayed_queue_schedule, 2 the index of such items, 3 the scheduler's lock.
-- ARGV: the item, the time (empty: of all that the index has), what every key begins with.
-- Returns: how many there were. Those that are Ruby's to move stay.
-- Atomic because the number is of what was removed, and a time whose list ran empty goes with it.
-- Cannot raise after its first write because both keys were read before, and a time's list goes by pcall: one that is
--   no list has no such item.
-- include: rubys
local times = redis.call('SMEMBERS', KEYS[2])
redis.call('ZCARD', KEYS[1])
if ARGV[2] ~= '' then
  times = { 'delayed:' .. ARGV[2] }
end

local removed, rubys = 0, rubys_until(KEYS[3])
for _, name in ipairs(times) do
  local key, time = ARGV[3] .. name, string.match(name, '^delayed:(.*)$')
  if not rubys or not tonumber(time) or tonumber(time) > rubys then
    local here = time and redis.pcall('LREM', key, 0, ARGV[1])
    if type(here) == 'number' then
      removed = removed + here
      if redis.call('EXISTS', key) == 0 then
        redis.call('ZREM', KEYS[1], time)
      end
    end
    redis.call('SREM', KEYS[2], name)
  end
end
return removed
