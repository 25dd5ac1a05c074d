-- Take one item out of the list of a time, which it is in. Its time stays in the index while an equal one waits for it.
local function take_away(list, index, times, time, item)
  redis.call('LREM', list, 1, item)
  if not redis.call('LPOS', list, item) then
    redis.pcall('SREM', index, 'delayed:' .. time)
  end
  if redis.call('EXISTS', list) == 0 then
    redis.call('ZREM', times, time)
  end
end
