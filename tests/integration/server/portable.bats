#!/usr/bin/env bats
# One file turncred.so in turnservers of different compilers and flags: what they share is the ABI's
# structs alone.
# SPDX-License-Identifier: BSD-3-Clause
#
# The servers are built on first use (scripts/build-coturn) into the build folder, or named by
# TURNSERVER_CLANG and TURNSERVER_ASAN.

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived,pushed}'"
  key_add turn.test k1
  key_add turn.test d1 derived
  sha256sum "$TC_DIR/lib/turncred.so" >"$TC_DIR/module.sum"
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

# built NAME COMPILER CFLAGS: the path of a patched turnserver, or the test is skipped
built() {
  local out=$TC_BUILD/coturn-$1
  command -v "$2" >/dev/null || skip "$2 is missing"
  CC=$2 "$TC_TOP/scripts/build-coturn" --cflags "$3" "$out" >"$TC_DIR/$1.log" 2>&1 3>&- 4>&- || {
    cat "$TC_DIR/$1.log"
    return 1
  }
  program=$out/bin/turnserver
}

# what crosses the ABI: grants with keys of 16 and 20 octets, names, deadlines, refusals with their
# reasons, renewal, reload, the end of a session that the module asks for
runs() {
  local name=$1
  TC_TURNSERVER=$program server_start "$name"
  synced
  turn_step "$name" what_crosses_the_abi
  log_has "$name" 'reason=expired'
  kill -USR2 "$(<"$TC_DIR/servers/$name/pid")"
  turn_step "$name" session_that_the_module_ends
  server_alive "$name"
  server_stop "$name"
  sha256sum -c --quiet "$TC_DIR/module.sum"
}

@test "gcc -O2" {
  program=$TC_TURNSERVER
  runs gcc
}

@test "clang -O1" {
  program=${TURNSERVER_CLANG-}
  [[ $program ]] || built clang clang -O1
  grep -q 'clang version' <<<"$(readelf -p .comment "$program")"
  runs clang
}

@test "gcc -O1 -fsanitize=address, and the sanitizer has nothing to say" {
  program=${TURNSERVER_ASAN-}
  [[ $program ]] || built asan gcc '-O1 -g -fno-omit-frame-pointer -fsanitize=address'
  grep -q __asan_init <<<"$(readelf -Ws --dyn-syms "$program")"
  export ASAN_OPTIONS=log_path=$TC_DIR/asan-report:detect_leaks=0
  TC_START_LIMIT=60 runs asan
  run compgen -G "$TC_DIR/asan-report*"
  [ "$output" = '' ]
}
