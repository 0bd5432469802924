-- Gives the right to probe back.
--
-- KEYS[1]  the right to probe
-- ARGV[1]  who gives it back; when it is somebody else's by now, nothing happens
-- Returns  nothing.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
