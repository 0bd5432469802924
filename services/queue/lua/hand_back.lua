-- Moves what is in flight back to the end of the queue that is taken next, oldest first.
--
-- KEYS[1]  an in-flight list
-- KEYS[2]  the queue
-- ARGV[1]  most elements
-- ARGV[2]  most bytes; the element that goes beyond is still moved
-- Returns  how many were moved; 1 when the in-flight list is empty now, else 0.
local most_elements, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local moved, bytes = 0, 0
while moved < most_elements and bytes < most_bytes do
  local element = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
  if not element then
    return {moved, 1}
  end
  moved, bytes = moved + 1, bytes + #element
end
return {moved, 0}
