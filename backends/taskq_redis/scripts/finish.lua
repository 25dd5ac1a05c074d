-- Settle a job as done, and those held before it.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers, 5 stat:processed, 6 stat:processed:ID.
-- ARGV: worker's id, token, fence.
-- Returns: 1 settled, 0 not held (any more).
-- Atomic because the fence is compared, the records deleted and the jobs counted in one script.
-- Cannot raise after its first write because the keys it writes were read before, and counters go by pcall.
-- include: call
-- include: batch
local is, kept = standing(KEYS[4], ARGV[1], KEYS[3], ARGV[2])
if is ~= 'new' then
  return answered(is, kept)
end
local in_hand = fence_at(KEYS[1])
local at = standing_at(in_hand, KEYS[2], ARGV[3])

keep(KEYS[3], ARGV[2], at and '1' or '0', kept)
if not at then
  return 0
end
count(KEYS[5], KEYS[6], forget_through(in_hand, KEYS[1], KEYS[2], at) + 1)
return 1
