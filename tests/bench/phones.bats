#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Long: it tries a benchmark, not the product
# Many phones at the eP-CSCF, in a short form; the head of "phones" says which rules must hold.
bats_require_minimum_version 1.5.0

@test "a crowd of phones registers: each has a credential that works, and all end" {
  local top build
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  build=${top_builddir:-${BUILDDIR:-$top/build}}
  [[ -x $build/turncredd && -x ${KAMAILIO:-/usr/sbin/kamailio} ]] || skip "turncredd is not built, or there is no Kamailio"
  run "$top/tests/bench/phones" --short
  printf '%s\n' "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -cE '^(registrar|edge) +(derived|pushed) .* 60 +0$' <<<"$output")" -eq 4 ]
}
