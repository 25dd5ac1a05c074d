-- Write a worker's heartbeat, if it is registered.
-- KEYS: 1 token:ID, 2 workers, 3 workers:heartbeat, 4 registration:ID.
-- ARGV: worker's id, the process part of its tokens, heartbeat, its new registration (empty: as it was).
-- Returns: 1 written, 0 not registered under this process part.
-- Atomic because a heartbeat written after a pruner took the worker would revive a ghost.
-- Cannot raise after its first write because the keys it writes were read before.
local kept = redis.call('GET', KEYS[1])
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 or not kept or string.sub(kept, 1, 8) ~= ARGV[2] then
  return 0
end
redis.call('HLEN', KEYS[3])

-- The date has whole seconds, so beats are counted too: who judges must see each one. DEL first, for a full Redis.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], string.sub(kept, 1, 17) .. string.format('%d', (tonumber(string.sub(kept, 18)) or 0) + 1))
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[4], ARGV[4])
end
return 1
