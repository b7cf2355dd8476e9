#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# scripts/try-versions: 4.6.1 is green, and so is a newer coturn if apt has one; what cannot be placed is said.

bats_require_minimum_version 1.5.0

setup_file() {
  TOP=${top_srcdir:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
  BUILD=${top_builddir:-${BUILDDIR:-$TOP/build}}
  SOURCE=$("$TOP/scripts/build-coturn" --print-source)
  # the environment of scripts/test names other builds
  unset TURNSERVER TURNSERVER_STOCK COTURN_DIR COTURN_STOCK_DIR
  export TOP BUILD SOURCE
}

setup() { [ -e "$BUILD/.libs/turncred.so" ] || skip "no turncred.so: top_builddir names our build"; }

try() { "$TOP/scripts/try-versions" --out "$BUILD/versions" "$@"; }

@test "4.6.1 is green" {
  # the other checks are parts of scripts/test of their own
  run try --only port,build,login,check "$SOURCE"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"4.6.1 (Debian)  ok    ok     5      1"* ]]
}

@test "a newer coturn of apt's is green or explained" {
  newer=$("$TOP/scripts/build-coturn" --print-newer-source)
  [ -n "$newer" ] || return 0
  try --quick "$newer"
}

@test "a rule that finds nothing is red, and nothing is built" {
  cp -a "$SOURCE" "$BATS_TEST_TMPDIR/tree"
  cd "$BATS_TEST_TMPDIR"
  sed -i 's/copy_auth_parameters/copy_auth/g' tree/src/server/ns_turn_server.c
  run "$TOP/scripts/try-versions" --out "$BATS_TEST_TMPDIR/out" --only port,build,login tree
  echo "$output"
  [ "$status" -eq 1 ]
  [[ $output == *"red     not placed"*"'turn_auth_hooks->keeps(' 0 times, 1 wanted"* ]]
  [[ $output == *"RED not placed"* ]]
  [ ! -e out/4.6.1-debian/patched ]
  [ "$(jq -r '.[0].checks | keys[]' out/results.json)" = port ]
}

@test "a tree that is none is refused" {
  run try "$BATS_TEST_TMPDIR"
  [ "$status" -eq 2 ]
  [[ $output == *"holds no coturn source"* ]]
}
