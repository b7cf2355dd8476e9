# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the tests of the store: a PostgreSQL of their own and store_probe.

TC_TOP=${top_srcdir:-$(cd "${BASH_SOURCE[0]%/*}/../../.." && pwd)}
TC_BUILD=${top_builddir:-${BUILDDIR:-$TC_TOP/build}}
export TC_TOP TC_BUILD
# shellcheck source=scripts/lib.sh
. "$TC_TOP/scripts/lib.sh"
# shellcheck source=tests/integration/slow.bash
. "$TC_TOP/tests/integration/slow.bash"
export PATIENCE=${PATIENCE:-4} # as in ../lib.bash

# sql STATEMENT...: as superuser; rows on stdout, columns separated by |
sql() {
  local statement
  for statement in "$@"; do psql -XqAt -v ON_ERROR_STOP=1 -c "$statement" || return; done
}

# store_up [postgresql.conf LINE...]: PostgreSQL with the schema; realm "r" (plain), key "k" in it;
# role turn1 is a server, issuer1 an issuer. All of it under TC_DIR.
store_up() {
  [[ -x $TC_BUILD/tests/integration/store/store_probe ]] || skip "store_probe is not built ($TC_BUILD)"
  TC_DIR=$(mktemp -d /tmp/turncred-store.XXXXXX)
  export TC_DIR PGHOST=$TC_DIR/pg/run PGDATABASE=turncred PGUSER=postgres
  export PGOPTIONS='-c client_min_messages=warning'
  export TC_CONN="host=$TC_DIR/pg/run dbname=turncred user=turn1"
  chmod 755 "$TC_DIR"
  make_slow
  mkdir -p "$TC_DIR/kek" "$TC_DIR/keys"
  (umask 077 && head -c 32 /dev/urandom >"$TC_DIR/kek/main")
  pg_start "$TC_DIR/pg" "$(id -un)=turn1" "$(id -un)=issuer1" "$(id -un)=admin1" 3>&- 4>&- || return
  if (($#)); then
    printf '%s\n' "$@" >>"$TC_DIR/pg/data/postgresql.conf"
    pg_ctl_run -m fast restart
  fi
  PGDATABASE=postgres sql 'CREATE DATABASE turncred'
  schema_load
  sql 'CREATE ROLE turn1 LOGIN IN ROLE turncred_server' \
    'CREATE ROLE issuer1 LOGIN IN ROLE turncred_issuer' \
    'CREATE ROLE admin1 LOGIN IN ROLE turncred_admin' \
    "INSERT INTO turncred.realm (name, server_name, at_rest) VALUES ('r', 'turn.r', 'plain')" \
    "SELECT turncred.key_add_plain('r', 'k', 'token', 'A256GCM', decode(repeat('ab', 32), 'hex'))" >/dev/null
}

schema_load() {
  local file
  for file in "$TC_TOP"/plugin/schema/[0-9]*.sql; do
    psql -Xq1 -v ON_ERROR_STOP=1 -f "$file" >/dev/null || return
  done
}

store_down() {
  local dir
  if [[ -z ${TC_DIR-} ]]; then return 0; fi
  for dir in "$TC_DIR"/*/data/; do
    [[ ! -d $dir ]] || pg_stop "${dir%/data/}" || true
  done
  rm -rf "$TC_DIR"
}

# pg_ctl_run ARGUMENT...
pg_ctl_run() {
  as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/${PG_NAME:-pg}/data" -l "$TC_DIR/${PG_NAME:-pg}/postgresql.log" \
    -w -t 60 "$@" >/dev/null 2>&1 </dev/null 3>&- 4>&-
}

# probe [OPTION...]: store_probe with the script on stdin; sh lines find sql() again
probe() {
  "$TC_BUILD/tests/integration/store/store_probe" -d "$TC_CONN" -k "$TC_DIR/kek" "$@" 2>"$TC_DIR/probe.log" 3>&- 4>&- || {
    local rc=$?
    cat "$TC_DIR/probe.log"
    return $rc
  }
}

# sealed TABLE-WORDS...: SQL that adds a sealed key or credential (support.py's own arithmetic)
sealed() { /usr/bin/python3 "$TC_TOP/tests/integration/support.py" "$@"; }
