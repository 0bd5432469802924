-- Puts an element that was set aside into the queue again, to be taken next, and drops its dead letter.
--
-- KEYS[1]  the element's key
-- KEYS[2]  the queue
-- KEYS[3]  the dead letters
-- ARGV[1]  the letter
-- Returns  1; or 0 when there is no element, and nothing was done.
if not redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT') then
  return 0
end
redis.call('LREM', KEYS[3], 1, ARGV[1])
return 1
