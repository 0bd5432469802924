-- Takes the next free moment of the provider's windows, if it is near enough.
--
-- KEYS[1]  the stamps of requests: Unix seconds by this server's clock, newest first; the first few may be to come
-- KEYS[2]  the stamps of input pictures; only if they are limited
-- ARGV[1]  seconds of the window
-- ARGV[2]  most seconds that a moment may be ahead
-- ARGV[3]  seconds between two moments
-- ARGV[4]  most stamps in the window of requests
-- ARGV[5]  stamps of requests that are taken now
-- ARGV[6]  most stamps in the window of input pictures
-- ARGV[7]  stamps of input pictures that are taken now
-- Returns  the time; the moment; 1 when it is the caller's now, or 0 when it is too far ahead and nothing was taken.
local window, ahead, spacing = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

-- No stamp is set further ahead than this. One that is was set before this server's clock was put back: it counts as
-- the latest possible, so that calls go on within a window and not after as long as the clock was put back.
local latest = now + ahead

-- A stamp that was moved, or set by a worker of an earlier release, may stand in front of a later one.
local function newest_first(key)
  local stamps, in_order = redis.call('LRANGE', key, 0, -1), true
  for index = 1, #stamps do
    stamps[index] = {text = stamps[index], seconds = tonumber(stamps[index])}
    if stamps[index].seconds > latest then
      stamps[index], in_order = {text = string.format('%.6f', latest), seconds = latest}, false
    end
    in_order = in_order and (index == 1 or stamps[index - 1].seconds >= stamps[index].seconds)
  end
  if not in_order then
    table.sort(stamps, function(one, other) return one.seconds > other.seconds end)
    redis.call('DEL', key)
    for _, stamp in ipairs(stamps) do
      redis.call('RPUSH', key, stamp.text)
    end
  end
  return stamps
end

local moment = now
for index, key in ipairs(KEYS) do
  local stamps, most, wanted = newest_first(key), tonumber(ARGV[2 + 2 * index]), tonumber(ARGV[3 + 2 * index])
  local last_in_the_way = stamps[most - wanted + 1]
  if last_in_the_way then
    moment = math.max(moment, last_in_the_way.seconds + window)
  end
  if stamps[1] then
    moment = math.max(moment, stamps[1].seconds + spacing)
  end
end

local stamp, taken = string.format('%.6f', moment), 0
if moment <= now + ahead then
  for index, key in ipairs(KEYS) do
    for _ = 1, tonumber(ARGV[3 + 2 * index]) do
      redis.call('LPUSH', key, stamp)
    end
    redis.call('LTRIM', key, 0, tonumber(ARGV[2 + 2 * index]) - 1)
    redis.call('PEXPIRE', key, math.ceil((window + ahead) * 1000))
  end
  taken = 1
end
return {string.format('%.6f', now), stamp, taken}
