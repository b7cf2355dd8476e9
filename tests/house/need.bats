#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# need() of scripts/lib.sh leaves nothing on the machine that keeps other packages from starting their services, or
# PostgreSQL from making its cluster, whichever way it ends.

bats_require_minimum_version 1.5.0

# needed SCRIPT: need() in a shell of its own, with another root and an apt that does SCRIPT instead of an installation
needed() {
  mkdir -p "$BATS_TEST_TMPDIR/root/etc/postgresql-common" "$BATS_TEST_TMPDIR/root/usr/sbin"
  bash -c '
    set -euo pipefail
    . "$1"
    root=$2 script=$3
    as_root() { local paths=("$@"); command "${paths[@]/#\//$root/}"; }
    installed() { false; }
    apt() { [[ $1 == update ]] || { find "$root" -type f >"$root.seen"; eval "$script"; }; }
    need a-package
  ' bash "$BATS_TEST_DIRNAME/../../scripts/lib.sh" "$BATS_TEST_TMPDIR/root" "$1"
}
nothing_left() {
  grep -q no-main-cluster "$BATS_TEST_TMPDIR/root.seen"
  [ -z "$(find "$BATS_TEST_TMPDIR/root" -type f)" ]
}

@test "an installation: nothing is left" {
  needed true
  nothing_left
}

@test "one that fails: nothing is left, and its log is shown" {
  run ! needed 'echo no network; false'
  [[ $output == *'no network'*'cannot install: a-package'* ]]
  nothing_left
}

@test "one that is interrupted: nothing is left" {
  for signal in INT TERM HUP; do
    run ! needed "kill -$signal \$BASHPID; false"
    nothing_left
  done
}

@test "two at once: the first to end leaves the other what it needs" {
  (
    needed 'touch "$root.first"; for _ in $(seq 20); do [[ ! -e $root.second ]] || break; sleep 0.1; done'
    touch "$BATS_TEST_TMPDIR/root.ended"
  ) &
  for _ in $(seq 100); do [[ ! -e $BATS_TEST_TMPDIR/root.first ]] || break; sleep 0.1; done
  needed 'touch "$root.second"; for _ in $(seq 100); do [[ ! -e $root.ended ]] || break; sleep 0.1; done
    [[ -e $root/etc/postgresql-common/createcluster.d/turncred-no-main-cluster.conf ]]'
  wait
  nothing_left
}
