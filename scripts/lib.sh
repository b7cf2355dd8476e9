# shellcheck shell=bash
# shellcheck disable=SC2034 # variables for those who source it
# Shell functions that the scripts share. Source this file; it runs nothing by itself.
#
#   . "$(dirname "$0")/lib.sh"
#
# The file needs bash and coreutils; need() installs everything else.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
export LC_ALL=C.UTF-8
umask 022

# --- package lists: the only place that names Debian packages ------------------------------
# Each list serves one purpose; scripts name the lists that they need. The Dockerfile reads the lists, too.
packages_build='build-essential autoconf automake libtool pkg-config libcurl4-openssl-dev libgnutls28-dev libjansson-dev
  libmicrohttpd-dev libpq-dev libsqlite3-dev libssl-dev uthash-dev'
packages_coturn='build-essential debhelper dpkg-dev default-libmysqlclient-dev libevent-dev libhiredis-dev
  libpq-dev libsqlite3-dev libssl-dev libsystemd-dev pkg-config sqlite3'
packages_libnice='libglib2.0-dev libssl-dev meson ninja-build pkg-config'
packages_port='coccinelle git patch python3' # scripts/port-patches
# docker/images/build/list-needs finds the libraries that programs are linked with
packages_ctl_run='curl openssl postgresql-client'
packages_client_run='python3 python3-aioice python3-cryptography'
packages_portal_run='python3 python3-cryptography python3-jwt'
packages_client_tools='coturn python3-jwt python3-slixmpp python3-websockets' # beside client_run, in the image alone
packages_stock='coturn'
packages_xmpp='ejabberd prosody prosody-modules'
packages_prometheus='prometheus'
packages_pion='golang-go golang-github-pion-webrtc.v3-dev'
packages_programs='baresip-core gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice gstreamer1.0-plugins-bad gstreamer1.0-plugins-good
  nodejs python3-aiortc python3-gi'
packages_programs_if_any='janus' # Debian 13 has none
packages_firefox='firefox-esr nodejs'
packages_packets='tshark'
packages_epcscf='kamailio kamailio-extra-modules kamailio-tls-modules kamailio-utils-modules
  kamailio-websocket-modules kamailio-xml-modules netbase'
packages_browser='chromium chromium-driver libnss3-tools python3-selenium'
packages_database='postgresql'
packages_run='ca-certificates curl iproute2 openssl procps'
packages_test='abigail-tools bats clang clang-format-19 clang-tidy cmake coccinelle cppcheck curl flake8 gdb git jq libclang-rt-dev libcmocka-dev
  libnss-wrapper man-db
  mandoc nodejs patch pgbouncer pgtap python3 python3-cryptography python3-jsonschema python3-jwt python3-websockets
  python3-yaml quilt redis-server shellcheck valgrind wrk xxd xz-utils'
# programs of other people, for scripts/test --foreign alone
packages_foreign='baresip-core chromium chromium-driver ejabberd erlang-p1-sip fail2ban firefox-esr gnutls-bin libio-socket-ssl-perl libopenapi-client-perl libglib2.0-dev mariadb-server meson ninja-build prometheus
  python3-aioice python3-selenium'

# --- messages ------------------------------------------------------------------------
say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  warn "$@"
  exit 1
}

