-- Find items in the list of a time: their indexes, how many of each there are to take, and of which equal ones stay. The
-- list is walked once for all of them: for each by itself it would be once for each, to know whether an equal one stays.
local function pick(list, items)
  local wanted, taken, stays, indexes = {}, {}, {}, {}
  for _, item in ipairs(items) do
    wanted[item] = (wanted[item] or 0) + 1
  end
  for first = 0, redis.call('LLEN', list) - 1, 1000 do
    for place, item in ipairs(redis.call('LRANGE', list, first, first + 999)) do
      local more = wanted[item]
      if more and more > 0 then
        wanted[item], taken[item] = more - 1, (taken[item] or 0) + 1
        indexes[#indexes + 1] = first + place - 1
      elseif more then
        stays[item] = true
      end
    end
  end
  return indexes, taken, stays
end

-- Take what was picked out of the list: each is marked where it is, which is quick, and the marks go in one command.
local function take_picked(list, indexes, taken, stays, prefix, times, time)
  local mark = '\0taskq:taken'
  for _, index in ipairs(indexes) do
    redis.call('LSET', list, index, mark)
  end
  if #indexes > 0 then
    redis.call('LREM', list, 0, mark)
  end
  for item in pairs(taken) do
    if not stays[item] then
      redis.pcall('SREM', prefix .. item, 'delayed:' .. time)
    end
  end
  if redis.call('EXISTS', list) == 0 then
    redis.call('ZREM', times, time)
  end
end

-- What the user may not do must show before anything is changed (see probe.lua, which tries the rest).
local function probe_marks(scratch)
  redis.call('LPUSH', scratch, '')
  redis.call('LSET', scratch, 0, '')
  redis.call('DEL', scratch)
end

-- Take items of one time away, after `moving(place)` for each that is there; none where they are Ruby's to move. For each
-- item 1 or 0. It needs the parts probe and rubys.
local function take_many(list, times, scratch, lock, time, prefix, items, moving)
  local indexes, taken, stays = pick(list, items)
  redis.call('ZCARD', times)
  local done, left, rubys = {}, {}, is_rubys(lock, time)
  if not rubys then
    probe(scratch)
    probe_marks(scratch)
  end
  for place, item in ipairs(items) do
    left[item] = left[item] or not rubys and taken[item] or 0
    done[place] = left[item] > 0 and 1 or 0
    left[item] = left[item] - done[place]
    if done[place] == 1 and moving then
      moving(place)
    end
  end
  if not rubys then
    take_picked(list, indexes, taken, stays, prefix, times, time)
  end
  return done
end
