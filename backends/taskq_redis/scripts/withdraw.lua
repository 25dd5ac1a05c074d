-- Take one delayed job away.
-- KEYS: 1 the list of its time, 2 delayed_queue_schedule, 3 the index of such items, 4 the
--   scheduler's lock.
-- ARGV: the time, the item.
-- Returns: 1 taken away, 0 it is not there, or is Ruby's to move.
-- Atomic because a time goes with its last job, and its entry in the index with the last equal one.
-- Cannot raise after its first write because the keys were read before, and the index goes by pcall.
-- include: take_away
-- include: rubys
if not redis.call('LPOS', KEYS[1], ARGV[2]) or is_rubys(KEYS[4], ARGV[1]) then
  return 0
end
redis.call('ZCARD', KEYS[2])
take_away(KEYS[1], KEYS[3], KEYS[2], ARGV[1], ARGV[2])
return 1
