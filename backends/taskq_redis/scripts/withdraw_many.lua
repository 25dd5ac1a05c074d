-- Take delayed jobs of one time away.
-- KEYS: 1 the list of the time, 2 delayed_queue_schedule, 3 a key that is never there, 4 the scheduler's lock.
-- ARGV: the time, what the keys of the index begin with, items.
-- Returns: for each item 1 taken away, 0 it is not there, or is Ruby's to move.
-- Atomic because a time goes with its last job, and its entry in the index with the last equal one; several in one
--   script for the walk of the list, which is one.
-- Cannot raise after its first write because the keys were read before, what the user may not do shows on a key of no
--   use, and the index goes by pcall.
-- include: probe
-- include: rubys
-- include: pick
local items = {}
for i = 3, #ARGV do
  items[#items + 1] = ARGV[i]
end
return take_many(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2], items)
