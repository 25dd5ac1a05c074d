-- Note that a job held ahead begins now, and that those held before it ended well.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 workers, 4 stat:processed, 5 stat:processed:ID.
-- ARGV: worker's id, fence.
-- Returns nothing that anybody reads: it is sent behind a CLIENT REPLY SKIP.
-- Atomic because the record moves from one key to the other, and those before it are counted, in one script.
-- Cannot raise after its first write because the keys it writes were read before, and counters go by pcall. That first
-- write takes off a list, so that in a full Redis it runs to its end. It needs no token: a job begins once.
-- Nearly always the next one begins; what `batch` in parts/ does for any other costs more, and every job would pay.
local call, try, W, A = redis.call, redis.pcall, KEYS[1], KEYS[2]
if call('SISMEMBER', KEYS[3], ARGV[1]) == 0 then
  return
end
local ended, record = call('STRLEN', W) > 0 and 1 or 0, call('LINDEX', A, '0')
if record and string.sub(record, -23, -3) == ARGV[2] then
  call('LPOP', A)
else
-- include: batch
  local at
  at, record = standing_at(false, A, ARGV[2])
  if not at then
    return
  end
  call('LTRIM', A, at, -1)
  ended = ended + at - 1
end
call('SET', W, record)
if ended > 0 then
  local by = ended == 1 and '1' or tostring(ended)
  try('INCRBY', KEYS[4], by)
  try('INCRBY', KEYS[5], by)
end
