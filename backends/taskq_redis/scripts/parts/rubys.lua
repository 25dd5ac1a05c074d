-- Ruby's scheduler reads the list of a time that has come and only then has Redis tell it of changes (WIRE.md section 9,
-- [46]): what others put into it in between it cuts off unread, and what they take out it enqueues all the same. It
-- asked for the lock before. So while it has the lock, nobody else touches the list of a time that has come for it: what
-- is new waits for a time a little later, and what is there is as good as in its queue.
local RUBYS_CLOCK = 2 -- seconds by which it may be ahead of Redis's

-- The last time, in whole seconds, that may have come for a scheduler of Ruby's; nothing where none has the lock. Its
-- names are HOST:PID; taskq's have a third part.
local function rubys_until(lock)
  local holder = redis.pcall('GET', lock)
  if type(holder) == 'string' and not string.find(holder, ':.*:') then
    return tonumber(redis.call('TIME')[1]) + RUBYS_CLOCK
  end
end

local function is_rubys(lock, time)
  local last = rubys_until(lock)
  return last ~= nil and tonumber(time) <= last
end

-- Where an item goes that is to wait for a time: the list of the time, and the time.
local function clear_of_ruby(lock, list, time)
  local last = rubys_until(lock)
  if last and tonumber(time) <= last then
    local later = string.format('%d', last + 1)
    return string.sub(list, 1, -#time - 1) .. later, later
  end
  return list, time
end
