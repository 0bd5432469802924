-- Puts the element of a dead letter into the queue again, to be taken next, and drops the letter.
--
-- KEYS[1]  the queue
-- KEYS[2]  the dead letters
-- ARGV[1]  the letter
-- ARGV[2]  its element
-- Returns  1; or 0 when there is no such letter any more, and nothing was done.

-- In this order, because a full server refuses what adds: then the letter is still there.
redis.call('RPUSH', KEYS[1], ARGV[2])
if redis.call('LREM', KEYS[2], 1, ARGV[1]) == 0 then
  redis.call('RPOP', KEYS[1])
  return 0
end
return 1
