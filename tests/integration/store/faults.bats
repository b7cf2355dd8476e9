#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The short form of ./faults: no login and no call suffers while the database fails.

@test "logins and calls while the database fails in each way" {
  cd "$BATS_TEST_DIRNAME"
  run ./faults --short 3>&- 4>&-
  # shellcheck disable=SC2001 # each line
  sed 's/^/# /' <<<"$output" >&3
  [ "$status" -ne 2 ] || skip "${lines[-1]}"
  [ "$status" -eq 0 ]
}
