-- Push the payloads of several failed jobs of one list and mark their entries, each that is still where it was found.
-- KEYS: 1 the failed list, 2 queues, 3 and on the queues.
-- ARGV: for each job: the entry's index, the entry, what stands in its place then, the number of the queue's key, the
--   queue's name, the payload.
-- Returns: for each: 1 done, 0 another entry is there.
-- Atomic because of two who requeue one entry only one may push; several in one script only for the round trips.
-- Cannot raise after its first write because the keys were read before and the indexes are there. A full Redis refuses
--   the first write, so nothing is done.
-- include: entries
for key = 3, #KEYS do
  redis.call('LLEN', KEYS[key])
end
redis.call('SCARD', KEYS[2])
local length = redis.call('LLEN', KEYS[1])
local there = entries_at(KEYS[1], length, 1, 6)

local done = {}
for at = 1, #ARGV, 6 do
  local index = tonumber(ARGV[at])
  if there[index] == ARGV[at + 1] then
    redis.call('SADD', KEYS[2], ARGV[at + 4])
    redis.call('RPUSH', KEYS[tonumber(ARGV[at + 3])], ARGV[at + 5])
    redis.call('LSET', KEYS[1], from_nearer_end(index, length), ARGV[at + 2])
    there[index] = ARGV[at + 2]
    done[#done + 1] = 1
  else
    done[#done + 1] = 0
  end
end
return done
