#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The short form of ./faults: one test a part.

load lib

faults() {
  turncred_need "$TC_TURNSERVER" "$TC_MODULE" "$TC_BUILD/turncredd" "$TC_BUILD/turncredctl" "$TC_BUILD/tests/bench/turnload"
  "$BATS_TEST_DIRNAME/faults" --short "$@" # bats shows what it printed, if it fails
}

@test "turncredctl: an allocation fails" { faults ctl; }
@test "turncredd: an allocation fails" { faults turncredd; }
@test "turncred.so: an allocation fails" { faults module; }
@test "disk full, descriptors used up, clock steps, kill -9" { faults disk descriptors clock kill; }
