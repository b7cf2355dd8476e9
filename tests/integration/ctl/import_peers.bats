#!/usr/bin/env bats
# Peer ranges of coturn's database: what a realm denies there it denies here, as networks; what networks cannot say is named.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  export CTL
  turncred_need "$CTL"
  turncred_up
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null
}
setup() { sql 'DELETE FROM turncred.realm'; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

# ranges allowed|denied REALM RANGE...: rows of the database
ranges() {
  local kind=$1 realm=$2 range
  shift 2
  for range; do printf "INSERT INTO %s_peer_ip VALUES ('%s', '%s');\n" "$kind" "$realm" "$range"; done
}
# database: a SQLite file with coturn's tables, and the rows of standard input
database() {
  rm -f "$TC_DIR/turndb"
  { printf 'CREATE TABLE turnusers_lt (realm, name, hmackey); CREATE TABLE %s_peer_ip (realm, ip_range);\n' allowed
    printf 'CREATE TABLE denied_peer_ip (realm, ip_range); BEGIN;\n'; cat; echo 'COMMIT;'; } |
    python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())' "$TC_DIR/turndb"
}
# import CODE OPTION...: with the turnserver.conf of TC_DIR/conf; a dry run first, which says the same
import() {
  local code=$1 rc=0
  shift
  set -- "$TC_DIR/turndb" --json "$@"
  "$CTL" import coturn "$@" >"$TC_DIR/dry" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = "$code" ] || { cat "$TC_DIR/err"; return 1; }
  "$CTL" import coturn "$@" --apply >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = "$code" ] || { cat "$TC_DIR/err"; return 1; }
  diff "$TC_DIR/dry" "$TC_DIR/out"
}
# row KIND NAME: action and reason
row() { jq -r --arg k "$1-peer-ip" --arg n "$2" '.[] | select(.kind == $k and .name == $n) | "\(.action) \(.reason)"' "$TC_DIR/out"; }
denied() { sql "SELECT array_to_string(denied_peers, ' ') FROM turncred.realm WHERE name = '$1'"; }

@test "a realm's denied ranges become its denied peers, less what is allowed; the rest is named" {
  printf '%s\n' lt-cred-mech 'allowed-peer-ip=10.255.0.0-10.255.0.255' >"$TC_DIR/conf"
  { ranges denied a.test 10.0.0.0-10.255.255.255 192.0.2.7 2001:db8::-2001:db8::ffff fe80::9-fe80::1 localhost \
      10.0.0.0/8 192.0.2.0-::1 ::ffff:192.0.2.1-::ffff:192.0.2.9 172.16.5.5
    ranges allowed a.test 10.0.0.0-10.127.255.255 172.16.0.0-172.16.255.255
    ranges allowed '' 2001:db8::8
    ranges denied '' 198.51.100.0-198.51.100.255
    ranges denied b.test 10.0.0.0-10.255.255.255
    ranges denied elsewhere.test 203.0.113.9; } | database
  "$CTL" realm add a.test >/dev/null
  "$CTL" realm add b.test --denied-peers 203.0.113.0/24 >/dev/null
  import 0 --turnserver-conf "$TC_DIR/conf"
  [[ $(row denied 192.0.2.7) == 'set denied_peers: 192.0.2.7' ]]
  [[ $(row denied fe80::9-fe80::1) == 'same it holds no address' ]]
  [[ $(row denied 172.16.5.5) == 'same allowed ranges take all of it out' ]]
  for range in localhost 10.0.0.0/8 192.0.2.0-::1 ::ffff:192.0.2.1-::ffff:192.0.2.9; do
    [[ $(row denied "$range") == 'note not taken over, for it is no range of addresses of one family'* ]]
  done
  [[ $(row denied 198.51.100.0-198.51.100.255) == 'note not taken over, for it is for all realms'*'denied-peer-ip=198.51.100.0-198.51.100.255'* ]]
  [[ $(row denied 203.0.113.9) == *'the realm does not exist here'* ]]
  [[ $(row allowed 2001:db8::8) == 'note an exception'* ]]
  [ "$(denied b.test | cut -d' ' -f1-4)" = '203.0.113.0/24 10.0.0.0/9 10.128.0.0/10 10.192.0.0/11' ]
  [[ " $(denied a.test) " == *' 10.128.0.0/10 '*' 192.0.2.7 '* && " $(denied a.test) " != *' 10.255.0.0'* ]]
  [[ " $(denied a.test) " == *' 2001:db8::/125 2001:db8::9 2001:db8::a/127 '* ]]
  # again: nothing is left to do
  import 0 --turnserver-conf "$TC_DIR/conf"
  [[ $(row denied 192.0.2.7) == 'same denied_peers' ]]
  [ "$(jq '[.[] | select(.action == "set")] | length' "$TC_DIR/out")" = 0 ]
}

@test "nothing is carried over that turnserver.conf may take back, or that coturn does not read" {
  ranges denied a.test 192.0.2.7 | database
  "$CTL" realm add a.test >/dev/null
  import 0
  [[ $(row denied 192.0.2.7) == 'note not taken over without --turnserver-conf'* ]]
  printf '%s\n' lt-cred-mech no-dynamic-ip-list >"$TC_DIR/conf"
  import 0 --turnserver-conf "$TC_DIR/conf"
  [[ $(row denied 192.0.2.7) == 'note not taken over, for no-dynamic-ip-list'* ]]
  printf '%s\n' lt-cred-mech allowed-peer-ip=gateway.example >"$TC_DIR/conf"
  import 0 --turnserver-conf "$TC_DIR/conf"
  [[ $(row denied 192.0.2.7) == 'note not taken over, for an allowed-peer-ip that counts here'* ]]
  # a realm with so many holes that 1024 networks do not do
  { ranges denied a.test ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
    for i in {1..20}; do ranges allowed a.test "2001:db8:$i::1"; done; } | database
  printf '%s\n' lt-cred-mech realm=a.test >"$TC_DIR/conf"
  import 0 --turnserver-conf "$TC_DIR/conf"
  [[ $(row denied ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff) == 'note not taken over, for a realm has 1024'* ]]
  [ -z "$(denied a.test)" ]
}

@test "random ranges: the networks say of each address what coturn says" {
  python3 "$TC_TOP/tests/integration/ctl/peer_ranges.py" rows >"$TC_DIR/rows"
  database <"$TC_DIR/rows"
  "$CTL" realm add a.test >/dev/null
  printf '%s\n' lt-cred-mech realm=a.test >"$TC_DIR/conf"
  import 0 --turnserver-conf "$TC_DIR/conf"
  denied a.test | python3 "$TC_TOP/tests/integration/ctl/peer_ranges.py" compare
}

@test "a server without coturn's database refuses what it refused with it" {
  { ranges denied turn.test 127.0.0.32-127.0.0.63; ranges allowed turn.test 127.0.0.40; } | database
  printf '%s\n' lt-cred-mech realm=turn.test >"$TC_DIR/conf"
  "$CTL" realm add turn.test --mechanisms derived >/dev/null
  "$CTL" key add turn.test d --use derived >/dev/null
  import 0 --turnserver-conf "$TC_DIR/conf"
  server_start main
  synced
  "$CTL" credential issue turn.test alice --json >"$TC_DIR/credential"
  probe() { "$CTL" probe --server "127.0.0.1:$(server_port main)" --credential "$TC_DIR/credential" --peer-address "$@"; }
  probe 127.0.0.40
  probe 127.0.0.1
  probe 127.0.0.33 --expect-error 403
}
