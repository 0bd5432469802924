-- Replaces the in-flight copy of a long element by a dead letter; its bytes go to a key of their own, unread.
-- Needs elements.lua before it.
--
-- KEYS[1]  an in-flight list
-- KEYS[2]  the key the element is to have
-- KEYS[3]  the dead letters
-- ARGV[1]  size of the element in bytes
-- ARGV[2]  its fingerprint
-- ARGV[3]  bytes of either end in the fingerprint
-- ARGV[4]  the letter
-- Returns  1; or 0 when no such element is in flight, or KEYS[2] is taken, and nothing was done.
local size, end_bytes = tonumber(ARGV[1]), tonumber(ARGV[3])
for index = 0, redis.call('LLEN', KEYS[1]) - 1 do
  local element = redis.call('LINDEX', KEYS[1], index)
  if #element == size and fingerprint(element, end_bytes) == ARGV[2] then
    element = nil
    free_memory()
    if redis.call('COPY', KEYS[1], KEYS[2]) == 0 then
      return 0
    end
    redis.call('LTRIM', KEYS[2], index, index)
    -- LREM by the element itself would write it to the append-only file once more. The name of its key is as unique.
    redis.call('LSET', KEYS[1], index, KEYS[2])
    redis.call('LREM', KEYS[1], 1, KEYS[2])
    redis.call('LPUSH', KEYS[3], ARGV[4])
    return 1
  end
end
return 0
