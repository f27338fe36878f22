-- Replays request paths from a file, one a line; each thread takes every n-th. For wrk:
--   wrk -s replay.lua URL -- FILE THREADS
local counter = 0
local threads = {}

function setup(thread)
  thread:set("id", counter)
  counter = counter + 1
  table.insert(threads, thread)
end

function init(args)
  requests = {}
  local n = 0
  for line in io.lines(args[1]) do
    if n % tonumber(args[2]) == id then
      requests[#requests + 1] = wrk.format("GET", line)
    end
    n = n + 1
  end
  position = 0
  used_up = 0
  failed = 0
end

function request()
  position = position + 1
  if position > #requests then
    -- A nonce that is sent twice is refused; the caller signs enough for the time.
    used_up = 1
    position = 1
  end
  return requests[position]
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
