-- Where jobs go back to. KEYS from `first` on: queues, delayed_queue_schedule, a key that is never there, then each
-- list that something goes back to, once. ARGV from `from` on: where a queue's name begins in its key, what the keys
-- of the index begin with, the scheduler's lock, then for each job which of the lists, `front` or `back` of it or the time that it is of,
-- and the body (with a time the item). Raises where one of the keys is of the wrong type. Returns {list, where, body}
-- of each.
local function places(first, from)
  local jobs = {}
  if not KEYS[first + 3] then
    return jobs
  end
  redis.call('SCARD', KEYS[first])
  redis.call('ZCARD', KEYS[first + 1])
  for i = first + 3, #KEYS do
    redis.call('LLEN', KEYS[i])
  end
  for i = from + 3, #ARGV, 3 do
    local list, where = KEYS[first + 2 + tonumber(ARGV[i])], ARGV[i + 1]
    if tonumber(where) then
      list, where = clear_of_ruby(ARGV[from + 2], list, where)
      redis.call('LLEN', list)
    end
    jobs[#jobs + 1] = { list, where, ARGV[i + 2] }
  end
  return jobs
end

-- Before anything is moved: a time that a job goes back to is in delayed_queue_schedule. Who may not do that hears so
-- now, and then there is a time without a list, which everybody passes over. DEL first, for a full Redis.
local function note_times(first, jobs)
  for _, job in ipairs(jobs) do
    if tonumber(job[2]) then
      redis.call('DEL', KEYS[first + 2])
      redis.call('ZADD', KEYS[first + 1], job[2], job[2])
    end
  end
end

-- Put jobs back; those that go to a front in their own order. A queue that somebody removed meanwhile is known again.
local function put_back(first, from, jobs)
  local queues, name_at, index = KEYS[first], ARGV[from], ARGV[from + 1]
  for i = 1, #jobs do
    local key, where, body = unpack(jobs[i])
    if tonumber(where) then
      delay(key, index, where, body)
    elseif where == 'back' then
      redis.call('RPUSH', key, body)
      redis.call('SADD', queues, string.sub(key, name_at))
    end
  end
  for i = #jobs, 1, -1 do
    local key, where, body = unpack(jobs[i])
    if where == 'front' then
      redis.call('LPUSH', key, body)
      redis.call('SADD', queues, string.sub(key, name_at))
    end
  end
end
