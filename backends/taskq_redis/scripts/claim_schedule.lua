-- Take the scheduler's lock for a time, if nobody has it; who has it may hold it longer.
-- KEYS: 1 the lock (resque-scheduler's own, WIRE.md section 9), 2 a key that is never there.
-- ARGV: the scheduler, milliseconds.
-- Returns: whose it is now.
-- Atomic because only one may find it free; a script and not SET NX because a full Redis refuses a SET, not a DEL.
-- Cannot raise after its first write because the lock was read before.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return holder
end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
