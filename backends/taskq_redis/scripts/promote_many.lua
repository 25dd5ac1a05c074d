-- Move delayed jobs of one time into their queues now.
-- KEYS: 1 the list of the time, 2 delayed_queue_schedule, 3 a key that is never there, 4 queues, 5 the scheduler's lock,
--   6 and on the queues.
-- ARGV: the time, what the keys of the index begin with, then for each job: the item, the number of its queue's key, the
--   queue's name, the payload.
-- Returns: for each job 1 moved, 0 it is not there, or is Ruby's to move.
-- Atomic because each job is in the list of its time or in its queue; several in one script for the walk of the list,
--   which is one.
-- Cannot raise after its first write because the keys were read before, what the user may not do shows on a key of no
--   use, and the index goes by pcall. It pushes first and removes then.
-- include: probe
-- include: pick
-- include: rubys
for key = 6, #KEYS do
  redis.call('LLEN', KEYS[key])
end
redis.call('SCARD', KEYS[4])
local items = {}
for i = 3, #ARGV, 4 do
  items[#items + 1] = ARGV[i]
end
local indexes, taken, stays = pick(KEYS[1], items)
redis.call('ZCARD', KEYS[2])

local done, left = {}, {}
if is_rubys(KEYS[5], ARGV[1]) then
  for i = 1, #items do
    done[i] = 0
  end
  return done
end
probe(KEYS[3])
probe_marks(KEYS[3])
for i = 3, #ARGV, 4 do
  local item = ARGV[i]
  left[item] = left[item] or taken[item] or 0
  if left[item] > 0 then
    redis.call('SADD', KEYS[4], ARGV[i + 2])
    redis.call('RPUSH', KEYS[tonumber(ARGV[i + 1])], ARGV[i + 3])
    left[item] = left[item] - 1
    done[#done + 1] = 1
  else
    done[#done + 1] = 0
  end
end
take_picked(KEYS[1], indexes, taken, stays, ARGV[2], KEYS[2], ARGV[1])
return done
