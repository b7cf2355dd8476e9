-- SPDX-License-Identifier: BSD-3-Clause
-- wrk's part of tests/bench/issue. Environment: KIND derived or token, CALLER_KEY, RECORD (a file to which what
-- was received is appended at once, one credential a line; without it nothing is), ROUND (part of the names).
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init()
  local kind, key, round = os.getenv("KIND"), os.getenv("CALLER_KEY"), os.getenv("ROUND") or "0"
  local sent = 0
  local name = function()
    sent = sent + 1
    return "u" .. round .. "-" .. number .. "-" .. sent
  end
  if kind == "token" then
    local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    local body = "grant_type=client_credentials&audience=turn.test-server&client_id=bench&client_secret=" .. key .. "&subject="
    request = function() return wrk.format("POST", "/oauth2/token", headers, body .. name()) end
  else
    local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }
    request = function()
      return wrk.format("POST", "/v1/realms/turn.test/credentials", headers, '{"user": "' .. name() .. '"}')
    end
  end
  local path = os.getenv("RECORD")
  if path then
    local file = assert(io.open(path, "a"))
    file:setvbuf("no")
    response = function(status, _, body)
      if status == 200 or status == 201 then
        file:write(body:match('"access_token":"([^"]+)"') or body:match('"username":"([^"]+)"') or "?", "\n")
      end
    end
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.status, e.connect + e.read + e.write + e.timeout))
end
