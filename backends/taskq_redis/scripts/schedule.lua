-- Keep jobs until a time.
-- KEYS: 1 delayed_queue_schedule, 2 the list of the time, 3 the scheduler's lock.
-- ARGV: the time, what the keys of the index begin with, items.
-- Returns: how many wait for this time now.
-- Atomic because between two commands a scheduler would take a time without a list away, and then nobody would look at
--   the list; and because all of the jobs are there or none.
-- Cannot raise after its first write because the list was read before, and the index goes by pcall. A full Redis
--   refuses the first write; so does one that may not do it, and then there is a time without a list, which everybody
--   passes over.
-- include: delay
-- include: rubys
local list, time = clear_of_ruby(KEYS[3], KEYS[2], ARGV[1])
redis.call('LLEN', list)

redis.call('ZADD', KEYS[1], time, time)
for i = 3, #ARGV do
  delay(list, ARGV[2], time, ARGV[i])
end
return redis.call('LLEN', list)
