-- Counts the queue, on a server that takes writes.
--
-- KEYS[1]  the queue
-- KEYS[2]  a key of ours, written to see whether writes are taken
-- ARGV[1]  milliseconds after which KEYS[2] vanishes
-- Returns  how many elements the queue has.
redis.call('SET', KEYS[2], '', 'PX', ARGV[1])
return redis.call('LLEN', KEYS[1])
