-- Add to a counter, which lives for a time from when it began.
-- KEYS: 1 the counter, 2 a key that is never there.
-- ARGV: the amount, milliseconds.
-- Returns: what it is then.
-- Atomic because it is never without its expiry.
-- Cannot raise after its first lasting write because only INCRBY may (it holds no number, or one too large), and then
--   nothing is written.
local there = redis.call('EXISTS', KEYS[1])
redis.call('DEL', KEYS[2])
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if there == 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return count
