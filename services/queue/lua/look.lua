-- Looks at the queue, on a server that takes writes. Needs elements.lua before it.
--
-- KEYS[1]  the queue
-- KEYS[2]  a key of ours, written to see whether writes are taken
-- ARGV[1]  milliseconds after which KEYS[2] vanishes
-- ARGV[2]  most bytes of an element that is returned
-- Returns  how many elements the queue has; the one that is taken next, or nothing when there is none or it is longer.
redis.call('SET', KEYS[2], '', 'PX', ARGV[1])
local waiting, oldest = redis.call('LLEN', KEYS[1]), redis.call('LINDEX', KEYS[1], -1)
if oldest and #oldest > tonumber(ARGV[2]) then
  oldest = false
  free_memory()
end
return {waiting, oldest}
