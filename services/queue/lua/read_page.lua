-- Reads one page of a list, from right to left. Needs elements.lua before it.
--
-- KEYS[1]  a list: the queue, an in-flight list or the dead letters
-- ARGV[1]  index of the rightmost element to read (-1: the last)
-- ARGV[2]  most elements
-- ARGV[3]  most bytes; the element that fills the page is still in it
-- ARGV[4]  most bytes of an element that is returned whole
-- ARGV[5]  bytes of either end that are returned of a longer one
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
