-- The earliest time for which a job waits.
-- KEYS: 1 delayed_queue_schedule.
-- ARGV: what the key of a time's list begins with, how many times to look at.
-- Returns: the time's score as a text; nothing where no job waits. Of times without a list, which Ruby leaves behind
--   where it removes jobs, so many are passed over, and then the next one is answered whatever it has.
-- Atomic because one answer is wanted and not a walk; it writes nothing.
local times = redis.call('ZRANGE', KEYS[1], 0, ARGV[2], 'WITHSCORES')
for i = 1, #times, 2 do
  if redis.call('EXISTS', ARGV[1] .. times[i]) == 1 then
    return times[i + 1]
  end
end
return #times > 2 * tonumber(ARGV[2]) and times[#times]
