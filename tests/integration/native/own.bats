#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: libnice, with and without patches/libnice-0.1.21
# libnice's own tests give the same results patched and unpatched; the series applies as quilt wants it.

load ../lib

# TURNCRED_LIBNICE names another source than Debian's
build_libnice() { "$TC_TOP/scripts/build-libnice" ${TURNCRED_LIBNICE:+--source "$TURNCRED_LIBNICE"} "$@"; }

@test "the series: in order, without fuzz, each patch leaves libnice buildable; quilt takes it back" {
  local source=$BATS_TEST_TMPDIR/src
  cp -a "$(build_libnice --print-source)" "$source"
  cd "$source"
  QUILT_PATCHES=$TC_TOP/patches/libnice-0.1.21 QUILT_PC=$BATS_TEST_TMPDIR/pc QUILTRC=- quilt push -a --fuzz=0
  grep -q nice_agent_set_relay_token nice/libnice.sym
  QUILT_PATCHES=$TC_TOP/patches/libnice-0.1.21 QUILT_PC=$BATS_TEST_TMPDIR/pc QUILTRC=- quilt pop -a
  rm -f .complete
  diff -r --exclude=.complete "$(build_libnice --print-source)" .
}

@test "libnice's own tests: the same results patched and unpatched, and one more" {
  [[ -x $TC_STOCK ]] || skip "$TC_STOCK is missing (TURNSERVER_STOCK names it)"
  local name options other=${TURNCRED_LIBNICE:+-other} PATH=${TC_STOCK%/*}:$PATH # test-turn starts turnserver
  for name in stock patched; do
    options=(--tests)
    [[ $name == patched ]] || options+=(--stock)
    build_libnice "${options[@]}" "$TC_BUILD/libnice-$name$other" 3>&- || true
  done
  cd "$TC_BUILD"
  [ "$(wc -l <libnice-stock$other/tests.txt)" -ge 35 ]
  # test-new-trickle waits for ever now and then, unpatched as well
  diff <(grep -v '^test-\(token\|new-trickle\) ' libnice-patched$other/tests.txt) <(grep -v '^test-new-trickle ' libnice-stock$other/tests.txt)
  grep -q '^test-token OK' libnice-patched$other/tests.txt
  grep -q '^test-turn OK' libnice-patched$other/tests.txt
}
