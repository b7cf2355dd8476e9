#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# What the files of scripts/packaging/debian, the guide and .dockerignore say is true of what is made of them.

bats_require_minimum_version 1.5.0

setup() {
  guide=$(realpath "$BATS_TEST_DIRNAME/../../scripts/packaging/UPGRADE.md")
  cd "${guide%/*}/debian" || return
}

@test "units run programs of their package, and the shell that every Debian has; nothing of a package that may be missing" {
  sed -n 's/^Exec[A-Za-z]*=[-@:+!]*\([^ ]*\).*/\1/p' ./*.service | sort -u >"$BATS_TEST_TMPDIR/programs"
  grep -qx /usr/sbin/turncredd "$BATS_TEST_TMPDIR/programs"
  run ! grep -vxE '/usr/(bin/turncredctl|sbin/turncredd)|/bin/sh' "$BATS_TEST_TMPDIR/programs"
}

@test "a start of turncredd that fails for now, such as without its address, is tried until it succeeds" {
  local unit=turncred.turncredd.service
  grep -qx 'Restart=on-failure' $unit
  grep -qx 'RestartPreventExitStatus=2 243' $unit
  # systemd's own limit is five starts in ten seconds
  sed -n '/^\[Unit\]/,/^\[Service\]/p' $unit | grep -qx 'StartLimitIntervalSec=0'
}

@test "who asks the database starts behind a PostgreSQL of the same machine; the timer catches up right after a boot" {
  for unit in turncred.turncredd.service turncred.turncred-maintain.service; do grep -qE '^After=.* postgresql.service$' $unit; done
}

@test "NEWS names documents as they are installed: above 4 kB they are compressed" {
  local path package name count=0
  for path in $(grep -ohE '/usr/share/doc/[a-z0-9/-]+/[A-Za-z0-9.]+[a-z]' ./*.NEWS); do
    count=$((count + 1))
    package=$(cut -d/ -f5 <<<"$path") name=$(basename "$path" .gz)
    name=$(grep -E "(^|/)$name\$" "$package.docs")
    [[ $path == *.gz ]] || (($(stat -c %s "../../../$name") <= 4096)) || { echo "$path ends with .gz" && return 1; }
  done
  [ "$count" -ge 2 ]
}

@test "a package that two architectures can install at once has no file with the name of one in it" {
  local package example
  for package in $(awk '/^Package: / { name = $2 } /^Multi-Arch: same/ { print name }' control); do
    [ -s "$package.install" ]
    [ ! -e "$package.examples" ] || while read -r example; do
      [ ! -e "${example#debian/}.in" ] || { echo "$package: $example" && return 1; }
    done <"$package.examples"
  done
}

# block NAME [PAGE]: runs this block of the guide or of the page beside it, with folders of its own for /srv/turncred and
# /etc/turncred
block() {
  local page=${guide%/*}/${2:-UPGRADE}.md
  [[ ${2-} != HOST ]] || page=${guide%/*}/../../plugin/epcscf/HOST.md
  awk -v name="$1" '/^```/ { inside = $0 == "```sh " name; next } inside' "$page" >"$BATS_TEST_TMPDIR/block"
  [ -s "$BATS_TEST_TMPDIR/block" ]
  sed -i "s,/srv/turncred,$BATS_TEST_TMPDIR/served,g; s,/etc/turncred,$BATS_TEST_TMPDIR/etc,g" "$BATS_TEST_TMPDIR/block"
  sed -i "s,/etc/systemd,$BATS_TEST_TMPDIR/systemd,g; s,/usr/share/doc/turncred/,$BATS_TEST_TMPDIR/doc/,g
    s,/var/lib/turncred,$BATS_TEST_TMPDIR/state,g" "$BATS_TEST_TMPDIR/block"
  PATH=$BATS_TEST_TMPDIR/bin:$PATH bash -euo pipefail "$BATS_TEST_TMPDIR/block"
}

@test "packages that are built again take the place of the older ones: each name in /srv/turncred stands for one file" {
  mkdir -p "$BATS_TEST_TMPDIR"/tree/{scripts,build/packages} "$BATS_TEST_TMPDIR/served"
  cd "$BATS_TEST_TMPDIR/tree"
  for version in 10 9; do
    printf '#!/bin/sh\n: >build/packages/turncred_%s_all.deb\n' $version >scripts/make-deb
    printf '#!/bin/sh\n: >build/packages/coturn_%s_all.deb\n' $version >scripts/make-coturn-deb
    chmod 755 scripts/*
    block build
  done
  [ "$(ls "$BATS_TEST_TMPDIR/served")" = "$(printf '%s\n' coturn_9_all.deb turncred_9_all.deb)" ]
}

@test "the way back from step 4: apt knows no module that was never installed, and is not asked about it" {
  mkdir "$BATS_TEST_TMPDIR/bin"
  printf '#!/bin/sh\n' >"$BATS_TEST_TMPDIR/bin/apt-mark"
  printf '#!/bin/sh\necho "coturn | 4.6.1-1 | a mirror"\n' >"$BATS_TEST_TMPDIR/bin/apt-cache"
  printf '#!/bin/sh\necho "$@"\n' >"$BATS_TEST_TMPDIR/bin/apt-get"
  printf '#!/bin/sh\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/dpkg-query"
  chmod 755 "$BATS_TEST_TMPDIR"/bin/*
  asked=$(block stock)
  [[ $asked == *coturn=4.6.1-1* && $asked != *turncred* ]]
  printf '#!/bin/sh\nprintf coturn-auth-turncred-\n' >"$BATS_TEST_TMPDIR/bin/dpkg-query"
  asked=$(block stock)
  [[ $asked == *"coturn=4.6.1-1 coturn-auth-turncred-"* ]]
}

@test "the images are built without what a build in the source folder leaves" {
  local folder pattern
  sed '1,/^!.*phone.py/d' ../../../.dockerignore >"$BATS_TEST_TMPDIR/ignored" # a later line wins
  run ! grep '^!' "$BATS_TEST_TMPDIR/ignored"
  for folder in plugin tests; do
    for pattern in .deps .dirstamp .libs '*.o' '*.lo'; do grep -qxF "$folder/**/$pattern" "$BATS_TEST_TMPDIR/ignored"; done
  done
}

