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
-- include: rubys
-- include: pick
for key = 6, #KEYS do
  redis.call('LLEN', KEYS[key])
end
redis.call('SCARD', KEYS[4])
local items = {}
for i = 3, #ARGV, 4 do
  items[#items + 1] = ARGV[i]
end
return take_many(KEYS[1], KEYS[2], KEYS[3], KEYS[5], ARGV[1], ARGV[2], items, function(place)
  local i = 4 * place - 1
  redis.call('SADD', KEYS[4], ARGV[i + 2])
  redis.call('RPUSH', KEYS[tonumber(ARGV[i + 1])], ARGV[i + 3])
end)
