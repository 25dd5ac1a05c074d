-- Remove all entries of a failed list.
-- KEYS: 1 the failed list.
-- Returns: how many there were.
-- Atomic because the number is of what was removed.
-- Cannot raise after its first write because that is its last; UNLINK, for freeing a million entries takes a while.
local length = redis.call('LLEN', KEYS[1])
redis.call('UNLINK', KEYS[1])
return length