# A database that knows the roles in the file roles; away is a file while it is away. As psql does, an error in what it reads
# is none of its own without ON_ERROR_STOP.
a_database() {
  mkdir -p "$BATS_TEST_TMPDIR"/{bin,etc}
  cat >"$BATS_TEST_TMPDIR/bin/runuser" <<'END'
#!/bin/bash
cd "$BATS_TEST_TMPDIR" || exit
read -r _ _ role _ _ password _
[[ ! -e away ]] || exit 2
grep -q "^$role " roles && { [[ "$*" != *ON_ERROR_STOP=1* ]] && exit || exit 3; }
echo "$role $password" | tr -d "'" >>roles
END
  chmod 755 "$BATS_TEST_TMPDIR/bin/runuser"
  : >"$BATS_TEST_TMPDIR/roles"
}
# the file of each role has the password that the database has
passwords_fit() {
  local role password
  while read -r role password; do
    [ "$(cat "$BATS_TEST_TMPDIR/etc/$role.pgpass")" = "db.example.net:5432:turncred:$role:$password" ]
  done <"$BATS_TEST_TMPDIR/roles"
  [ "$(wc -l <"$BATS_TEST_TMPDIR/roles")" = "$1" ]
}

@test "roles that are there keep the password of their file, when the blocks are run again" {
  a_database
  touch "$BATS_TEST_TMPDIR/away"
  block roles || true
  rm "$BATS_TEST_TMPDIR/away"
  block roles
  passwords_fit 3
  block roles || true
  passwords_fit 3
  block issuer-role ISSUER
  block issuer-role ISSUER || true
  passwords_fit 4
  [ "$(stat -c %a "$BATS_TEST_TMPDIR"/etc/*.pgpass | sort -u)" = 600 ]
}

@test "files that services read are readable, whatever the umask of root; keys and passwords are not" {
  local command file examples=$BATS_TEST_TMPDIR/doc/examples plugin=${guide%/*}/../../plugin
  mkdir -p "$BATS_TEST_TMPDIR"/{bin,etc} "$examples"
  for command in apt-get chown systemctl turncredctl turncredd; do ln -s /bin/true "$BATS_TEST_TMPDIR/bin/$command"; done
  printf '#!/bin/sh\necho {}\n' >"$BATS_TEST_TMPDIR/bin/jq"
  # without the owners, whom this machine lacks
  cat >"$BATS_TEST_TMPDIR/bin/install" <<'END'
#!/bin/bash
words=()
while (($#)); do case $1 in -o | -g) shift ;; *) words+=("$1") ;; esac && shift; done
exec /usr/bin/install "${words[@]}"
END
  chmod 755 "$BATS_TEST_TMPDIR"/bin/{install,jq}
  cp -r "$plugin/epcscf" "$plugin/turncredd/turncredd.conf.example" examples/turncredd.service.d-kek.conf "$examples/"
  umask 077
  mkdir "$BATS_TEST_TMPDIR/etc/kek"
  for file in turn1.pgpass edge1.pgpass kek/main; do echo secret >"$BATS_TEST_TMPDIR/etc/$file"; done
  block operator # the housekeeping reads turncredctl.conf, too
  [ "$(stat -c %A "$BATS_TEST_TMPDIR/etc/turncredctl.conf")" = -rw-r--r-- ]
  block module
  [ "$(stat -c %A "$BATS_TEST_TMPDIR/etc/module.conf")" = -rw-r--r-- ]
  block issuer-certificate ISSUER
  [ "$(stat -c %A "$BATS_TEST_TMPDIR/etc/tls/chain.pem")" = -rw-r--r-- ]
  rm "$BATS_TEST_TMPDIR/etc/tls/chain.pem"
  for name in certificate turncredd kamailio clients; do block "host-$name" HOST; done
  cd "$BATS_TEST_TMPDIR/etc"
  ls -lR
  [ -z "$(find tls/chain.pem turncredd.conf epcscf/*.cfg epcscf/*.pem ! -name key.pem ! -perm -0444)" ]
  [ -z "$(find . -type f \( -name key.pem -o -name '*pgpass' -o -name main -o -name '*-key' -o -name '*.password' \) -perm /0077)" ]
}