# Seconds since START (an $EPOCHREALTIME), one decimal.
elapsed() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# --- packages -----------------------------------------------------------------------------------
as_root() {
  if [[ $EUID == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "'$*' needs root: run as root, or install sudo"
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# find_missing PACKAGE...: sets missing to those that are not installed; fails if all are
find_missing() {
  local package
  missing=()
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  ((${#missing[@]}))
}

# need PACKAGE...: installs the missing packages, without creating a main PostgreSQL cluster and without starting
# the packages' services.
need() {
  local missing
  find_missing "$@" || return 0
  command -v apt-get >/dev/null ||
    die "these packages are missing, and there is no apt-get to install them with: ${missing[*]}"
  # one at a time: the first to end would remove the files below, which keep the other's packages from starting services
  exec 7</var/lib/dpkg
  flock 7
  find_missing "$@" || { exec 7<&- && return; }
  say "installing: ${missing[*]}"
  local log conf=/etc/postgresql-common/createcluster.d/turncred-no-main-cluster.conf
  log=$(mktemp)
  local policy=/usr/sbin/policy-rc.d made=''
  [[ -e $policy ]] || made=$policy
  # neither file outlives an installation that is interrupted: no package would start its service any more
  if ! (
    trap 'as_root rm -f "$conf" $made' EXIT
    trap 'exit 130' HUP INT TERM
    apt update && no_main_cluster "$conf" && no_services "$made" && apt install -y --no-install-recommends "${missing[@]}"
  ) >"$log" 2>&1 7<&-; then
    cat "$log" >&2
    rm -f "$log"
    die "cannot install: ${missing[*]}"
  fi
  rm -f "$log"
  exec 7<&-
}

# no_services [POLICY-FILE]: makes a file; while it exists, packages start no service (invoke-rc.d(8))
no_services() {
  [[ $1 ]] || return 0
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$1" >/dev/null && as_root chmod 755 "$1"
}

no_main_cluster() {
  installed postgresql-common && return 0
  as_root mkdir -p "${1%/*}"
  echo 'create_main_cluster = false' | as_root tee "$1" >/dev/null
}

# --- a private PostgreSQL -----------------------------------------------------------------------
# PostgreSQL refuses to run as root: there it runs as its own user.
pg_user() { if [[ $EUID == 0 ]]; then echo postgres; else id -un; fi; }

# as_user USER COMMAND...: runs COMMAND as USER, in a working folder that every user may enter
as_user() {
  local user=$1
  shift
  if [[ $(id -un) == "$user" ]]; then
    "$@"
  else
    (cd / && exec runuser -u "$user" -- "$@")
  fi
}

pg_bin() {
  local dir
  dir=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  [[ -x $dir/initdb ]] || die "no PostgreSQL server found under /usr/lib/postgresql"
  echo "$dir"
}

# pg_start DIR [SYSTEM_USER=ROLE...]: starts a cluster of its own in DIR, with a unix socket in DIR/run only.
# The caller is the superuser "postgres"; each further SYSTEM_USER logs in as its ROLE. The kernel tells
# who a user is (peer); no password is used. pg_stop DIR stops the cluster.
pg_start() {
  local dir=$1 user bin me pair
  shift
  user=$(pg_user) bin=$(pg_bin) me=$(id -un)
  mkdir -p "$dir/run"
  [[ $EUID != 0 ]] || chown "$user": "$dir" "$dir/run"
  chmod 755 "$dir" "$dir/run"
  as_user "$user" "$bin/initdb" -D "$dir/data" -U postgres -A peer --locale=C.UTF-8 -E UTF8 \
    --no-sync >"$dir/initdb.log" 2>&1 || {
    cat "$dir/initdb.log" >&2
    return 1
  }
  {
    printf 'own %s postgres\n' "$user"
    [[ $me == "$user" ]] || printf 'own %s postgres\n' "$me"
    for pair in "$@"; do printf 'own %s %s\n' "${pair%%=*}" "${pair#*=}"; done
  } >"$dir/data/pg_ident.conf"
  echo 'local all all peer map=own' >"$dir/data/pg_hba.conf"
  cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir/run'
fsync = off
CONF
  # pg_ctl must not inherit this shell's descriptors: the server would keep them open
  as_user "$user" "$bin/pg_ctl" -D "$dir/data" -l "$dir/postgresql.log" -w -t 60 start \
    >"$dir/pg_ctl.log" 2>&1 </dev/null || {
    cat "$dir/pg_ctl.log" "$dir/postgresql.log" >&2
    return 1
  }
}

pg_stop() {
  [[ -f $1/data/postmaster.pid ]] || return 0
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$1/data" -m immediate -w -t 30 stop >/dev/null 2>&1
}

# --- small helpers ------------------------------------------------------------------------------
# wait_for SECONDS COMMAND...: repeats COMMAND until it succeeds; fails when the time is over. PATIENCE in the
# environment multiplies the time. The function uses a clock that a change of the system time does not affect.
wait_for() {
  local now end
  read -r now _ </proc/uptime
  end=$((${now%.*} + $1 * ${PATIENCE:-1}))
  shift
  until "$@"; do
    read -r now _ </proc/uptime
    ((${now%.*} < end)) || return 1
    sleep 0.1
  done
}

# free_port: prints a free UDP and TCP port of 127.0.0.1, outside the ephemeral range.
# Two servers can share a UDP port without an error, so the function reads the kernel's list and does not try to bind.
free_port() {
  local port try claims=/tmp/turncred-ports.$UID
  mkdir -p "$claims"
  find "$claims" -type f -mmin +1 -delete 2>/dev/null || true
  for try in $(seq 200); do
    port=$((10000 + (RANDOM + try) % 20000))
    # nobody listens on a port that was given away a moment ago: a claim keeps it for two minutes
    (set -C && : >"$claims/$port") 2>/dev/null || continue
    [[ -n $(ss -Hlntu "( sport = :$port )") ]] || {
      echo "$port"
      return
    }
  done
  die "no free port found"
}

# --- files of the project -------------------------------------------------------------------------
# project_files: prints the names of the repository's files, NUL-separated, sorted. In an unpacked copy without a
# repository it goes by .gitignore alone.
project_files() {
  (
    cd "$top" || exit 1
    if git rev-parse --show-toplevel 2>/dev/null | grep -qxF "$top"; then
      # leave out a file that is removed but not yet committed
      git ls-files -zc --deduplicate | while IFS= read -r -d '' f; do [[ ! -e $f ]] || printf '%s\0' "$f"; done
    else
      git_dir=$(mktemp -d)
      git --git-dir="$git_dir" init -q && git --git-dir="$git_dir" --work-tree=. ls-files -zo --exclude-standard
      rm -rf "$git_dir"
    fi | sort -z
  )
}

# project_files_matching REGEX: the same, only names that match
project_files_matching() { project_files | grep -zE "$1"; }
