"""The Lua scripts of the queue: what Redis does by itself, in one step, so that no long element crosses the wire.

Inside Redis a script holds copies of what it looks at, so each looks at few elements at a time and stops after a number
of bytes. A long element gets its own key by COPY and LTRIM, which answer without it (docs/adr/0014).
"""

from pathlib import Path
from typing import Final

_ENDS: Final = """
local function ends(element, end_bytes)
  return string.sub(element, 1, end_bytes), string.sub(element, -end_bytes)
end
local function fingerprint(element, end_bytes)
  local head, tail = ends(element, end_bytes)
  return redis.sha1hex(#element .. ':' .. head .. tail)
end
-- Not every server that speaks Lua has it, and it is only tidiness.
local function free_memory()
  pcall(function() collectgarbage() end)
end
"""
"""An element is told by its size and both ends. Two that differ only in the middle are the same for all that is said
and done about them here, and hashing 512 MB would keep Redis from everybody else for two seconds."""

READ_PAGE: Final = (
    _ENDS
    + """
-- KEYS[1]  a list
-- ARGV     index of the rightmost element to read (-1: the last), most elements, most bytes,
--          most bytes of an element that is returned whole, bytes of either end that are returned of a longer one
-- Returns  1 when the left end of the list was reached, else 0; then elements from right to left:
--          its bytes, or {size, fingerprint, head, tail} of a longer one.
local right, most_elements, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local whole_bytes, end_bytes = tonumber(ARGV[4]), tonumber(ARGV[5])
local LONGEST_BATCH, SMALL_BATCH_BYTES = 32, 262144
local page, page_bytes, batch, long_seen = {0}, 0, 1, false
while #page <= most_elements and page_bytes < most_bytes do
  batch = math.min(batch, most_elements - #page + 1)
  local elements = redis.call('LRANGE', KEYS[1], right - batch + 1, right)
  local batch_bytes = 0
  for index = #elements, 1, -1 do
    local element = elements[index]
    batch_bytes = batch_bytes + #element
    if #element <= whole_bytes then
      page[#page + 1] = element
      page_bytes = page_bytes + #element
    else
      local head, tail = ends(element, end_bytes)
      page[#page + 1] = {#element, fingerprint(element, end_bytes), head, tail}
      page_bytes = page_bytes + 2 * end_bytes
      long_seen = true
    end
    right = right - 1
    if page_bytes >= most_bytes then
      break
    end
  end
  if #elements < batch and page_bytes < most_bytes then
    page[1] = 1
    break
  end
  batch = batch_bytes < SMALL_BATCH_BYTES and math.min(2 * batch, LONGEST_BATCH) or 1
end
if long_seen then
  free_memory()
end
return page
"""
)

SET_ASIDE: Final = (
    _ENDS
    + """
-- KEYS     an in-flight list; the key the element is to have; the dead letters
-- ARGV     size and fingerprint of the element, bytes of either end in the fingerprint, the letter
-- Returns  1; or 0 when no such element is in flight, or the key is taken, and nothing was done.
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
"""
)

HAND_BACK: Final = """
-- KEYS     an in-flight list; the queue
-- ARGV     most elements, most bytes
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
"""

BACKLOG: Final = """
-- KEYS     the queue; a key of ours, written to see whether writes are taken
-- ARGV[1]  milliseconds after which that key vanishes
-- Returns  how many elements the queue has.
redis.call('SET', KEYS[2], '', 'PX', ARGV[1])
return redis.call('LLEN', KEYS[1])
"""

FIND_LETTER: Final = """
-- KEYS[1]  the dead letters
-- ARGV[1]  what the letter begins with
-- Returns  the letter, or nothing.
local BATCH = 16
local start = 0
while true do
  local letters = redis.call('LRANGE', KEYS[1], start, start + BATCH - 1)
  for _, letter in ipairs(letters) do
    if string.sub(letter, 1, #ARGV[1]) == ARGV[1] then
      return letter
    end
  end
  if #letters < BATCH then
    return false
  end
  start = start + BATCH
end
"""

REPLAY: Final = (Path(__file__).with_name("queue_lua") / "replay.lua").read_text(encoding="utf-8")

REPLAY_SET_ASIDE: Final = """
-- KEYS     the element's key; the queue; the dead letters
-- ARGV[1]  the letter
-- Returns  1; or 0 when there is no element, and nothing was done.
if not redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT') then
  return 0
end
redis.call('LREM', KEYS[3], 1, ARGV[1])
return 1
"""

READ_PIECE: Final = """
-- KEYS[1]  the key of an element that was set aside
-- ARGV     first and last byte, counted from 1
-- Returns  the bytes, or nothing when there is no element.
local element = redis.call('LINDEX', KEYS[1], 0)
return element and string.sub(element, tonumber(ARGV[1]), tonumber(ARGV[2]))
"""
