#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The patch series: it applies by three tools without fuzz and comes off again, it is what the rules
# make, and it builds in both of coturn's build systems.

setup_file() {
  TOP=${top_srcdir:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
  SERIES=$TOP/patches/4.6.1
  SOURCE=$("$TOP/scripts/build-coturn" --print-source)
  export TOP SERIES SOURCE
}

setup() {
  tree=$BATS_TEST_TMPDIR/coturn
  cp -a "$SOURCE" "$tree"
  rm -rf "$tree/.pc"
  cd "$tree"
}

same_as_source() { diff -r -x .pc -x .git "$SOURCE" "$tree"; }

is_patched() {
  cmp src/apps/relay/coturn_auth_module.h "$TOP/plugin/include/coturn_auth_module.h"
  grep -q 'turn_auth_hooks->check' src/server/ns_turn_server.c
  grep -q 'no-session-reports' src/apps/relay/mainrelay.c
}

@test "patch -F0 applies the series, and takes it off" {
  while read -r p; do patch -p1 -F0 -s <"$SERIES/$p"; done <"$SERIES/series"
  is_patched
  while read -r p; do patch -R -p1 -F0 -s <"$SERIES/$p"; done < <(tac "$SERIES/series")
  same_as_source
}

@test "quilt pushes the series, and pops it" {
  export QUILT_PATCHES=$SERIES QUILT_PC=.pc QUILTRC=-
  QUILT_PUSH_ARGS='' quilt push -a --fuzz=0
  is_patched
  quilt pop -a
  same_as_source
}

@test "git am applies the series" {
  git init -q
  git add -A -f
  git -c user.name=t -c user.email=t@localhost commit -qm base
  git -c user.name=t -c user.email=t@localhost am "$SERIES"/*.patch
  is_patched
  [ "$(git rev-list --count HEAD)" -eq $((1 + $(wc -l <"$SERIES/series"))) ]
}

@test "each patch has the headers of DEP-3" {
  while read -r p; do
    for header in From Subject Forwarded Last-Update; do
      grep -q "^$header: ." "$SERIES/$p"
    done
  done <"$SERIES/series"
}

@test "the series is what the rules make" {
  "$TOP/scripts/port-patches" --check "$SOURCE"
}

@test "rules that find nothing are reported" {
  sed -i 's/copy_auth_parameters/copy_auth/g' src/server/ns_turn_server.c
  run "$TOP/scripts/port-patches" --out "$BATS_TEST_TMPDIR/out" "$tree"
  [ "$status" -eq 1 ]
  [[ $output == *"NOT PLACED  0002-auth-hooks: src/server/ns_turn_server.c: hooks.cocci: 'turn_auth_hooks->keeps(' 0 times, 1 wanted"* ]]
}

@test "the patched tree builds with CMake" {
  command -v cmake >/dev/null || skip "cmake is missing"
  while read -r p; do patch -p1 -F0 -s <"$SERIES/$p"; done <"$SERIES/series"
  cmake -S . -B cmake-build >cmake.log 2>&1 || { cat cmake.log && false; }
  make -C cmake-build turnserver >>cmake.log 2>&1 || { tail -n 40 cmake.log && false; }
  run "$(find cmake-build -name turnserver -type f)" -n --auth-module-only
  [ "$status" -ne 0 ]
  [[ $output == *"auth-module-only is given, but auth-module is not"* ]]
}
