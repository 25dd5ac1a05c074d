-- Move jobs that are due to the ends of their queues, the earliest first.
-- KEYS: 1 the scheduler's lock, 2 delayed_queue_schedule, 3 queues, 4 a key that is never there.
-- ARGV: the scheduler, now, how many items to look at, how many bytes of them, what every key begins with.
-- Returns: {the lock's holder, how many were moved, 1 there may be more that are due or 0, a queue's key that is no
--   list (empty: none), a time's key that is no list (empty: none), then time and item of each that says no queue}.
-- Atomic because the lock is the holder's only within one script, and a job is in the list of its time or in its queue.
-- Cannot raise after its first write because every key that it writes was read before, a queue that is no list gets
--   nothing, the index goes by pcall, and what the user may not do shows on a key of no use.
-- It pushes first and removes then. A time whose key is no list stays and is passed over.
-- include: item
-- include: probe
local call, try = redis.call, redis.pcall
local TIMES, QUEUES, PREFIX = KEYS[2], KEYS[3], ARGV[5]
local holder = call('GET', KEYS[1]) or ''
if holder ~= ARGV[1] then
  return { holder, 0, 0, '', '' }
end
call('SCARD', QUEUES)
local room, bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local most, size = bytes, 0
local times = call('ZRANGEBYSCORE', TIMES, '-inf', ARGV[2], 'LIMIT', 0, room)
local answer = { holder, 0, #times == room and 1 or 0, '', '' }

-- What goes where, in order: {queue's key, bodies...}, and of each list {its key, time, how many items were looked at, of
-- how many, those that stay}.
local names, pushes, of_queue, lists, index = {}, {}, {}, {}, {}

local function place_of(queue)
  local pushed = of_queue[queue]
  if pushed == nil then
    local key = PREFIX .. 'queue:' .. queue
    if type(try('LLEN', key)) == 'number' then
      pushed = { key }
      names[#names + 1], pushes[#pushes + 1] = queue, pushed
    else
      pushed, answer[4] = false, key
    end
    of_queue[queue] = pushed
  end
  return pushed
end

for _, time in ipairs(times) do
  if room <= 0 or bytes <= 0 then
    answer[3] = 1
    break
  end
  local key = PREFIX .. 'delayed:' .. time
  local length, looked, stay = try('LLEN', key), 0, {}
  if type(length) ~= 'number' then
    answer[5], length = key, 0
  else
    lists[#lists + 1] = { key, time, 0, length, stay }
  end
  while looked < length and room > 0 and bytes > 0 do
    -- As many as there are likely bytes left for; a few, where nothing is known of their size.
    local fits = size > 0 and math.min(math.ceil(bytes / size), 50) or 4
    local slice = call('LRANGE', key, looked, looked + math.min(room, fits) - 1)
    for _, item in ipairs(slice) do
      local queue, body = split(item)
      local pushed = queue and place_of(queue)
      if pushed then
        pushed[#pushed + 1] = body
        index[#index + 1] = { item, time }
      else
        stay[#stay + 1] = item
        if not queue then
          answer[#answer + 1], answer[#answer + 2] = time, item
        end
      end
      bytes = bytes - #item
    end
    looked, room = looked + #slice, room - #slice
    lists[#lists][3], size = looked, (most - bytes) / (tonumber(ARGV[3]) - room)
  end
  if looked < length then
    answer[3] = 1
  end
end

probe(KEYS[4])
if #names > 0 then
  call('SADD', QUEUES, unpack(names))
end
for _, pushed in ipairs(pushes) do
  call('RPUSH', unpack(pushed))
end
answer[2] = #index
for _, one in ipairs(index) do
  try('SREM', PREFIX .. 'timestamps:' .. one[1], 'delayed:' .. one[2])
end
for _, list in ipairs(lists) do
  local key, time, looked, length, stay = unpack(list)
  if looked == length and #stay == 0 then
    call('DEL', key)
    call('ZREM', TIMES, time)
  elseif looked > #stay then
    call('LTRIM', key, looked, -1)
    for i = #stay, 1, -1 do
      call('LPUSH', key, stay[i])
    end
  end
end
return answer
