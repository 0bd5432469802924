-- Finds the newest dead letter with a given beginning.
--
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
