-- Note that the first of the jobs held ahead begins now.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers.
-- ARGV: worker's id, token, fence.
-- Returns: 1 it is the one in progress now (or was before), 0 it is not held as the next one.
-- Atomic because the record moves from one key to the other in one script.
-- Cannot raise after its first write because the keys it writes were read before.
-- include: call
local is, kept = standing(KEYS[4], ARGV[1], KEYS[3], ARGV[2])
if is ~= 'new' then
  return answered(is, kept)
end
local in_hand, record = fence_at(KEYS[1]), redis.call('LINDEX', KEYS[2], 0)
local begins = not in_hand and record and fence_of(record) == ARGV[3]
local answer = (begins or in_hand == ARGV[3]) and '1' or '0'

keep(KEYS[3], ARGV[2], answer, kept)
if begins then
  redis.call('LPOP', KEYS[2])
  redis.call('SET', KEYS[1], record)
end
return tonumber(answer)
