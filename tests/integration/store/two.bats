#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Two stores on one database: a change reaches both in under a second, 100 times.

load store.bash

setup_file() { store_up; }
teardown_file() { store_down; }

@test "100 pushes reach two stores, median and worst" {
  local i name pids=()
  for name in a b; do
    {
      echo 'load 10000'
      # started: both are there before the first push
      echo "sh touch \"\$TC_DIR/ready.$name\""
      for i in {1..100}; do printf 'within 20000 has r credential u%s = yes\nclock\n' "$i"; done
    } >"$TC_DIR/script.$name"
    "$TC_BUILD/tests/integration/store/store_probe" -d "$TC_CONN" -i "$name" -p 60000 <"$TC_DIR/script.$name" \
      >"$TC_DIR/out.$name" 2>"$TC_DIR/probe.$name.log" 3>&- 4>&- &
    pids+=($!)
  done
  wait_for 20 test -e "$TC_DIR/ready.a"
  wait_for 20 test -e "$TC_DIR/ready.b"
  # the time right after the commit, from the same session
  for i in {1..100}; do
    echo "SELECT turncred.credential_push_password('r', 'u$i', 'password of 128 bits') \\g /dev/null"
    echo "SELECT extract(epoch FROM clock_timestamp()) * 1000;"
    echo "SELECT pg_sleep(0.03) \\g /dev/null"
  done | psql -XqAt -v ON_ERROR_STOP=1 >"$TC_DIR/commits"
  for i in "${pids[@]}"; do wait "$i"; done
  for name in a b; do
    grep '^clock' "$TC_DIR/out.$name" | cut -d' ' -f2 | paste "$TC_DIR/commits" - |
      awk '{ print $2 - $1 }' | sort -n >"$TC_DIR/times.$name"
    [ "$(grep -c . "$TC_DIR/times.$name")" -eq 100 ]
    awk -v n=$name '{ t[NR] = $1 } END { printf "# store %s: median %.1f ms, worst %.1f ms\n", n, (t[50] + t[51]) / 2, t[100]; exit !(t[100] < 1000) }' \
      "$TC_DIR/times.$name" >&3
  done
  # both say in the database that they have everything
  wait_for 20 in_force "$(sql 'SELECT max(xid) FROM turncred.change')"
}
in_force() { [[ $(sql "SELECT count(*) FROM turncred.behind('$1')") == 0 ]]; }
