-- Reads a piece of an element that was set aside.
--
-- KEYS[1]  the element's key
-- ARGV[1]  first byte, counted from 1
-- ARGV[2]  last byte
-- Returns  the bytes, or nothing when there is no element.
local element = redis.call('LINDEX', KEYS[1], 0)
return element and string.sub(element, tonumber(ARGV[1]), tonumber(ARGV[2]))
