# shellcheck shell=bash
# Shared by the bats tests that need a database and turnservers; loaded with "load ../lib".
# SPDX-License-Identifier: BSD-3-Clause
#
#   setup_file()    { turncred_up || return 0; realm_add turn.test; key_add turn.test k1; server_start main; }
#   setup()         { turncred_ready; }       skips where a program is missing
#   teardown()      { turncred_check; }       shows logs when a test failed, ends its servers
#   teardown_file() { turncred_down; }
#
# turncred_up makes one folder TC_DIR with a PostgreSQL of its own (pg/, unix socket only), the
# schema, a key encryption key, and a database role for the server. All of it is gone afterwards;
# KEEP=1 in the environment leaves it.
#
# Environment: TURNSERVER or COTURN_DIR/bin/turnserver (patched), TURNSERVER_STOCK or
# COTURN_STOCK_DIR/bin/turnserver, top_builddir or BUILDDIR (our build). Without a patched
# turnserver or a built module the tests are skipped, and say so.

TC_TOP=${top_srcdir:-$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)}
TC_BUILD=${top_builddir:-${BUILDDIR:-$TC_TOP/build}}
TC_TURNSERVER=${TURNSERVER:-${COTURN_DIR:-$TC_BUILD/coturn-patched}/bin/turnserver}
TC_STOCK=${TURNSERVER_STOCK:-${COTURN_STOCK_DIR:-$TC_BUILD/coturn-stock}/bin/turnserver}
TC_MODULE=${TURNCRED_MODULE:-$TC_BUILD/.libs/turncred.so}
# servers are started in folders of their own
for TC_PATH in TC_BUILD TC_TURNSERVER TC_STOCK TC_MODULE; do
  [[ ${!TC_PATH} == /* ]] || printf -v "$TC_PATH" %s "$PWD/${!TC_PATH}"
done
export TC_TOP TC_BUILD TC_TURNSERVER TC_STOCK TC_MODULE
# shellcheck source=scripts/lib.sh
. "$TC_TOP/scripts/lib.sh"
bats_require_minimum_version 1.5.0
# an awaited event comes at once; the limit only ends a failed test, and is long because machines are busy
export PATIENCE=${PATIENCE:-4}
# PostgreSQL's own programs: Debian's wrapper around them is a Perl program, hundreds of times in a file
[[ $PATH == /usr/lib/postgresql/* ]] || PATH=$(pg_bin):$PATH

# --- life -----------------------------------------------------------------------------------------

turncred_need() {
  local file
  for file in "$@"; do
    [[ -x $file ]] || skip "$file is missing (TURNSERVER, TURNSERVER_STOCK, top_builddir name it)"
  done
}

# setup_file cannot skip: each test does
turncred_ready() { [[ ${TC_DIR-} ]] || turncred_need "$TC_TURNSERVER" "$TC_MODULE"; }

# turncred_up [postgresql.conf LINE...]: 1 if there is nothing to test with
turncred_up() {
  [[ -x $TC_TURNSERVER && -x $TC_MODULE ]] || return 1
  TC_DIR=$(mktemp -d /tmp/turncred-it.XXXXXX)
  export TC_DIR TC_DATABASE="host=$TC_DIR/pg/run dbname=turncred user=turn1"
  export PGHOST=$TC_DIR/pg/run PGDATABASE=turncred PGUSER=postgres PGOPTIONS='-c client_min_messages=warning'
  chmod 755 "$TC_DIR"
  mkdir -p "$TC_DIR/kek" "$TC_DIR/keys" "$TC_DIR/servers"
  # coturn wants the module's folder and file to be nobody else's
  install -d -m 755 "$TC_DIR/lib"
  install -m 755 "$TC_MODULE" "$TC_DIR/lib/turncred.so"
  (umask 077 && head -c 32 /dev/urandom >"$TC_DIR/kek/main")
  pg_start "$TC_DIR/pg" "$(id -un)=turn1" 3>&- 4>&- || return
  if (($#)); then
    printf '%s\n' "$@" >>"$TC_DIR/pg/data/postgresql.conf"
    pg_restart
  fi
  PGDATABASE=postgres sql 'CREATE DATABASE turncred'
  local file files=()
  for file in "$TC_TOP"/plugin/schema/[0-9]*.sql; do files+=(-f "$file"); done
  psql -Xq1 -v ON_ERROR_STOP=1 "${files[@]}" >/dev/null || return
  sql 'CREATE ROLE turn1 LOGIN IN ROLE turncred_server'
}

turncred_down() {
  if [[ -z ${TC_DIR-} ]]; then return 0; fi
  processes_stop servers "${TC_STOP_LIMIT:-10}"
  pg_stop "$TC_DIR/pg"
  if [[ ${KEEP-} ]]; then
    printf '# kept: %s\n' "$TC_DIR" >&3
  else
    rm -rf "$TC_DIR"
  fi
}

# In teardown(): the logs of a failed test, and the end of the servers that were started in it
# (those of setup_file stay).
turncred_check() { processes_check servers "${TC_STOP_LIMIT:-10}"; }

# Servers, daemons and eP-CSCFs have a folder each, TC_DIR/KIND/NAME, with pid, log, and in `test` the test that has
# started them (empty: setup_file).

# process_stop FOLDER SECONDS: SIGTERM, and SIGKILL when it is still there after that time
process_stop() {
  local pid
  pid=$(<"$1/pid")
  rm -f "$1/pid"
  kill "$pid" 2>/dev/null || return 0
  wait_for "$2" server_gone "$pid" || kill -9 "$pid" 2>/dev/null || true
}
# processes_stop KIND SECONDS: all of them
processes_stop() {
  local dir
  for dir in "${TC_DIR:-/nonexistent}/$1"/*/; do
    [[ ! -f ${dir}pid ]] || process_stop "$dir" "$2"
  done
}
# processes_check KIND SECONDS: the logs of a failed test, and the end of those that were started in it
processes_check() {
  local dir
  for dir in "${TC_DIR:-/nonexistent}/$1"/*/; do
    [[ -f ${dir}pid ]] || continue
    if [[ -z ${BATS_TEST_COMPLETED-} ]]; then
      printf '%s\n' "--- $1 $(basename "$dir"): last lines of its log"
      tail -n 30 "${dir}log"
    fi
    [[ $(<"${dir}test") != "${BATS_TEST_NAME-}" ]] || process_stop "$dir" "$2"
  done
}

# --- the database -----------------------------------------------------------------------------------

# sql STATEMENT...: as superuser; rows on stdout, columns separated by |
sql() {
  local statement
  for statement in "$@"; do psql -XqAt -v ON_ERROR_STOP=1 -c "$statement" || return; done
}

pg_restart() {
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -l "$TC_DIR/pg/postgresql.log" -m fast \
    -w -t 60 restart >/dev/null 2>&1 </dev/null 3>&- 4>&-
}

# realm_add NAME [COLUMN=SQL-VALUE...]: server name "NAME-server" unless it is given
realm_add() {
  local name=$1 columns=name values="'$1'" pair
  shift
  [[ " $*" == *' server_name='* ]] || set -- "server_name='$name-server'" "$@"
  for pair in "$@"; do
    columns+=", ${pair%%=*}" values+=", ${pair#*=}"
  done
  sql "INSERT INTO turncred.realm ($columns) VALUES ($values)"
}

# key_add REALM KID [USE [ALG [DERIVATION [COLUMN=SQL-VALUE...]]]]: a new random key, sealed under
# kek/main; its octets in keys/REALM/KID
key_add() {
  local realm=$1 kid=$2 use=${3:-token} alg=${4-} derivation=${5:-none} pair set=''
  [[ $alg ]] || case $use in token) alg=A256GCM ;; *) alg=sha256 ;; esac
  shift $(($# < 5 ? $# : 5))
  /usr/bin/python3 "$TC_TOP/tests/integration/support.py" key "$realm" "$kid" "$use" "$alg" "$derivation" |
    psql -XqAt -v ON_ERROR_STOP=1 >/dev/null || return
  for pair in "$@"; do set+="${set:+, }${pair%%=*} = ${pair#*=}"; done
  [[ -z $set ]] || sql "UPDATE turncred.key SET $set WHERE realm = '$realm' AND kid = '$kid'"
}

# credential_push REALM USERNAME PASSWORD [EXPIRY [CLIENT-ADDRESS]]: sealed; EXPIRY in UTC seconds,
# 0: none
credential_push() {
  /usr/bin/python3 "$TC_TOP/tests/integration/support.py" credential "$1" "$2" "$3" "${4:-0}" "${5-}" |
    psql -XqAt -v ON_ERROR_STOP=1 >/dev/null
}

# Until every server that is up has every change committed so far.
synced() {
  local xid
  xid=$(sql "SELECT coalesce(max(xid), '0') FROM turncred.change")
  wait_for "${1:-10}" in_force "$xid" || {
    echo "not in force after ${1:-10} s: $(sql "SELECT $xid, id, progress, database_state FROM turncred.instance")"
    return 1
  }
}
# A server counts as up to date when it has reported since it was started, and has the change.
in_force() {
  local dir name rows=''
  for dir in "$TC_DIR"/servers/*/; do
    [[ -f ${dir}pid && -f ${dir}module.conf ]] || continue
    name=$(sed -n 's/^instance = //p' "${dir}module.conf" | tail -n 1)
    rows+="${rows:+, }('$name', to_timestamp($(stat -c %Y "${dir}pid")))"
  done
  [[ -n $rows ]] || return 0
  [[ $(sql "SELECT bool_and(EXISTS (SELECT FROM turncred.instance i WHERE i.id = s.name
    AND i.last_seen >= s.started AND i.progress > '$1')) FROM (VALUES $rows) s(name, started)") == t ]]
}

# --- turnservers --------------------------------------------------------------------------------------

# server_conf NAME: the lines that every test server has
server_conf() {
  local dir=$TC_DIR/servers/$1
  cat <<CONF
listening-ip=127.0.0.1
relay-ip=127.0.0.1
listening-port=$(<"$dir/port")
min-port=57000
max-port=58999
no-tls
no-dtls
no-cli
allow-loopback-peers
relay-threads=2
realm=turn.test
pidfile=$dir/pidfile
userdb=$dir/userdb.sqlite
log-file=$dir/log
no-stdout-log
simple-log
new-log-timestamp
verbose
lt-cred-mech
CONF
}

# server_start NAME [LINE...]: the patched server with our module. Lines "-name" take a line of the
# standard configuration away, "module:name = value" go into the module's file, "module:-name" takes
# a line away there; all others are added to turnserver.conf.
server_start() {
  local name=$1 line dir=$TC_DIR/servers/$1
  shift
  server_folder "$name"
  cat >"$dir/module.conf" <<CONF
database = $TC_DATABASE application_name=$name
kek = $TC_DIR/kek/main
instance = $name
poll_interval = 1s
usage_dir = $dir/usage
CONF
  {
    server_conf "$name"
    printf '%s\n' "auth-module=$TC_DIR/lib/turncred.so" "auth-module-config=$dir/module.conf" auth-module-only
  } >"$dir/turnserver.conf"
  for line in "$@"; do
    case $line in
    module:-*) sed -i "/^${line#module:-} *=/d" "$dir/module.conf" ;;
    module:*) printf '%s\n' "${line#module:}" >>"$dir/module.conf" ;;
    -*) sed -i "/^${line#-}\(=\|$\)/d" "$dir/turnserver.conf" ;;
    *) printf '%s\n' "$line" >>"$dir/turnserver.conf" ;;
    esac
  done
  server_run "$name" "$TC_TURNSERVER"
}

