-- What one reserve took is performed in its order: who speaks of a job says that those held before it ended well.
-- Where a job stands: 0 in hand, n the n-th of those ahead; nil: it is not held. Places are in the fences, so that one
-- look is enough, but where a part of the batch was given back.
local function standing_at(in_hand, ahead, fence)
  if in_hand == fence then
    return 0
  end
  local head = redis.call('LINDEX', ahead, 0)
  local guess = head and tonumber(string.sub(fence, -4)) - tonumber(string.sub(head, -6, -3)) or -1
  if guess >= 0 then
    local record = redis.call('LINDEX', ahead, guess)
    if record and string.sub(record, -23, -3) == fence then
      return guess + 1, record
    end
  end
  for at, record in ipairs(redis.call('LRANGE', ahead, 0, -1)) do
    if string.sub(record, -23, -3) == fence then
      return at, record
    end
  end
end

-- Forget a job and those held before it. How many of these there were. The first write may be this DEL.
local function forget_through(in_hand, worker, ahead, at)
  redis.call('DEL', worker)
  if at > 0 then
    redis.call('LTRIM', ahead, at, -1)
  end
  return at > 0 and (in_hand and at or at - 1) or 0
end

local function count(processed, of_worker, jobs)
  if jobs > 0 then
    redis.pcall('INCRBY', processed, jobs)
    redis.pcall('INCRBY', of_worker, jobs)
  end
end
