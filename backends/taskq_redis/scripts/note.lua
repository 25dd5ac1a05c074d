-- Note that a job held ahead begins now, and that those held before it ended well.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 workers, 4 stat:processed, 5 stat:processed:ID.
-- ARGV: worker's id, fence.
-- Returns nothing that anybody reads: it is sent behind a CLIENT REPLY SKIP.
-- Atomic because the record moves from one key to the other, and those before it are counted, in one script.
-- Cannot raise after its first write because the keys it writes were read before, and counters go by pcall. That first
-- write takes off a list, so that in a full Redis it runs to its end. It needs no token: a job begins once.
-- include: call
-- include: batch
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 0 then
  return 0
end
local in_hand = fence_at(KEYS[1])
local at, record = standing_at(in_hand, KEYS[2], ARGV[2])
if not record then
  return 0
end
redis.call('LTRIM', KEYS[2], at, -1)
redis.call('SET', KEYS[1], record)
count(KEYS[4], KEYS[5], in_hand and at or at - 1)
return 1
