#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The short form of ./usage-faults: each session is told once while the database restarts and turnserver is killed.

@test "sessions while the database restarts and turnserver is killed" {
  cd "$BATS_TEST_DIRNAME"
  run ./usage-faults --rate 50 --seconds 8 --kills 2 --restarts 2 3>&- 4>&-
  # shellcheck disable=SC2001 # each line
  sed 's/^/# /' <<<"$output" >&3
  [ "$status" -ne 2 ] || skip "${lines[-1]}"
  [ "$status" -eq 0 ]
}
