-- Put an entry at the newest end of a failed list.
-- KEYS: 1 the failed list, 2 failed_queues.
-- ARGV: the entry, how many entries the list keeps (0: all), the list's name in failed_queues (empty for the common
--   list, which is not in there).
-- Returns: how many entries the list has then.
-- Atomic because a list that failed_queues does not name is never looked at.
-- Cannot raise after its first write because the keys were read before. A full Redis refuses the first write, so nothing
--   is done.
-- include: call
redis.call('LLEN', KEYS[1])
if ARGV[3] ~= '' then
  redis.call('SCARD', KEYS[2])
  redis.call('SADD', KEYS[2], ARGV[3])
end
return append_failure(KEYS[1], ARGV[1], ARGV[2])
