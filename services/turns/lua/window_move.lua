-- Moves the stamps of a request that left later than at its moment.
--
-- KEYS[1]  the stamps of requests
-- KEYS[2]  the stamps of input pictures; only if they are limited
-- ARGV[1]  seconds of the window
-- ARGV[2]  the stamp
-- ARGV[3]  seconds it is moved by
-- ARGV[4]  how many stamps of requests it has
-- ARGV[5]  how many stamps of input pictures it has
-- Returns  nothing.

-- Every window that ends at the new stamp held the old one too, so this exceeds no limit. A list without the old one has
-- been forgotten, and learns of the request. The order is mended when the next moment is taken.
local moved = string.format('%.6f', ARGV[2] + ARGV[3])
for index, key in ipairs(KEYS) do
  local count = tonumber(ARGV[3 + index])
  if count > 0 then
    redis.call('LREM', key, count, ARGV[2])
  end
  for _ = 1, count do
    redis.call('LPUSH', key, moved)
  end
  redis.call('PEXPIRE', key, math.ceil(ARGV[1] * 1000))
end
