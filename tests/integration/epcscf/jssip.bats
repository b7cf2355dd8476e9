#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# JsSIP, from the npm registry, gets its credentials from the eP-CSCF.

load ../lib
load ../turncredd/daemon
load epcscf

# Exact versions; npm installs them into the build folder, where they are kept. Who has no registry puts
# them somewhere and names that in NODE_PATH.
packages=(jssip@3.13.8 ws@8.18.3)

setup_file() {
  edge_up || return 0
  daemon_start main 'push_wait = 1s'
  edge_start main
  synced
  fetch_jssip
}
setup() {
  edge_ready
  has_jssip || skip "npm cannot fetch ${packages[*]}: $(<"$TC_DIR/npm")"
}
teardown() { turncred_check; daemon_check; edge_check; }
teardown_file() { edge_down; }

has_jssip() { NODE_PATH=$TC_BUILD/node/node_modules:${NODE_PATH-} node -e 'require("jssip"); require("ws")' 2>/dev/null; }
fetch_jssip() {
  local dir=$TC_BUILD/node
  ! has_jssip || return 0
  if ! command -v npm >/dev/null; then
    echo 'there is no npm' >"$TC_DIR/npm"
    return 0
  fi
  rm -rf "$dir"
  mkdir -p "$dir"
  timeout 300 npm install --prefix "$dir" --no-save --ignore-scripts --no-audit --no-fund "${packages[@]}" >"$TC_DIR/npm.log" 2>&1 3>&- 4>&- || {
    grep -im 3 'err' "$TC_DIR/npm.log" | tr '\n' ' ' >"$TC_DIR/npm"
    rm -rf "$dir"
  }
}

# jssip EDGE USER [PASSWORD-FILE] <<'PY': Python with "say(LINE)", which gives JsSIP's answer to a command
jssip() {
  export NODE_PATH=$TC_BUILD/node/node_modules:${NODE_PATH-} TC_USER=$2 TC_PASSWORD=${3:-$TC_DIR/passwords/$2@ims.test}
  { cat <<'PY'; sed 's/^/    /'; echo '    node.stdin.close(); await node.wait()'; echo 'await test_it()'; } | phones "$1"
async def test_it():
    node = await asyncio.create_subprocess_exec(
        "node", os.environ["TC_TOP"] + "/tests/integration/epcscf/jssip.cjs", f"wss://127.0.0.1:{(EDGE / 'port').read_text().strip()}",
        str(DIR / "tls/ca.pem"), os.environ["TC_USER"], "ims.test", os.environ["TC_PASSWORD"],
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)

    async def say(line):
        node.stdin.write(line.encode() + b"\n")
        answer = json.loads(await asyncio.wait_for(node.stdout.readline(), 40))
        if answer.get("credential"):
            answer["credential"] = Message("SIP/2.0 200 OK\r\nTurn-Credential: " + answer["credential"] + "\r\n\r\n").credential()
        return answer
PY
}

@test "derived in the answer to REGISTER, pushed in that to OPTIONS; both allocate; the end of each" {
  jssip main alice <<'PY'
answer = await say("register derived")
assert answer["registered"] and answer["credential"]["kind"] == "derived", answer
derived = answer["credential"]
probe(derived)
probe(derived, transport="tcp")
answer = await say("options pushed")
assert answer["status"] == 200 and answer["credential"]["kind"] == "pushed", answer
pushed = answer["credential"]
probe(pushed)
assert await say("unregister") == {"unregistered": True}
await refused(pushed)
ctl("revoke", "user", "turn.test", "alice")
await refused(derived)
ctl("unrevoke", "user", "turn.test", "alice")
PY
}

@test "it does not ask, and gets none; a wrong password gets none" {
  jssip main bob <<'PY'
answer = await say("register")
assert answer == {"registered": True, "status": 200, "credential": None}, answer
answer = await say("options")
assert answer == {"status": 200, "credential": None}, answer
await say("unregister")
PY
  echo wrong >"$TC_DIR/wrong"
  jssip main bob "$TC_DIR/wrong" <<'PY'
answer = await say("register derived")
assert answer == {"registered": False, "status": 401, "credential": None}, answer
answer = await say("options derived")
assert answer == {"status": 403, "credential": None}, answer
PY
}

@test "turncredd hangs: registered without" {
  kill -STOP "$(daemon_pid main)"
  jssip main carol <<'PY'
start = time.monotonic()
answer = await say("register derived")
assert answer == {"registered": True, "status": 200, "credential": None}, answer
assert time.monotonic() - start < 10
PY
  kill -CONT "$(daemon_pid main)"
}
