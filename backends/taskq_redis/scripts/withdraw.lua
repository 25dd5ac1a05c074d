-- Take one delayed job away.
-- KEYS: 1 the list of its time, 2 delayed_queue_schedule, 3 a key that is never there, 4 the index of such items.
-- ARGV: the time, the item.
-- Returns: 1 done, or 0 it is not there.
-- Atomic because a time goes with its last job, and no item of the index is left without one.
-- Cannot raise after its first write because the keys were read before, what the user may not do shows on a key of no
--   use, and the index goes by pcall.
-- include: probe
-- include: take_away
if not redis.call('LPOS', KEYS[1], ARGV[2]) then
  return 0
end
redis.call('ZCARD', KEYS[2])

probe(KEYS[3])
take_away(KEYS[1], KEYS[4], KEYS[2], ARGV[1], ARGV[2])
return 1
