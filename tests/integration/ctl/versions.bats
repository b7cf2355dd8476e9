#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# turncredctl where a server or an issuer is too old for what is asked for: it is named, and what to do.

load ../lib

# secret OCTETS: twice as many random digits
secret() { openssl rand -hex "$1" | tr -d '\n'; }

setup_file() {
  CTL=$TC_BUILD/turncredctl
  turncred_need "$CTL"
  TC_DIR=$(mktemp -d /tmp/turncred-versions.XXXXXX)
  chmod 755 "$TC_DIR"
  pg_start "$TC_DIR/pg" "$(id -un)=old1" "$(id -un)=new1" "$(id -un)=oldissuer" 3>&- 4>&-
  export TC_DIR CTL PGHOST=$TC_DIR/pg/run PGDATABASE=turncred PGUSER=postgres
  export TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema TURNCRED_CONFIG=$TC_DIR/ctl.conf
  PGDATABASE=postgres sql 'CREATE DATABASE turncred'
  : >"$TURNCRED_CONFIG"
  "$CTL" schema upgrade >/dev/null
  sql 'CREATE ROLE old1 LOGIN IN ROLE turncred_server' 'CREATE ROLE new1 LOGIN IN ROLE turncred_server' \
    'CREATE ROLE oldissuer LOGIN IN ROLE turncred_issuer'
  # no octet of a secret may be the newline at its end
  secret 16 >"$TC_DIR/secret"
  secret 50 >"$TC_DIR/long"
}
teardown_file() { turncred_down; }
setup() {
  sql 'DELETE FROM turncred.instance' 'DELETE FROM turncred.realm' \
    "INSERT INTO turncred.realm (name, server_name, mechanisms, at_rest) VALUES ('r', 'turn.r', '{rest,derived,pushed}', 'plain')"
}

# old [ROLE]: a report in the words of version 0.1.0 as it was released (schema 3)
old() {
  local role=${1-old1} kind=server
  [ "$role" = old1 ] || kind=issuer
  PGUSER=$role sql "SELECT turncred.instance_report('$role', '$kind', '0.1.0', '0'::xid8, 0, 'connected', '{}', 0, 1), turncred.instance_clock('$role', now())"
}
# new KNOWN: a report in today's words
new() {
  PGUSER=new1 sql "SELECT turncred.instance_report('new1', 'server', '0.2.0', '0'::xid8, 0, 'connected', '{}', 0, 1),
    turncred.instance_clock('new1', now()), turncred.instance_software('new1', $1, 'coturn-4.6.1', '0.2.0', 'CAU4')"
}
ctl() { "$CTL" "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err"; }
value() { jq -r "$1" "$TC_DIR/out"; }
# refused TEXT ARGUMENT...: exit code 1 and TEXT, and the option that does it all the same does it
refused() {
  local text=$1 rc=0
  shift
  ctl "$@" --wait 0 || rc=$?
  cat "$TC_DIR/err"
  [ "$rc" -eq 1 ]
  grep -Fq -- "$text" "$TC_DIR/err"
  grep -q 'Upgrade these programs first.*server forget.*--even-if-old' "$TC_DIR/err"
  ctl "$@" --wait 0 --even-if-old
}

@test "server list: what a server reports, and one that reports nothing" {
  old
  new 9
  ctl server list
  [ "$(value '.[] | select(.id == "new1") | [.coturn, .series, .abi, .version, .schema_known] | @csv')" = \
    '"coturn-4.6.1","0.2.0","CAU4","0.2.0",9' ]
  [ "$(value '.[] | select(.id == "old1") | [.coturn, .series, .abi, .version, .schema_known] | @csv')" = ',,,"0.1.0",' ]
  "$CTL" server list | tee "$TC_DIR/out"
  grep -Eq '^new1 +server +running +0.2.0 +coturn-4.6.1 +0.2.0 +CAU4 +9 ' "$TC_DIR/out"
  grep -Eq '^old1 +server +running +0.1.0 +- +- +- +not reported ' "$TC_DIR/out"
}

@test "an older program under the id of a newer one is taken for what it is" {
  new 9
  PGUSER=new1 sql "SELECT turncred.instance_report('new1', 'server', '0.1.0', '0'::xid8, 0, 'connected', '{}', 0, 1)"
  ctl server list
  [ "$(value '.[0].schema_known')" = null ]
  refused 'too new for server "new1" (turncred 0.1.0, schema 3 or older)' key add r k --use rest --from "$TC_DIR/secret" --separator @
}

