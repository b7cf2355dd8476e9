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
  grep -q 'ask_for_session_news' src/apps/relay/netengine.c
}

is_secured() {
  grep -q 'token nonce is too long' src/client/ns_turn_msg.c &&
    grep -q 'ioa_addr_unfold' src/server/ns_turn_server.c &&
    grep -q 'turn_log_client_line' src/server/ns_turn_server.c &&
    grep -q 'nget16' src/client/ns_turn_msg.c &&
    grep -q 'DTLSv1_listen' src/apps/relay/dtls_listener.c &&
    grep -q 'message is too long' src/apps/relay/ns_ioalib_engine_impl.c
}

# listed FOLDER...: the patches of these series, in order
listed() {
  local folder
  for folder; do sed "s,^,$folder/," "$folder/series"; done
}

# on_and_off CHECK FOLDER...: patch -F0 applies the series, after which CHECK holds, and takes them off
on_and_off() {
  local check=$1 p
  shift
  while read -r p; do patch -p1 -F0 -s --no-backup-if-mismatch <"$p"; done < <(listed "$@")
  "$check"
  while read -r p; do patch -R -p1 -F0 -s --no-backup-if-mismatch <"$p"; done < <(listed "$@" | tac)
  same_as_source
}

both() { is_patched && is_secured; }

@test "patch -F0 applies the series, and takes it off" { on_and_off is_patched "$SERIES"; }
@test "patch -F0 applies the security series alone, and takes it off" { on_and_off is_secured "$SERIES/security"; }
@test "patch -F0 applies both series, security first" { on_and_off both "$SERIES/security" "$SERIES"; }
@test "patch -F0 applies both series, security last" { on_and_off both "$SERIES" "$SERIES/security"; }

@test "quilt pushes the series, and pops it" {
  export QUILT_PATCHES=$BATS_TEST_TMPDIR/patches QUILT_PC=.pc QUILTRC=- QUILT_PUSH_ARGS=''
  mkdir "$QUILT_PATCHES"
  cp -r "$SERIES/security" "$SERIES"/*.patch "$QUILT_PATCHES"
  (sed 's,^,security/,' "$SERIES/security/series" && cat "$SERIES/series") >"$QUILT_PATCHES/series"
  quilt push -a --fuzz=0
  both
  quilt pop -a
  same_as_source
}

@test "git am applies both series" {
  git init -q
  git add -A -f
  git -c user.name=t -c user.email=t@localhost commit -qm base
  # shellcheck disable=SC2046 # no blanks in the names
  git -c user.name=t -c user.email=t@localhost am $(listed "$SERIES/security" "$SERIES")
  both
  [ "$(git rev-list --count HEAD)" -eq $((1 + $(listed "$SERIES/security" "$SERIES" | wc -l))) ]
}

@test "each patch has the headers of DEP-3" {
  while read -r p; do
    for header in From Subject Forwarded Last-Update; do grep -q "^$header: ." "$p"; done
  done < <(listed "$SERIES/security" "$SERIES")
}

@test "the series is what the rules make" {
  "$TOP/scripts/port-patches" --check "$SOURCE"
}

# is_version VERSION: makes the tree name this version
is_version() { sed -i "s/\(TURN_SERVER_VERSION *\)\"4.6.1\"/\1\"$1\"/" src/ns_turn_defs.h; }

@test "rules that find nothing are reported, and then nothing is written" {
  sed -i 's/copy_auth_parameters/copy_auth/g' src/server/ns_turn_server.c
  cp -a "$SERIES" "$BATS_TEST_TMPDIR/there"
  run "$TOP/scripts/port-patches" --out "$BATS_TEST_TMPDIR/there" "$tree"
  [ "$status" -eq 1 ]
  diff -r "$SERIES" "$BATS_TEST_TMPDIR/there"
  run "$TOP/scripts/port-patches" --out "$BATS_TEST_TMPDIR/out" "$tree"
  [ "$status" -eq 1 ]
  [ ! -e "$BATS_TEST_TMPDIR/out" ]
  [[ $output == *"NOT PLACED  0003-auth-hooks: src/server/ns_turn_server.c: hooks.cocci: 'turn_auth_hooks->keeps(' 0 times, 1 wanted"* ]]
}

@test "a version newer than any that was tried is refused, unless --untried is given" {
  is_version 9.9.9
  for option in --out=out --check; do
    run "$TOP/scripts/port-patches" "$option" "$tree"
    [ "$status" -eq 1 ]
    [[ $output == *"coturn 9.9.9 is newer than "*"With --untried the series is made"* ]]
    [ ! -e out ]
  done
  [ ! -e "$TOP/patches/9.9.9" ]
  "$TOP/scripts/port-patches" --untried --out out "$tree"
  # what upstream has itself by then is not placed
  diff <(grep -v log-one-line "$SERIES/series") out/series
}

@test "a series that is made again keeps what was written by hand" {
  cp -a "$SERIES" "$BATS_TEST_TMPDIR/there"
  touch "$BATS_TEST_TMPDIR/there/0099-stale.patch"
  : >"$BATS_TEST_TMPDIR/there/0003-auth-hooks.patch"
  "$TOP/scripts/port-patches" --out "$BATS_TEST_TMPDIR/there" "$tree"
  rm -f "$BATS_TEST_TMPDIR/there/0003-auth-hooks.patch"
  run diff -rq "$SERIES" "$BATS_TEST_TMPDIR/there"
  [ "$output" = "Only in $SERIES: 0003-auth-hooks.patch" ]
}

# the patches that README.md says can be left out, but for the listener's, which 4.6.1 has not
optional() { sed -n 's/^| \(00[0-9a-z-]*\) | .* | yes |$/\1.patch/p' "$SERIES/README.md" | grep -v listener; }

@test "without what can be left out the series builds, and the sample module lets its user in" {
  [ "$(optional | wc -l)" -eq 11 ]
  local p
  while read -r p; do patch -p1 -F0 -s <"$SERIES/$p"; done < <(grep -vxFf <(optional) "$SERIES/series")
  [ ! -e src/apps/relay/auth_pending.c ]
  { ./configure --prefix="$PWD/prefix" && make -j2 bin/turnserver; } >build.log 2>&1 || { tail -n 40 build.log && false; }
  run bin/turnserver -n -a -r example.org --auth-module=/nowhere.so --auth-module-observe
  [ "$status" -ne 0 ]
  [[ $output == *"this turnserver is built without auth-module-observe"* ]]
  COTURN_DIR=$PWD TURNSERVER=$PWD/bin/turnserver /usr/bin/python3 "$TOP/tests/abi/test_sample.py"
}

@test "the patched tree builds with CMake" {
  command -v cmake >/dev/null || skip "cmake is missing"
  while read -r p; do patch -p1 -F0 -s <"$p"; done < <(listed "$SERIES/security" "$SERIES")
  cmake -S . -B cmake-build >cmake.log 2>&1 || { cat cmake.log && false; }
  make -C cmake-build turnserver >>cmake.log 2>&1 || { tail -n 40 cmake.log && false; }
  run "$(find cmake-build -name turnserver -type f)" -n --auth-module-only
  [ "$status" -ne 0 ]
  [[ $output == *"auth-module-only is given, but auth-module is not"* ]]
}
