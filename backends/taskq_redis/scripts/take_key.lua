-- Set the first of several keys that is not there, for a time.
-- KEYS: 1 a key that is never there, then the keys.
-- ARGV: value, milliseconds.
-- Returns: {which key was set or 0, the value given or the first key's, milliseconds until the first of them expires}.
-- Atomic because of two that want one key the second must find what the first wrote.
-- Cannot raise after its first write because the keys were read before. In a full Redis it goes through: jobs that
--   need a key to begin would otherwise never end.
local value, left
for i = 2, #KEYS do
  local there = redis.call('GET', KEYS[i])
  if not there then
    redis.call('DEL', KEYS[1])
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
    return { i - 1, ARGV[1], 0 }
  end
  value = value or there
  local expires = redis.call('PTTL', KEYS[i])
  if expires >= 0 and (not left or expires < left) then
    left = expires
  end
end
return { 0, value, left or 0 }
