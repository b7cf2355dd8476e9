#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Load on turncredd and kill -9 under load, in a short form; the head of "issue" says which rules must hold.
bats_require_minimum_version 1.5.0

@test "kill -9 under load: what a client received is in issue_log, once" {
  local top
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  [[ -x ${top_builddir:-${BUILDDIR:-$top/build}}/turncredd ]] || skip "turncredd is not built"
  run "$top/tests/bench/issue" --short
  printf '%s\n' "$output"
  [ "$status" -eq 0 ]
  [[ $output =~ 'received '[1-9][0-9]*', missing from issue_log 0, there twice 0' ]]
}
