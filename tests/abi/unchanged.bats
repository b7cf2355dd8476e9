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

# make check, without what names the folder
own_check() { make -s -C "$1/src" check 2>&1 | grep -v '^make' | sed 's/^[0-9]*: : //'; }

# examples/run_tests.sh with ports of its own, and an end to the servers that it starts
own_examples() {
  local dir=$1 port peer script=$BATS_TEST_TMPDIR/run_tests.sh
  port=$(free_port) peer=$(free_port)
  sed -e "1a trap 'kill \$(jobs -p) 2>/dev/null; wait' EXIT" \
    -e "s#\.\./bin/turnserver #&-p $port -L 127.0.0.1 --no-tls --no-dtls --userdb=$BATS_TEST_TMPDIR/db --pidfile=$BATS_TEST_TMPDIR/pid -l $BATS_TEST_TMPDIR/log #" \
    -e "s#\.\./bin/turnutils_peer #&-p $peer #" \
    -e "s#\.\./bin/turnutils_uclient #&-p $port -r $peer #" \
    "$dir/src/examples/run_tests.sh" >"$script"
  # its own words; the programs also print what depends on chance (a port that was taken)
  (cd "$dir/src/examples" && set -o pipefail && timeout 120 bash "$script" 2>&1 3>&- 4>&- |
    tee "$dir/src/examples.out" | { grep -E '^(Running|OK|FAIL)' || true; })
}

@test "make check" {
  own_check "$STOCK" >"$BATS_TEST_TMPDIR/stock"
  own_check "$PATCHED" >"$BATS_TEST_TMPDIR/patched"
  grep -qi success "$BATS_TEST_TMPDIR/stock"
  diff "$BATS_TEST_TMPDIR/stock" "$BATS_TEST_TMPDIR/patched"
}

@test "examples/run_tests.sh" {
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
