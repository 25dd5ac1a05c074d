-- Take a worker id, exclusively.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers, 5 workers:heartbeat, 6 taskq:workers, 7 registration:ID,
--   8 worker:ID:started, 9 stat:processed:ID, 10 stat:failed:ID, 11 a key that is never there.
-- ARGV: worker's id, the process part of its tokens, registration, started, heartbeat.
-- Returns: 1 it is this registration's (now or before), 0 it belongs to somebody else, dead or alive.
-- Atomic because of two that want one id the second must find all that the first wrote.
-- Cannot raise after its first lasting write because the keys were read before, and what the user may not do in this
--   Redis is found out on a key of no use: a right that is missing must not show when a job is between two keys.
local id, process = ARGV[1], ARGV[2]
local kept = redis.call('GET', KEYS[3])
local mine = kept and string.sub(kept, 1, 8) == process
local member = redis.call('SISMEMBER', KEYS[4], id) == 1
redis.call('SCARD', KEYS[6])
if member and mine then
  return 1
end
local trace = redis.call('HEXISTS', KEYS[5], id) + redis.call('STRLEN', KEYS[1]) + redis.call('LLEN', KEYS[2])
if member or trace > 0 then
  return 0
end

local scratch = KEYS[11]
redis.call('DEL', scratch)
for _, command in ipairs({
  { 'RPUSH', scratch, 'a', 'b' }, { 'LPUSH', scratch, 'c' }, { 'LREM', scratch, 1, 'b' }, { 'LTRIM', scratch, 0, 0 },
  { 'LPOP', scratch }, { 'SADD', scratch, 'a' }, { 'SREM', scratch, 'a' }, { 'HSET', scratch, 'a', '1' },
  { 'HDEL', scratch, 'a' }, { 'INCRBY', scratch, 1 }, { 'SET', scratch, 'a' },
}) do
  local answer = redis.pcall(unpack(command))
  if type(answer) == 'table' and answer.err then
    redis.call('DEL', scratch)
    return answer
  end
end
redis.call('DEL', scratch, KEYS[9], KEYS[10])
redis.call('SADD', KEYS[4], id)
redis.call('SADD', KEYS[6], id)
redis.call('SET', KEYS[8], ARGV[4])
redis.call('HSET', KEYS[5], id, ARGV[5])
redis.call('SET', KEYS[7], ARGV[3])
redis.call('SET', KEYS[3], mine and kept or process .. '0000000010')
return 1
