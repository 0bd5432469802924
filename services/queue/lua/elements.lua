-- How an element is told from others. Put before the programs that compare elements; it is no program itself.
--
-- An element is told by its size and both its ends. Two that differ only in the middle are the same for all that is said
-- and done about them here, and hashing 512 MB would keep Redis from everybody else for two seconds.
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