# server_start_plain PROGRAM NAME [LINE...]: without a module
server_start_plain() {
  local program=$1 name=$2 line dir=$TC_DIR/servers/$2
  shift 2
  server_folder "$name"
  server_conf "$name" >"$dir/turnserver.conf"
  for line in "$@"; do
    case $line in
    -*) sed -i "/^${line#-}\(=\|$\)/d" "$dir/turnserver.conf" ;;
    *) printf '%s\n' "$line" >>"$dir/turnserver.conf" ;;
    esac
  done
  server_run "$name" "$program"
}

server_folder() {
  local dir=$TC_DIR/servers/$1
  mkdir -p "$dir"
  free_port >"$dir/port"
  printf '%s' "${BATS_TEST_NAME-}" >"$dir/test"
  : >"$dir/log" && : >"$dir/output"
}

# Starts the server of servers/NAME and waits until it listens.
server_run() {
  local name=$1 dir=$TC_DIR/servers/$1
  # shellcheck disable=SC2086 # a wrapper such as valgrind, with options
  ${TC_WRAPPER-} "$2" -c "$dir/turnserver.conf" >>"$dir/output" 2>&1 </dev/null 3>&- 4>&- &
  echo $! >"$dir/pid"
  disown
  wait_for "${TC_START_LIMIT:-20}" server_listens "$name" && server_alive "$name" && return
  echo "$name does not listen:"
  tail -n 30 "$dir/output" "$dir/log"
  server_stop "$name"
  return 1
}

