-- Renews the right to probe for whoever holds it.
--
-- KEYS[1]  the right to probe
-- ARGV[1]  who holds it
-- ARGV[2]  milliseconds of its lease
-- Returns  1; or 0 when it is not theirs any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
