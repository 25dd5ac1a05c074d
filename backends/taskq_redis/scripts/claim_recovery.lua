-- Take a lock for a time, if nobody has it; who has it may hold it longer.
-- KEYS: 1 the lock, 2 a key that is never there.
-- ARGV: worker's id, PX (to be renewed) or EX (Resque's own, which is not), how long.
-- Returns: 1 it is this worker's, 0 somebody has it.
-- Atomic because only one may find it free; a script and not SET NX because a full Redis refuses a SET, not a DEL.
-- Cannot raise after its first write because the lock was read before.
local holder = redis.call('GET', KEYS[1])
if holder and (ARGV[2] == 'EX' or holder ~= ARGV[1]) then
  return 0
end
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1
