-- Give the scheduler's lock back.
-- KEYS: 1 the lock.
-- ARGV: the scheduler.
-- Returns: 1 given back, 0 it is not this scheduler's.
-- Atomic because it may expire, and be another's, between the look and the end.
-- Cannot raise after its first write because that is its last.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
