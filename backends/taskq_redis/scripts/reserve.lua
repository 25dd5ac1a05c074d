-- Finish what is settled, then take up to LIMIT jobs from the first queues that have any, and record them as in flight.
-- KEYS: 1 worker:ID, 2 ahead:ID, 3 token:ID, 4 workers, 5 pause-all-workers, 6 paused, 7 stat:processed,
--   8 stat:processed:ID, then the queues.
-- ARGV: worker's id, limit, where a queue's name begins in its key, per queue the beginning of a record
--   (`{"queue":NAME,"run_at":"`), token, run_at, then the fences of what is settled.
-- Returns: {-1} not registered under this token; {0} what was to be settled is not held: nothing changed;
--   {1, n} nothing there, n workers are registered; {1, i, body, i, body...} taken from the i-th queue (-i and an empty
--   body: that queue's key is no list, it was passed over); {2, record, records ahead...} what is held already.
-- Atomic because settling, counting, taking and recording are one script: no job is ever in neither place, or in two.
-- Cannot raise after its first write because all that it changes but the queues and counters was read before it, and
--   those are changed by pcall; SET and RPUSH of the records hit keys known to be free.
-- include: call
-- include: shown
local W, A, TOKEN, FIXED = KEYS[1], KEYS[2], KEYS[3], 8
local queues = #KEYS - FIXED
local id, limit, name_at = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local token, run_at, before = ARGV[queues + 4], ARGV[queues + 5], queues + 5
local settled = #ARGV - before

local is, kept = standing(KEYS[4], id, TOKEN, token)
if is == 'gone' then
  return { -1 }
end
local fence, ahead = fence_at(W), redis.call('LLEN', A)
local in_hand = fence ~= '' and 1 or 0

local function held()
  if in_hand + ahead == 0 then
    return { 1, 0 }
  end
  local answer = redis.call('LRANGE', A, 0, -1)
  table.insert(answer, 1, redis.call('GET', W))
  table.insert(answer, 1, 2)
  return answer
end

if is == 'again' and string.sub(kept, 17, 17) == '0' then
  return { 0 }
elseif is ~= 'new' then
  return held()
end

local pause = string.match(string.lower(redis.call('GET', KEYS[5]) or ''), '^%s*(.-)[%s%z]*$') == 'true'
local some_paused = redis.call('SCARD', KEYS[6]) > 0
local matches = settled <= in_hand + ahead
for i = 1, matches and settled or 0 do
  local at = i - in_hand
  matches = matches and ARGV[before + i] == (at == 0 and fence or fence_of(redis.call('LINDEX', A, at - 1)))
end

keep(TOKEN, token, matches and '1' or '0', kept)
if not matches then
  return { 0 }
end
if settled > 0 then
  redis.call('DEL', W)
  if settled > in_hand then
    redis.call('LTRIM', A, settled - in_hand, -1)
  end
  ahead, in_hand = ahead - (settled - in_hand), 0
  redis.pcall('INCRBY', KEYS[7], settled)
  redis.pcall('INCRBY', KEYS[8], settled)
end
if in_hand + ahead > 0 then
  return held()
end

local answer, place = { 1 }, 0
for i = 1, pause and 0 or queues do
  local queue = KEYS[FIXED + i]
  if not (some_paused and redis.call('SISMEMBER', KEYS[6], string.sub(queue, name_at)) == 1) then
    while place < limit do
      local body = redis.pcall('LPOP', queue)
      if type(body) ~= 'string' then
        if body then
          answer[#answer + 1], answer[#answer + 2] = -i, ''
        end
        break
      end
      place = place + 1
      local record = table.concat({
        ARGV[3 + i], run_at, '","payload":', shown(body), ',"fence":"', token, string.format(':%04d"}', place)
      })
      redis.call(place == 1 and 'SET' or 'RPUSH', place == 1 and W or A, record)
      answer[#answer + 1], answer[#answer + 2] = i, body
    end
  end
  if place >= limit then
    break
  end
end
if place == 0 then
  answer[#answer + 1] = redis.call('SCARD', KEYS[4])
end
return answer
