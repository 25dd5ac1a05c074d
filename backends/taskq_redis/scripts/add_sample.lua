-- Append a sample to a series and keep its newest.
-- KEYS: 1 the series.
-- ARGV: the sample, how many are kept.
-- Returns: nothing of use.
-- Atomic because the list is never longer than is kept, whenever this process dies.
-- Cannot raise after its first write because that says that the key is a list. A full Redis refuses the first write.
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[2]), -1)
return 1