@test "a separator, a username format, a long secret: the servers and issuers that are too old are named" {
  old
  old oldissuer
  new 9
  refused 'the separator "@" of key "k1" is too new for server "old1" (turncred 0.1.0, schema 3 or older), issuer "oldissuer"' \
    key add r k1 --use rest --from "$TC_DIR/secret" --separator @
  secret 16 >"$TC_DIR/secret2"
  refused 'the username format "either" of key "k2"' key add r k2 --use rest --from "$TC_DIR/secret2" --username-format either
  refused 'longer than 64 octets' key add r k3 --use rest --alg sha512 --from "$TC_DIR/long"
  run ctl key add r plain --use rest --from <(secret 10) --wait 0
  [ "$status" -eq 0 ]
}

@test "lists of peers: a server that does not look at them is named" {
  old
  old oldissuer
  local rc=0
  ctl realm set r --denied-peers 10.0.0.0/8 || rc=$?
  cat "$TC_DIR/err"
  [ "$rc" -eq 1 ]
  grep -q 'a list of peers of realm "r" is too new for server "old1" (turncred 0.1.0, schema 3 or older): it needs schema 9' "$TC_DIR/err"
  ctl realm set r --denied-peers 10.0.0.0/8 --even-if-old
  ctl realm set r --max-ttl 2h
  rc=0
  ctl realm add other --allowed-peers 192.0.2.1 || rc=$?
  [ "$rc" -eq 1 ]
}

@test "a rotation that an old server cannot follow changes nothing" {
  new 9
  ctl key add r k1 --use rest --from "$TC_DIR/secret" --separator @ --wait 0
  old
  secret 16 >"$TC_DIR/next"
  local rc=0
  ctl key rotate r --use rest --from "$TC_DIR/next" --wait 0 || rc=$?
  cat "$TC_DIR/err"
  [ "$rc" -eq 1 ]
  grep -q 'too new for server "old1"' "$TC_DIR/err"
  [ "$(sql 'SELECT string_agg(kid || state, $$,$$) FROM turncred.key')" = k1active ]
  # what is there already may be changed: a state is no novelty
  ctl key set r k1 --state retired --wait 0
  # the server is gone for good
  ctl server forget old1
  ctl key set r k1 --state active --wait 0
  rc=0
  ctl key rotate r --use rest --from "$TC_DIR/next" --wait 0 || rc=$?
  [ "$(sql 'SELECT count(*) FROM turncred.key')" = 2 ]
}

@test "a fifth key that is tried, and a user id of its own" {
  old oldissuer
  local i
  for i in 1 2 3 4; do ctl key add r "d$i" --use derived --wait 0; done
  ctl key add r d5 --use derived --wait 0 # issuers sign with one of them: any number
  ctl key disable r d5 --wait 0
  old
  refused 'a fifth accepted derived key in realm "r" is too new for server "old1"' key add r d6 --use derived
  ctl credential push r alice --wait 0
  refused 'a credential with a user id of its own is too new for server "old1"' credential push r 'alice~1' --user alice
}

@test "a server that says it knows enough, and one that was not heard of for a day, refuse nothing" {
  new 5
  ctl key add r k1 --use rest --from "$TC_DIR/secret" --separator @ --wait 0
  refused 'server "new1" (turncred 0.2.0, schema 5)' credential push r 'alice~1' --user alice
  sql "UPDATE turncred.instance SET last_seen = now() - interval '25 hours'"
  ctl credential push r 'alice~2' --user alice --wait 0
}

@test "with SQL alone: the same refusal, TC005; nobody reports for somebody else" {
  old
  run psql -Xq -v ON_ERROR_STOP=1 -v VERBOSITY=verbose -c \
    "SELECT turncred.key_add_plain('r', 'k', 'rest', 'sha1', 'secret', p_separator => '@')"
  echo "$output"
  [ "$status" -ne 0 ] && [[ $output == *TC005*'server "old1"'* ]]
  psql -Xq -v ON_ERROR_STOP=1 -c 'SET turncred.even_if_old = on' \
    -c "SELECT turncred.key_add_plain('r', 'k', 'rest', 'sha1', 'secret', p_separator => '@')" >/dev/null
  PGUSER=new1 sql "SELECT turncred.instance_software('old1', 9, '', '', '')"
  [ "$(sql "SELECT known FROM turncred.instance_known WHERE id = 'old1'")" = 3 ]
}

@test "doctor names a server that is older than the schema, and is content with one that is not" {
  old
  new "$(sql 'SELECT max(version) FROM turncred.migration')"
  ctl doctor || [ $? = 1 ]
  cat "$TC_DIR/out"
  grep -q 'server \\"old1\\" (turncred 0.1.0) knows schema 3, the database has' "$TC_DIR/out"
  [ "$(grep -c 'knows schema' "$TC_DIR/out")" = 1 ]
}
