-- SPDX-License-Identifier: BSD-3-Clause
-- wrk's part of tests/bench/issue. Environment: KIND derived, token, batch (100 derived ones a request), es256 or rs256 (TOKENS: a
-- file of access tokens), CALLER_KEY, RECORD (a file to which what
-- was received is appended at once, one credential a line; without it nothing is), ROUND (part of the names).
local threads = {}
bad = 0 -- results of batches that are no credential

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
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
  elseif kind == "batch" then
    local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }
    request = function()
      local users = {}
      for n = 1, 100 do
        users[n] = '{"user": "' .. name() .. '"}'
      end
      return wrk.format("POST", "/v1/realms/turn.test/batch", headers, '{"requests": [' .. table.concat(users, ",") .. "]}")
    end
    response = function(status, _, body)
      local _, made = body:gsub('"status":201', "")
      bad = bad + 100 - made
    end
  elseif kind == "es256" or kind == "rs256" then
    local requests = {}
    for token in io.lines(os.getenv("TOKENS")) do
      local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }
      table.insert(requests, wrk.format("POST", "/v1/realms/turn.test/credentials", headers, "{}"))
    end
    request = function()
      sent = sent + 1
      return requests[sent % #requests + 1]
    end
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
  local e, failed = summary.errors, 0
  for _, thread in ipairs(threads) do
    failed = failed + thread:get("bad")
  end
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.status + failed, e.connect + e.read + e.write + e.timeout))
end
