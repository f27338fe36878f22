-- Replays request paths from files, one a line, a file for each thread. For wrk:
--   wrk -s replay.lua URL -- FILE        (reads FILE.0, FILE.1, …)
-- A thread of wrk begins to send while the next one is still in init, so init only reads the
-- file as a whole; lines are cut when they are sent.
local threads = {}

function setup(thread)
  thread:set("id", #threads)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1] .. "." .. id))
  paths = file:read("*a")
  file:close()
  position = 1
  used_up = 0
  failed = 0
  tail = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
end

function request()
  local stop = string.find(paths, "\n", position, true)
  if not stop then
    -- A nonce that is sent twice is refused; the caller signs enough for the time.
    used_up = 1
    position = 1
    stop = string.find(paths, "\n", position, true)
  end
  local path = string.sub(paths, position, stop - 1)
  position = stop + 1
  return "GET " .. path .. tail
end

function response(status)
  if status ~= 200 then failed = failed + 1 end
end

function done(summary, latency, _)
  local bad, dry = 0, 0
  for _, thread in ipairs(threads) do
    bad = bad + thread:get("failed")
    dry = dry + thread:get("used_up")
  end
  io.write(string.format(
    "RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), bad, dry, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
