-- Settle a started job as done.
-- KEYS: 1 worker:ID, 2 token:ID, 3 workers, 4 stat:processed, 5 stat:processed:ID.
-- ARGV: worker's id, token, fence.
-- Returns: 1 settled, 0 not held (any more).
-- Atomic because the fence is compared, the record deleted and the job counted in one script.
-- Cannot raise after its first write because the keys it writes were read before, and counters go by pcall.
-- include: call
local is, kept = standing(KEYS[3], ARGV[1], KEYS[2], ARGV[2])
if is ~= 'new' then
  return answered(is, kept)
end
local held = fence_at(KEYS[1]) == ARGV[3]

keep(KEYS[2], ARGV[2], held and '1' or '0', kept)
if held then
  redis.call('DEL', KEYS[1])
  redis.pcall('INCRBY', KEYS[4], 1)
  redis.pcall('INCRBY', KEYS[5], 1)
end
return held and 1 or 0
