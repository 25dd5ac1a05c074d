-- Take one delayed job away and append an entry to the failed list.
-- KEYS: 1 the list of its time, 2 delayed_queue_schedule, 3 the failed list, 4 a key that is never there, 5 the index
--   of such items, 6 the scheduler's lock.
-- ARGV: the time, the item, the failed entry, how many entries the failed list keeps (0: all).
-- Returns: {1 done or 0 it is not there or is Ruby's to move, length of the failed list}.
-- Atomic because the job is in the list of its time or in the failed list.
-- Cannot raise after its first write because the keys were read before, what the user may not do shows on a key of no
--   use, and the index goes by pcall. It appends first and removes then.
-- include: probe
-- include: call
-- include: take_away
-- include: rubys
local length = redis.call('LLEN', KEYS[3])
if not redis.call('LPOS', KEYS[1], ARGV[2]) or is_rubys(KEYS[6], ARGV[1]) then
  return { 0, length }
end
redis.call('ZCARD', KEYS[2])

probe(KEYS[4])
length = append_failure(KEYS[3], ARGV[3], ARGV[4])
take_away(KEYS[1], KEYS[5], KEYS[2], ARGV[1], ARGV[2])
return { 1, length }
