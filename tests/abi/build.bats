#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# scripts/build-coturn takes a source in any form and of any version, makes the series where none is committed,
# and leaves what was built before as it is where it cannot.

bats_require_minimum_version 1.5.0

setup_file() {
  TOP=${top_srcdir:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
  SOURCE=$("$TOP/scripts/build-coturn" --print-source)
  CACHE=${TURNCRED_CACHE:-$TOP/build/cache}
  export TOP SOURCE CACHE
}

setup() {
  tree=$BATS_TEST_TMPDIR/coturn
  out=$BATS_TEST_TMPDIR/out
}

build() { "$TOP/scripts/build-coturn" --out "$out" "$@"; }

# upstream_tree VERSION: Debian's tree as a checkout of upstream's would be, under another version's name
upstream_tree() {
  cp -a "$SOURCE" "$tree"
  patch -d "$tree" -R -p1 -F0 -s <"$SOURCE/debian/patches/No-FIPS-140-mode.patch"
  rm -rf "$tree/.pc" "$tree/.complete" "$tree/debian"
  git -C "$tree" init -q
  sed -i "s/\(TURN_SERVER_VERSION *\)\"4.6.1\"/\1\"$1\"/" "$tree/src/ns_turn_defs.h"
}

# built_before: OUT has a file of an earlier build
built_before() {
  mkdir -p "$out/bin"
  printf '#!/bin/sh\necho before\n' >"$out/bin/turnserver"
  chmod 755 "$out/bin/turnserver"
}
nothing_was_built() {
  [ "$("$out/bin/turnserver")" = before ]
  [ ! -e "$out/src" ] && [ ! -e "$out/src.next" ] && [ ! -e "$out/patches" ]
}

same_as_source() { diff -r -x .pc -x .git -x .complete "$SOURCE" "$1"; }

@test "a .dsc is unpacked with Debian's patches, an archive as it is; each once" {
  first=$(build --print-source --source "$CACHE"/download/*.dsc)
  same_as_source "$first"
  touch "$first/is-kept"
  [ "$(build --print-source --source "$CACHE"/download/*.dsc)" = "$first" ]
  rm "$first/is-kept"
  tar -C "$(dirname "$SOURCE")" -cJf "$BATS_TEST_TMPDIR/coturn.tar.xz" "$(basename "$SOURCE")"
  second=$(build --print-source --source "$BATS_TEST_TMPDIR/coturn.tar.xz")
  [ "$second" != "$first" ]
  same_as_source "$second"
  rm -rf "$second"
}

@test "what is no source of coturn is refused" {
  run build --source "$BATS_TEST_TMPDIR"
  [ "$status" -eq 1 ]
  [[ $output == *"$BATS_TEST_TMPDIR holds no coturn source" ]]
  run build --source "$BATS_TEST_TMPDIR/nothing.tar.gz"
  [ "$status" -eq 1 ]
  [[ $output == *"there is no file $BATS_TEST_TMPDIR/nothing.tar.gz" ]]
  run build --source "$SOURCE" --out "$SOURCE/out"
  [ "$status" -eq 1 ]
  [[ $output == *"is in the source tree: name another folder" ]]
}

@test "a checkout of another version: the series is made for it; without the security series, and up to date then" {
  upstream_tree 4.6.0
  # a server that runs from there does not mind
  mkdir -p "$out/bin"
  cp "$(command -v sleep)" "$out/bin/turnserver"
  "$out/bin/turnserver" 600 3>&- 4>&- &
  local server=$!
  run build --no-security --source "$tree"
  kill "$server"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"with Debian's No-FIPS-140-mode.patch, for OpenSSL 3"* ]]
  [ "$("$out/bin/turnserver" --version | tail -n 1)" = 4.6.0 ]
  ls "$out/patches/series" "$out/patches/security/series"
  grep -q 'auth-module-only is given' "$out/bin/turnserver"
  run -1 grep -q 'token nonce is too long' "$out/bin/turnserver"
  run build --no-security --source "$tree"
  [ "$output" = "$out is up to date" ]
}

@test "both series are in what is built of the committed version" {
  [ -x "$COTURN_DIR/bin/turnserver" ] || skip "no patched build: scripts/build-coturn, COTURN_DIR"
  grep -q 'auth-module-only is given' "$COTURN_DIR/bin/turnserver"
  grep -q 'token nonce is too long' "$COTURN_DIR/bin/turnserver"
}

@test "where the series cannot be made nothing is built, and what was there stays" {
  upstream_tree 4.6.0
  sed -i 's/copy_auth_parameters/copy_auth/g' "$tree/src/server/ns_turn_server.c"
  built_before
  run build --source "$tree"
  [ "$status" -eq 1 ]
  [[ $output == *"NOT PLACED  "* ]]
  [[ $output == *"there is no series for coturn 4.6.0: nothing is built" ]]
  nothing_was_built
}

@test "a version that nobody has tried is refused, and is ported if it is asked for" {
  upstream_tree 99.0.1
  built_before
  run build --source "$tree"
  [ "$status" -eq 1 ]
  [[ $output == *"coturn 99.0.1 is newer than "*"--untried"*"there is no series for coturn 99.0.1: nothing is built" ]]
  nothing_was_built
  # it gets as far as placing then
  sed -i 's/copy_auth_parameters/copy_auth/g' "$tree/src/server/ns_turn_server.c"
  run build --untried --source "$tree"
  [ "$status" -eq 1 ]
  [[ $output == *"coturn 99.0.1 is untried"*"NOT PLACED  "*"there is no series for coturn 99.0.1: nothing is built" ]]
  nothing_was_built
}

@test "a tree that wants FIPS_mode of OpenSSL, and no Debian source to mend it: the remedy is named" {
  pkg-config --atleast-version=3 libcrypto || skip "OpenSSL before 3"
  upstream_tree 4.6.0
  export TURNCRED_CACHE=$BATS_TEST_TMPDIR/cache
  run build --stock --source "$tree"
  [ "$status" -eq 1 ]
  [[ $output == *"FIPS_mode(), which OpenSSL 3 does not have"*"scripts/build-coturn --print-source fetches it"* ]]
}

@test "a package is made of a Debian source package alone" {
  upstream_tree 4.6.0
  run "$TOP/scripts/make-coturn-deb" --source "$tree" "$out"
  [ "$status" -eq 1 ]
  [[ $output == *"$tree has no folder debian/: a package needs a Debian source package"* ]]
  run "$TOP/scripts/make-coturn-deb" --source "$BATS_TEST_TMPDIR/coturn.tar.gz" "$out"
  [ "$status" -eq 1 ]
  [[ $output == *"a package is made of a Debian source package (.dsc, or its unpacked folder)"* ]]
  [ ! -e "$out" ]
}

# release_has VERSION: a machine whose release has this coturn, and whose apt has the source packages of the folder $update,
# as $update/VERSION/*; the package is not built, but its changelog is kept
release_has() {
  update=$BATS_TEST_TMPDIR/update changelog=$BATS_TEST_TMPDIR/changelog
  mkdir -p "$BATS_TEST_TMPDIR/bin"
  program() { printf '#!/bin/bash\n%s\n' "$2" >"$BATS_TEST_TMPDIR/bin/$1" && chmod 755 "$BATS_TEST_TMPDIR/bin/$1"; }
  program apt-cache "echo '  Candidate: $1'"
  program apt-get 'last=${!#}; [[ " $* " != *" source "* ]] || cp '"'$update'"'/"${last#coturn=}"/* .'
  program dpkg-query 'echo installed'
  program dpkg-buildpackage "cp debian/changelog '$changelog' && exit 1"
  export TURNCRED_CACHE=$BATS_TEST_TMPDIR/cache
  mkdir -p "$TURNCRED_CACHE/download"
  [ -d "$TURNCRED_CACHE/coturn-4.6.1" ] || cp -a "$SOURCE" "$TURNCRED_CACHE/coturn-4.6.1"
  cp "$CACHE"/download/coturn_4.6.1.orig.tar.* "$TURNCRED_CACHE/download/"
  sed -i '1s/(.*)/(4.6.1-1)/' "$TURNCRED_CACHE/coturn-4.6.1/debian/changelog"
}
# apt_has VERSION: and the release's source package of this version
apt_has() {
  mkdir -p "$update/$1"
  cp "$CACHE"/download/coturn_4.6.1.orig.tar.* "$update/$1/"
  cp -a "$SOURCE" "$update/$1/coturn"
  rm -f "$update/$1/coturn/.complete"
  sed -i "1s/(.*)/($1)/" "$update/$1/coturn/debian/changelog"
  (cd "$update/$1" && dpkg-source -b coturn >/dev/null && rm -r coturn)
}
package() { PATH=$BATS_TEST_TMPDIR/bin:$PATH run "$TOP/scripts/make-coturn-deb" "$out"; }

@test "a package with the version of an update is made of the update's source, not of one that was fetched before" {
  release_has 4.6.1-1+deb12u9
  apt_has 4.6.1-1+deb12u9
  package
  [[ $output == *"4.6.1-1+deb12u9 becomes 4.6.1-1+deb12u9+turncred"*"(packaging of 4.6.1-1+deb12u9)"* ]]
  [[ $(grep -m 2 '^coturn (' "$changelog") == *"(4.6.1-1+deb12u9+turncred"*"(4.6.1-1+deb12u9)"* ]]
  # it is fetched once
  rm -r "$update"
  package
  [[ $output == *"(packaging of 4.6.1-1+deb12u9)"* ]]
}

@test "an update whose source apt does not have is named, and no package pretends to be it" {
  release_has 4.6.1-1+deb12u9
  package
  [ "$status" -eq 1 ]
  [[ $output == *"cannot fetch coturn's source package 4.6.1-1+deb12u9, which this release has"*"--source"* ]]
  [ ! -e "$changelog" ]
}

@test "the source of a release with the same coturn will do where no update is to be had; so will that of a rebuild" {
  release_has 4.6.1-0
  package
  [[ $output == *"4.6.1-0 becomes 4.6.1-0+deb"*"u0+turncred"*"(packaging of 4.6.1-1)"* ]]
  release_has 4.6.1-1+b2
  package
  [[ $output == *"4.6.1-1+b2 becomes 4.6.1-1+b2+deb"*"u0+turncred"*"(packaging of 4.6.1-1)"* ]]
}
