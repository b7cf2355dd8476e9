#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Without a module the patched coturn gives the same results in coturn's own tests as the unpatched.

setup_file() {
  TOP=${top_srcdir:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
  BUILD=${top_builddir:-${BUILDDIR:-$TOP/build}}
  STOCK=${COTURN_STOCK_DIR:-$BUILD/coturn-stock}
  PATCHED=${COTURN_DIR:-$BUILD/coturn-patched}
  export TOP STOCK PATCHED
}

setup() {
  [ -x "$STOCK/src/bin/turnserver" ] || skip "no unpatched build: scripts/build-coturn --stock"
  [ -x "$PATCHED/src/bin/turnserver" ] || skip "no patched build: scripts/build-coturn"
  # shellcheck source=scripts/lib.sh
  . "$TOP/scripts/lib.sh"
}

# the output of make check, without the folder's name
own_check() { make -s -C "$1/src" check 2>&1 | grep -v '^make' | sed 's/^[0-9]*: : //'; }

# wrapped PROGRAM OPTION...: the program with these options in front of those that it is called with, so that its
# own ones win; its pid is kept
wrapped() {
  printf '#!/bin/sh\necho $$ >>%q\nexec %q' "$place/pids" "$coturn/bin/$1" >"$place/bin/$1"
  printf ' %q' "${@:2}" >>"$place/bin/$1"
  printf ' "$@"\n' >>"$place/bin/$1"
  chmod 755 "$place/bin/$1"
}

# examples/run_tests.sh with ports of its own, and an end to the servers that it starts
own_examples() {
  local coturn place=$BATS_TEST_TMPDIR/${1##*/} port peer
  coturn=$(realpath "$1")
  port=$(free_port) peer=$(free_port)
  mkdir -p "$place/bin"
  cp -r "$coturn/src/examples" "$place/"
  wrapped turnserver -p "$port" --tls-listening-port "$(free_port)" -L 127.0.0.1 --min-port 57000 --max-port 58999 \
    --no-cli --userdb="$place/db" --pidfile="$place/pid" -l "$place/log"
  wrapped turnutils_peer -p "$peer"
  wrapped turnutils_uclient -p "$port" -r "$peer"
  local rc=0
  (cd "$place/examples" && timeout 300 bash ./run_tests.sh >"$place/output" 2>&1 3>&- 4>&-) || rc=$?
  xargs -r kill -KILL 2>/dev/null <"$place/pids" || true
  # only the script's own lines: the programs also print lines that depend on chance (such as a port in use)
  grep -E '^(Running|OK|FAIL)' "$place/output"
  return $rc
}

@test "make check" {
  own_check "$STOCK" >"$BATS_TEST_TMPDIR/stock"
  own_check "$PATCHED" >"$BATS_TEST_TMPDIR/patched"
  grep -qi success "$BATS_TEST_TMPDIR/stock"
  diff "$BATS_TEST_TMPDIR/stock" "$BATS_TEST_TMPDIR/patched"
}

@test "examples/run_tests.sh" {
  [ -e "$PATCHED/src/examples/run_tests.sh" ] || skip "this coturn has no examples/run_tests.sh"
  run own_examples "$STOCK"
  echo "$output"
  [ "$status" -eq 0 ]
  stock=$output
  run own_examples "$PATCHED"
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$output" == "$stock" ]
  [[ $output == *"TCP
OK
"*"UDP
OK"* ]]
}
