-- Finish what is settled, then take up to LIMIT jobs from the first queues that have any, and record them as in flight.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers, 5 pause-all-workers, 6 paused, 7 stat:processed,
--   8 stat:processed:ID, then the queues.
-- ARGV: worker's id, limit, where a queue's name begins in its key, per queue the beginning of a record
--   (`{"queue":NAME,"run_at":"`), token, run_at, the fence of the last job that ended well (empty: none did;
--   `ahead`: none did, and what is taken is held behind what is held, where a job is in hand).
-- Returns: {-1} not registered under this token; {0} what was to be settled is not held: nothing changed;
--   {1, n} nothing there, n workers are registered; {1, i, body, i, body...} taken from the i-th queue (-i and an empty
--   body: that queue's key is no list, it was passed over); {2, record, records ahead...} what is held already.
-- Atomic because settling, counting, taking and recording are one script: no job is ever in neither place, or in two.
-- Cannot raise between recording and taking because the records' keys are known to be free and the queue was read;
--   counters go by pcall. What it settled before stays settled, and asked again it says so.
-- What `call` in parts/ does for the other scripts stands in place here: each closure costs, and every job pays.
-- include: shown
local call, try, sub = redis.call, redis.pcall, string.sub
local W, A, TOKEN, FIXED = KEYS[1], KEYS[2], KEYS[3], 8
local queues = #KEYS - FIXED
local token, run_at, settled = ARGV[queues + 4], ARGV[queues + 5], ARGV[queues + 6]

local kept = call('GET', TOKEN)
if call('SISMEMBER', KEYS[4], ARGV[1]) == 0 or not kept or sub(kept, 1, 8) ~= sub(token, 1, 8) then
  return { -1 }
end
local fence = call('GETRANGE', W, '-23', '-3') -- as texts: a number costs Redis 0.15 us
local in_hand, ahead, pause, some_paused = fence ~= '' and 1 or 0, 0, false, false
-- One look at what is rarely there instead of three.
if call('EXISTS', A, KEYS[5], KEYS[6]) > 0 then
  ahead = call('LLEN', A)
  pause = string.match(string.lower(call('GET', KEYS[5]) or ''), '^[%s%z]*(.-)[%s%z]*$') == 'true'
  some_paused = call('SCARD', KEYS[6]) > 0
end

local function held()
  if in_hand + ahead == 0 then
    return { 1, 0 }
  end
  local answer = call('LRANGE', A, 0, -1)
  table.insert(answer, 1, call('GET', W))
  table.insert(answer, 1, 2)
  return answer
end

local number, last = sub(token, 9), sub(kept, 9, 16) -- hex of one length: texts compare as numbers do
if number < last then
  return held()
elseif number == last then
  return sub(kept, 17, 17) == '0' and { 0 } or held()
end

-- How many are settled: those held before it as well. One job, in hand, is what nearly always is.
local behind_all = settled == 'ahead'
local ended = (settled == '' or behind_all) and 0 or in_hand == 1 and settled == fence and 1 or nil
if not ended and ahead > 0 then
-- include: batch
  local at = standing_at(false, A, settled)
  ended = at and at + in_hand
end

-- The first write is a DEL: in a full Redis a script that began with one runs to its end.
call('DEL', ended and ended > 0 and W or TOKEN)
call('SET', TOKEN, token .. (ended and '1' or '0') .. sub(kept, 18))
if not ended then
  return { 0 }
end
if ended > 0 then
  if ended > in_hand then
    call('LTRIM', A, ended - in_hand, -1)
  end
  ahead, in_hand = ahead - (ended - in_hand), 0
  local by = ended > 1 and tostring(ended) or '1'
  try('INCRBY', KEYS[7], by)
  try('INCRBY', KEYS[8], by)
end
if behind_all and in_hand == 0 then
  return { 1, 0 }
elseif in_hand + ahead > 0 and not behind_all then
  return held()
end

local answer, place, limit, name_at = { 1 }, 0, tonumber(ARGV[2]), tonumber(ARGV[3])
-- Behind the first queue, which has a job as a rule, 16 are looked at in one: 0.15 us for an empty one instead of 0.3.
local i, looked_at = 1, 1
while i <= queues and place < limit and not pause do
  local queue, all_empty = KEYS[FIXED + i], false
  if i > looked_at then
    looked_at = math.min(i + 15, queues)
    all_empty = call('EXISTS', unpack(KEYS, FIXED + i, FIXED + looked_at)) == 0
  end
  if all_empty then
    i = looked_at
  elseif not (some_paused and call('SISMEMBER', KEYS[6], sub(queue, name_at)) == 1) then
    local begins, behind = ARGV[3 + i] .. run_at .. '","payload":', ',"fence":"' .. token
    -- What might yet raise comes before the pop: a job that is in the queue still is not lost.
    if place == 0 and not behind_all then
      local body = try('LINDEX', queue, '0')
      if type(body) == 'string' then
        call('SET', W, begins .. shown(body) .. behind .. ':0001"}')
        call('LPOP', queue)
        place, answer[#answer + 1], answer[#answer + 2] = 1, i, body
      elseif body then
        answer[#answer + 1], answer[#answer + 2] = -i, ''
      end
    end
    -- The rest of a batch in few commands, for of one job each takes as long as all else. 100 are what `unpack` surely
    -- takes.
    while (place > 0 or behind_all) and place < limit do
      local bodies, records = try('LRANGE', queue, 0, math.min(limit - place, 100) - 1), {}
      if bodies.err then
        answer[#answer + 1], answer[#answer + 2] = -i, ''
      end
      if #bodies == 0 then
        break
      end
      for n, body in ipairs(bodies) do
        records[n] = begins .. shown(body) .. behind .. string.format(':%04d"}', place + n)
        answer[#answer + 1], answer[#answer + 2] = i, body
      end
      call('RPUSH', A, unpack(records))
      call('LTRIM', queue, #bodies, -1)
      place = place + #bodies
    end
  end
  i = i + 1
end
if place == 0 then
  answer[#answer + 1] = call('SCARD', KEYS[4])
end
return answer
