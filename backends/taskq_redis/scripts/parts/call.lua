local call, sub = redis.call, string.sub

-- What a call of a worker with this token is: 'gone' (not registered under it), 'late', 'again', or 'new'.
-- The second result is what the token's key holds: token (16), answer (1), beats.
local function standing(workers, id, key, token)
  local kept = call('GET', key)
  if call('SISMEMBER', workers, id) == 0 or not kept or sub(kept, 1, 8) ~= sub(token, 1, 8) then
    return 'gone', kept
  end
  local last, number = tonumber(sub(kept, 9, 16), 16), tonumber(sub(token, 9), 16)
  if number < last then
    return 'late', kept
  end
  return number == last and 'again' or 'new', kept
end

-- What one that is not new hears: asked again, the kept answer; else no.
local function answered(is, kept)
  return is == 'again' and tonumber(sub(kept, 17, 17)) or 0
end

-- Keep the token with its answer. The DEL comes first: in a full Redis a script that began with one runs to its end.
local function keep(key, token, answer, kept)
  call('DEL', key)
  call('SET', key, token .. answer .. sub(kept, 18))
end

-- The fence of the record in a key (nil: there is none), or of a record: TOKEN:PLACE, the 21 bytes before the last two.
local function fence_at(key)
  local fence = call('GETRANGE', key, -23, -3)
  return fence ~= '' and fence or nil
end

local function fence_of(record)
  return sub(record, -23, -3)
end

-- Append to a failed list, keep its newest `most` entries (0: all). Its new length.
local function append_failure(list, entry, most)
  local length = call('RPUSH', list, entry)
  if tonumber(most) > 0 and length > tonumber(most) then
    call('LTRIM', list, -most, -1)
  end
  return length
end
