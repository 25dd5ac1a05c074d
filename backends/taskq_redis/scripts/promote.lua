-- Move one delayed job into its queue now.
-- KEYS: 1 the list of its time, 2 delayed_queue_schedule, 3 queues, 4 the queue, 5 a key that is never there, 6 the
--   index of such items, 7 the scheduler's lock.
-- ARGV: the time, the item, the queue's name, the payload.
-- Returns: 1 moved, 0 it is not there, or is Ruby's to move.
-- Atomic because the job is in the list of its time or in its queue.
-- Cannot raise after its first write because the keys were read before, what the user may not do shows on a key of no
--   use, and the index goes by pcall. It pushes first and removes then.
-- include: probe
-- include: take_away
-- include: rubys
if not redis.call('LPOS', KEYS[1], ARGV[2]) or is_rubys(KEYS[7], ARGV[1]) then
  return 0
end
redis.call('ZCARD', KEYS[2])
redis.call('SCARD', KEYS[3])
redis.call('LLEN', KEYS[4])

probe(KEYS[5])
redis.call('SADD', KEYS[3], ARGV[3])
redis.call('RPUSH', KEYS[4], ARGV[4])
take_away(KEYS[1], KEYS[6], KEYS[2], ARGV[1], ARGV[2])
return 1