server_alive() { kill -0 "$(<"$TC_DIR/servers/$1/pid")" 2>/dev/null; }
server_listens() {
  local port pid whose
  port=$(<"$TC_DIR/servers/$1/port") pid=$(<"$TC_DIR/servers/$1/pid")
  server_alive "$1" || return 0 # server_run says that it ended
  # in a container, once the server has given root up, not even root can see the owner of the socket
  whose="pid=$pid,"
  readlink "/proc/$pid/fd/1" >/dev/null || whose=":$port "
  [[ $(ss -Hlntp "( sport = :$port )") == *"$whose"* && $(ss -Hlnup "( sport = :$port )") == *"$whose"* ]]
}
server_port() { cat "$TC_DIR/servers/$1/port"; }
server_log() { cat "$TC_DIR/servers/$1/log"; }

# flip_octet FILE OFFSET: changes the octet to another value (a fixed value might be there already)
flip_octet() {
  local octet
  octet=$(xxd -s "$2" -l 1 -p "$1")
  # shellcheck disable=SC2059 # the octet is an escape of the format
  printf "\\x$(printf %02x $((0x$octet ^ 255)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

server_stop() { process_stop "$TC_DIR/servers/$1" "${TC_STOP_LIMIT:-10}"; }
server_gone() { ! kill -0 "$1" 2>/dev/null; }

# Many containers have no IPv6
has_ipv6() { /usr/bin/python3 -c 'import socket; socket.socket(socket.AF_INET6).bind(("::1", 0))' 2>/dev/null; }

# log_has NAME REGEX [SECONDS]: waits for a line
log_has() { wait_for "${3:-5}" grep -Eq "$2" "$TC_DIR/servers/$1/log"; }

# --- clients ------------------------------------------------------------------------------------------

# turn_step NAME FUNCTION [ARGUMENT...]: that function of the Python file beside the test (login.py for login.bats),
# whose client(), login() and log() are about the server NAME. Fails when an assertion does.
turn_step() {
  TC_SERVER=$1 PYTHONPATH=$TC_TOP/tests/integration:$TC_TOP/tests/conformance PYTHONDONTWRITEBYTECODE=1 \
    /usr/bin/python3 "${BATS_TEST_FILENAME%.bats}.py" "${@:2}"
}

# turn NAME <<'PY': the same for a few lines of Python, with all names of support.py.
turn() {
  TC_SERVER=$1 PYTHONPATH=$TC_TOP/tests/integration:$TC_TOP/tests/conformance PYTHONDONTWRITEBYTECODE=1 \
    /usr/bin/python3 -c 'from support import *
import sys
exec(compile(sys.stdin.read(), "test", "exec"))' "${@:2}"
}

