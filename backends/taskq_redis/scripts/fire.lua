-- Push jobs as one tick of a schedule.
-- KEYS: 1 the scheduler's lock, 2 fired, 3 delayed:last_enqueued_at, 4 queues, 5 the queue.
-- ARGV: the scheduler, the schedule's name, the tick, the time as Ruby notes it, the queue's name, payloads.
-- Returns: 1 done, 0 this tick or a later one was fired already, or the lock is not this scheduler's.
-- With the tick goes what the third key has then: where that is another, Ruby's scheduler has fired since.
-- Atomic because of several schedulers only one may push, once; the lock is the holder's only within one script.
-- Cannot raise after its first write because the keys were read before. A full Redis refuses the first write, and so
--   does one that may not do it; the tick is noted before the push, so that it cannot come twice.
local last = redis.call('HGET', KEYS[2], ARGV[2])
last = last and tonumber(string.match(last, '^%S+'))
if redis.call('GET', KEYS[1]) ~= ARGV[1] or (last and last >= tonumber(ARGV[3])) then
  return 0
end
local noted = #ARGV > 5 and ARGV[4] or redis.call('HGET', KEYS[3], ARGV[2]) or ''
redis.call('SCARD', KEYS[4])
redis.call('LLEN', KEYS[5])

redis.call('HSET', KEYS[2], ARGV[2], ARGV[3] .. ' ' .. noted)
if #ARGV > 5 then
  redis.call('SADD', KEYS[4], ARGV[5])
  for i = 6, #ARGV do
    redis.call('RPUSH', KEYS[5], ARGV[i])
  end
  redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
end
return 1
