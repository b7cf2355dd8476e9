#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Long: each reason is a commit in a copy of the tree, and a tarball is made twice
# scripts/release takes a tree that is ready, and names what keeps another one from being released.

bats_require_minimum_version 1.5.0

setup_file() {
  TOP=${top_srcdir:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
  # shellcheck source=scripts/lib.sh
  . "$TOP/scripts/lib.sh"
  DIR=$(mktemp -d /tmp/turncred-release.XXXXXX)
  export TOP DIR
  mkdir "$DIR/ready"
  (cd "$TOP" && project_files | xargs -0 tar -c) | tar -C "$DIR/ready" -x
  cd "$DIR/ready"
  # what the commit of a release does, whatever this tree still lacks of it
  sed -i "0,/^## .*/s//## $(current) (2026-11-29)/" CHANGELOG.md
  sed -i -E 's/(unreleased|not yet released|until 1\.0 is released|still a draft)/NOTHING/I' \
    $(grep -liE 'unreleased|not yet released|until 1\.0 is released|still a draft' ./*.md patches/*.md patches/4.6.1/0004* \
      plugin/include/*.h tests/abi/frozen/*.h)
  ABI=$(scripts/auth-abi)
  [[ $ABI != *~pre* || $(current) == 0.* ]]
  git init -q
  git config user.email maintainers@turncred.invalid
  git config user.name 'The turncred developers'
  git add -A
  git commit -qm 'A tree that is ready'
}

teardown_file() { rm -rf "$DIR"; }

setup() {
  cd "$DIR/ready" || return
  git reset -q --hard
  git clean -qfdx
  git tag -l | xargs -r git tag -d >/dev/null
}

current() { sed -n 's/^AC_INIT(\[turncred\], \[\([^]]*\)\].*/\1/p' configure.ac; }

# refused TEXT: the check names this, as the only reason
refused() {
  run scripts/release --check
  echo "$output"
  [ "$status" -eq 1 ] && [[ $output == *"$1"* ]] && [[ $output == *': 1 reasons not to release'* ]]
}

# edit FILE SED-EXPRESSION: changes and commits
edit() {
  cp "$1" "$DIR/before"
  sed -i "$2" "$1"
  ! cmp -s "$DIR/before" "$1"
  git commit -qam 'An edit'
}
undo() { git reset -q --hard HEAD~1; }

@test "a tree that is ready is taken, in whatever folder the command is given" {
  run scripts/release --check
  echo "$output"
  [ "$status" -eq 0 ] && [[ $output == *"can be released as $(current)"* ]]
  cd /
  "$DIR/ready/scripts/release" --check
  ln -s ready "$DIR/link"
  "$DIR/link/scripts/release" --check
}

@test "changes that are not committed, and files that nobody knows, are named" {
  echo >>README.md
  refused 'the tree is not clean, commit or remove: README.md'
  git checkout -q README.md
  touch plugin/forgotten.c
  refused 'commit or remove: plugin/forgotten.c'
  rm plugin/forgotten.c
}

@test "each file that names another version is named" {
  local file
  edit CHANGELOG.md '0,/^## [0-9.]*/s//## 7.7.7/'
  refused 'CHANGELOG.md: the newest version is 7.7.7, and configure.ac has'
  undo
  sed -i '1s/(.*-/(7.7.7-/' scripts/packaging/debian/*.NEWS
  edit scripts/packaging/debian/changelog '1s/(.*-/(7.7.7-/'
  refused 'debian/changelog: the newest version is 7.7.7'
  undo
  edit scripts/packaging/rpm/turncred.spec '/^%changelog/,$s/ - [0-9.]*-1$/ - 7.7.7-1/'
  refused 'turncred.spec: the newest version of %changelog is 7.7.7'
  undo
  edit plugin/turncredd/openapi.yaml 's/^  version: .*/  version: 7.7.7/'
  refused 'openapi.yaml: version is 7.7.7'
  undo
  edit plugin/core/turncred.3 's/^\(\.TH .*\)"turncred [0-9.]*"/\1"turncred 7.7.7"/'
  refused 'turncred.3: the version in its head is 7.7.7'
  undo
  edit patches/4.6.1/0004-auth-module.patch '/^+    "coturn-" TURN/{n;s/"[0-9.]*"/"7.7.7"/}'
  refused '0004-auth-module.patch: the version of the series (scripts/port-patches) is 7.7.7'
  undo
  edit scripts/packaging/debian/libturncred2.symbols '3s/ [0-9.]*$/ 7.7.7/'
  refused 'libturncred2.symbols: a function is of 7.7.7'
  undo
}

@test "a changelog without a date, with one that is none, and with one to come" {
  edit CHANGELOG.md '0,/^\(## [0-9.]*\).*/s//\1/'
  refused 'CHANGELOG.md: the first heading is'
  undo
  edit CHANGELOG.md '0,/^\(## [0-9.]*\).*/s//\1 (2026-02-30)/'
  run scripts/release --check
  [ "$status" -eq 1 ] && [[ $output == *'2026-02-30 is no day up to today'* ]]
  undo
  edit CHANGELOG.md '0,/^\(## [0-9.]*\).*/s//\1 (2199-01-01)/'
  refused '2199-01-01 is no day up to today'
  undo
  # a day in the text is not the day of the release
  local before
  before=$(SOURCE_DATE_EPOCH='' scripts/release-date)
  edit CHANGELOG.md '$s/$/ As of 2199-01-01, and not of 2026-02-30./'
  [ "$(SOURCE_DATE_EPOCH='' scripts/release-date)" = "$before" ]
  undo
}

@test "NEWS of a version that the Debian changelog does not have, of which lintian warns" {
  edit scripts/packaging/debian/turncred.NEWS '1s/([^)]*)/(7.7.7-1)/'
  refused 'turncred.NEWS: it has an entry of 7.7.7-1'
  undo
}

@test "a Debian changelog that is still open" {
  edit scripts/packaging/debian/changelog '1s/) [a-z]*;/) UNRELEASED;/'
  refused 'the newest entry is UNRELEASED'
  undo
}

@test "an interface that is recorded otherwise, that the patches have otherwise, or that is a draft" {
  edit tests/abi/frozen/coturn_auth_module.h 's/COTURN_AUTH_KEY_MAX 64/COTURN_AUTH_KEY_MAX 65/'
  refused 'frozen/coturn_auth_module.h is not the interface that is released'
  undo
  edit patches/4.6.1/0004-auth-module.patch 's/COTURN_AUTH_KEY_MAX 64/COTURN_AUTH_KEY_MAX 65/'
  refused '0004-auth-module.patch has another interface'
  undo
  # a draft is refused from version 1.0 on, the name of a draft that is none is not
  sed -i 's/^\(AC_INIT(\[turncred\], \[\)[^]]*/\11.5.0/' configure.ac
  sed -i '0,/^## [0-9.]*/s//## 1.5.0/' CHANGELOG.md
  sed -i '1s/(.*-/(1.5.0-/' scripts/packaging/debian/changelog
  sed -i '/^%changelog/,$s/ - [0-9.]*-1$/ - 1.5.0-1/' scripts/packaging/rpm/turncred.spec
  sed -i 's/^  version: .*/  version: 1.5.0/' plugin/turncredd/openapi.yaml
  sed -i 's/"turncred [0-9.]*"/"turncred 1.5.0"/' plugin/core/turncred.3
  grep -q COTURN_AUTH_ABI_PRE plugin/include/coturn_auth_module.h ||
    sed -i 's/^#define COTURN_AUTH_ABI_MINOR.*/&\n#define COTURN_AUTH_ABI_PRE 9/' plugin/include/coturn_auth_module.h \
      tests/abi/frozen/coturn_auth_module.h
  git commit -qam 'Version 1.5.0'
  run scripts/release --check
  echo "$output"
  [ "$status" -eq 1 ] && [[ $output == *'a draft; 1.5.0 cannot be released with it'* ]]
  undo
}

@test "the module depends on its own draft of the interface, or on each coturn of the same major version" {
  local header=plugin/include/coturn_auth_module.h
  set_abi() { # MAJOR MINOR [DRAFT]
    sed -i "/define COTURN_AUTH_ABI_PRE /d; s/\(define COTURN_AUTH_ABI_MAJOR\).*/\1 $1/; s/\(define COTURN_AUTH_ABI_MINOR\).*/\1 $2/" $header
    [[ -z ${3-} ]] || sed -i "s/.*define COTURN_AUTH_ABI_MINOR.*/&\n#define COTURN_AUTH_ABI_PRE $3/" $header
  }
  set_abi 1 0 4
  [ "$(scripts/auth-abi)" = 1.0~pre4 ]
  [ "$(scripts/auth-abi --depends)" = 'coturn-auth-abi (= 1.0~pre4)' ]
  [ "$(scripts/auth-abi --requires)" = 'coturn-auth-abi = 1.0~pre4' ]
  set_abi 1 2
  [ "$(scripts/auth-abi)" = 1:1.2 ]
  [ "$(scripts/auth-abi --depends)" = 'coturn-auth-abi (>= 1:1.0), coturn-auth-abi (<< 1:2~)' ]
  [ "$(scripts/auth-abi --requires)" = 'coturn-auth-abi >= 1:1.0, coturn-auth-abi < 1:2~' ]
  # as dpkg compares versions: what coturn provides is what a module depends on
  takes() { # DEPENDS VERSION
    local relation version
    while read -r relation version; do
      dpkg --compare-versions "$2" "$relation" "$version" || return
    done < <(tr , '\n' <<<"$1" | sed 's/^ *coturn-auth-abi (\([<>=]*\) \(.*\))$/\1 \2/')
  }
  local module
  module=$(scripts/auth-abi --depends)
  takes "$module" 1:1.0 && takes "$module" 1:1.9
  run ! takes "$module" 1:2.0
  run ! takes "$module" 1:2.0~pre1
  run ! takes "$module" 1.0~pre4
  # 0.1.0 called the first draft 1.0: neither half of its packages fits a half of a release
  run ! takes "$module" 1.0
  run ! takes 'coturn-auth-abi (<< 2), coturn-auth-abi (>= 1.0)' "$(scripts/auth-abi)"
  set_abi 1 0 4
  run ! takes "$(scripts/auth-abi --depends)" 1:1.0
}

@test "texts that speak of a draft of the interface, which is none any more" {
  sed -i '/define COTURN_AUTH_ABI_PRE /d' plugin/include/coturn_auth_module.h tests/abi/frozen/coturn_auth_module.h
  echo '- Needs the fourth draft of the interface.' >>CHANGELOG.md
  git commit -qam 'An edit'
  run scripts/release --check
  echo "$output"
  [ "$status" -eq 1 ] && [[ $output == *"CHANGELOG.md:$(wc -l <CHANGELOG.md): it speaks of a draft of the interface"* ]]
  undo
}

@test "documents that call it not released" {
  edit README.md '3s/$/ Not yet released./'
  refused 'README.md:3: what is released is called not released'
  undo
}

@test "a tag of this version on another commit, and a copy that is no repository" {
  git tag "v$(current)"
  scripts/release --check
  edit README.md '$s/$/ More./'
  refused "the tag v$(current) names another commit"
  git tag -d "v$(current)"
  undo
  mkdir "$DIR/copy"
  git archive HEAD | tar -C "$DIR/copy" -x
  run "$DIR/copy/scripts/release" --check
  [ "$status" -eq 1 ] && [[ $output == *'this is no repository'* ]]
}

@test "the tarball of a commit, whenever and by whomever it is made; its sum is written down" {
  local name tarball
  name=turncred-$(current) tarball=$name.tar.xz
  SOURCE_DATE_EPOCH=86400 XZ_OPT=-0 run scripts/release --tarball "$DIR/one"
  echo "$output"
  [ "$status" -eq 0 ] && [[ $output == *"of commit $(git rev-parse HEAD)"* ]]
  [ "$(ls "$DIR/one")" = "$(printf 'SHA256SUMS\n%s' "$tarball")" ]
  (cd "$DIR/one" && sha256sum -c SHA256SUMS)
  tar -tf "$DIR/one/$tarball" | grep -qx "$name/scripts/release"
  # made once more by hand, from what the tarball holds
  tar -C "$DIR" -xf "$DIR/one/$tarball"
  mkdir "$DIR/again"
  (cd "$DIR/again" && umask 027 && "$DIR/$name/configure" -q && make -s dist)
  cmp "$DIR/one/$tarball" "$DIR/again/$tarball"
  # a folder that holds something stays as it is
  run scripts/release --tarball "$DIR/one"
  [ "$status" -eq 1 ] && [[ $output == *'is not empty'* ]]
}
