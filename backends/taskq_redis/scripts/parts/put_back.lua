-- Raise where one of the keys from this one on is of the wrong type: `queues`, then queues.
local function look_at_queues(first)
  redis.call('SCARD', KEYS[first])
  for i = first + 1, #KEYS do
    redis.call('LLEN', KEYS[i])
  end
end

-- Push jobs {queue's key, body} in their order; a queue that somebody removed meanwhile is known again.
local function put_back(queues, jobs, front, name_at)
  for i = 1, #jobs do
    local key, body = unpack(jobs[front and #jobs + 1 - i or i])
    redis.call(front and 'LPUSH' or 'RPUSH', key, body)
    redis.call('SADD', queues, string.sub(key, name_at))
  end
end
