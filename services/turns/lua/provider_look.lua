-- Looks at what the workers share about a provider; changes nothing.
--
-- KEYS[1]  the stamps of requests: Unix seconds by this server's clock
-- KEYS[2]  the kind of failure for which calls are paused
-- ARGV[1]  seconds of the window
-- Returns  how many stamps are in the window that ends now, those to come among them; the kind, or nothing.
local time = redis.call('TIME')
local oldest, taken = time[1] + time[2] / 1000000 - tonumber(ARGV[1]), 0
for _, stamp in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if tonumber(stamp) >= oldest then
    taken = taken + 1
  end
end
return {taken, redis.call('GET', KEYS[2])}
