-- What the user may not do in this Redis must show before a job is between two keys: so it is tried on a key that is
-- never there. A DEL comes first: in a full Redis a script that began with one runs to its end.
local function probe(scratch)
  redis.call('DEL', scratch)
  redis.call('LTRIM', scratch, 0, 0)
  redis.call('LREM', scratch, 1, '')
  redis.call('ZREM', scratch, '')
  redis.call('LPUSH', scratch, '')
  redis.call('DEL', scratch)
end
