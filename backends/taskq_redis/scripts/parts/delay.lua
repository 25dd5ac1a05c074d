-- Append an item to the list of a time, which is in `delayed_queue_schedule` already, and to the index of such items.
-- The index goes by pcall: it is for finding the item by its bytes, and a spoilt one must stop no job.
local function delay(list, index, time, item)
  redis.call('RPUSH', list, item)
  redis.pcall('SADD', index .. item, 'delayed:' .. time)
end
