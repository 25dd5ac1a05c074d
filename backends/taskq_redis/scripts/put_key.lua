-- Set a key, for a time.
-- KEYS: 1 the key.
-- ARGV: value, milliseconds.
-- Atomic because it is never without its expiry; a script and not SET because a full Redis refuses a SET, not a DEL.
-- Cannot raise after its first write because a SET takes any type.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
