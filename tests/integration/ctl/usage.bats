#!/usr/bin/env bats
# session list, show and end; usage; user forget: tables, JSON, CSV, mistakes, and who may. The rows are delivered with the
# statements of the module; server/usage.bats has the same from a real server, where session end is acknowledged.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  turncred_need "$CTL"
  TC_DIR=$(mktemp -d /tmp/turncred-ctl.XXXXXX)
  chmod 755 "$TC_DIR"
  mkdir -p "$TC_DIR/servers"
  pg_start "$TC_DIR/pg" "$(id -un)=op" "$(id -un)=auditor" "$(id -un)=turn1" 3>&- 4>&-
  export TC_DIR CTL PGHOST=$TC_DIR/pg/run PGDATABASE=turncred PGUSER=postgres
  export TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema TURNCRED_CONFIG=$TC_DIR/ctl.conf
  PGDATABASE=postgres sql 'CREATE DATABASE turncred'
  : >"$TURNCRED_CONFIG"
  "$CTL" schema upgrade >/dev/null
  sql 'CREATE ROLE op LOGIN IN ROLE turncred_admin' 'CREATE ROLE auditor LOGIN IN ROLE turncred_auditor' \
    'CREATE ROLE turn1 LOGIN IN ROLE turncred_server'
  PGUSER=op "$CTL" realm add a.test --usage address >/dev/null
  PGUSER=op "$CTL" realm add t.test --usage totals >/dev/null
  PGUSER=op "$CTL" realm add off.test >/dev/null
  deliver
}
teardown_file() { turncred_down; }

# Sessions 1 to 7 have ended, 11 to 14 live.
deliver() {
  /usr/bin/python3 - >"$TC_DIR/entries" <<'PY'
import json, time
now = int(time.time())
users = ["alice", "alice", '=HYPERLINK("http://evil.test")', "+4915112345", 'Zoë "Z", O\'Brien', "line\nbreak", "＝1+1"]
entries = [{"e": "begin", "l": now * 10**6}]
def entry(e, n, realm, user, more):
    entries.append({"e": e, "l": now * 10**6, "n": n, "realm": realm, "m": "derived", "sub": user, "kid": "k1", "tr": "udp",
                    "ca": "192.0.2.1:5", "ra": "192.0.2.9:6", "t": (now - 100) * 10**6, **more})
for n, user in enumerate(users, 1):
    entry("end", n, "a.test", user, {"u": now * 10**6, "why": "client" if n != 2 else "lost", "c": [10**15, n, 1, 1, 5, 6, 1, 1]})
for n, (realm, user) in enumerate([("a.test", "alice"), ("a.test", "bob"), ("t.test", "carol"), ("off.test", "dave")], 11):
    entry("start", n, realm, user, {})
print(json.dumps([{"q": q, **e} for q, e in enumerate(entries, 1)]).replace("'", "''"))
PY
  PGUSER=turn1 sql "SELECT turncred.usage_open('00000000-0000-0000-0000-000000000001', 's1');
    SELECT turncred.usage_deliver('00000000-0000-0000-0000-000000000001', '$(<"$TC_DIR/entries")')" >/dev/null
}

# ctl ARGUMENT...: as the operator, JSON in $TC_DIR/out
ctl() { PGUSER=${AS:-op} "$CTL" "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err"; }
value() { jq -r "$1" "$TC_DIR/out"; }
refused() {
  local want=$1 text=$2 rc=0
  shift 2
  ctl "$@" || rc=$?
  [ "$rc" = "$want" ] && [ ! -s "$TC_DIR/out" ] && grep -Eq -- "$text" "$TC_DIR/err" || {
    echo "exit code $rc of $*"
    cat "$TC_DIR/out" "$TC_DIR/err"
    return 1
  }
}

@test "session list: by realm, user and server; the oldest; off has none, totals a hash" {
  ctl session list
  [ "$(value '[.[].subject | sub("hash:.*"; "hash")] | sort | join(" ")')" = 'alice bob hash' ]
  [ "$(value '.[] | select(.subject == "bob") | [.realm, .mechanism, .kid, .transport, .client_address, .relayed_address, .instance, .received_octets] | join(" ")')" = \
    'a.test derived k1 udp 192.0.2.1:5 192.0.2.9:6 s1 0' ]
  [ "$(value '.[] | select(.realm == "t.test") | .client_address')" = null ]
  ctl session list a.test --user alice --server s1
  [ "$(value length)" = 1 ]
  ctl session list a.test --server s2
  [ "$(value length)" = 0 ]
  ctl session list --limit 2
  [ "$(value length)" = 2 ]
  ctl session list off.test
  [ "$(value length)" = 0 ]
  PGUSER=op "$CTL" session list a.test >"$TC_DIR/out"
  grep -Eq '^SESSION +REALM +USER +KIND +OVER +CLIENT +SINCE +RECEIVED +SENT$' "$TC_DIR/out"
  grep -Eq '^s1/[0-9]{16}/12 +a.test +bob +derived +udp +192.0.2.1:5 +20[0-9-]+T[0-9:]+Z +0 +0$' "$TC_DIR/out"
  [ "$(wc -l <"$TC_DIR/out")" = 3 ]
}

@test "session show: one, by the name of the list; end: it asks the servers, and says that none has answered" {
  ctl session list --user bob
  local name rc=0
  name=$(value '.[0].session')
  ctl session show "$name"
  [ "$(value '[.subject, .seconds >= 100, .peer_sent_packets] | join(" ")')" = 'bob true 0' ]
  PGUSER=op "$CTL" session show "$name" | grep -Eq '^octets from the client +0$'
  refused 1 'no session "s1/1/1" lives; turncredctl session list shows' session show s1/1/1
  refused 1 'session "s1/1/1" does not live.*session list' session end s1/1/1
  refused 2 'SESSION' session end
  # the server is known, but not there
  PGUSER=turn1 sql "SELECT turncred.instance_report('s1', 'server', '', '5', 0, '')" >/dev/null
  ctl session end "$name" --wait 1s || rc=$?
  [ "$rc" = 5 ]
  [ "$(value '[.ended, .in_force, (.late | join(","))] | join(" ")')" = "$name false s1" ]
  [ "$(sql "SELECT name FROM turncred.change WHERE kind = 'session'")" = "$name" ]
}

@test "usage: days, users, and what was lost" {
  ctl usage a.test --user alice
  [ "$(value '.[0] | [.day, .realm, .sessions, .seconds, .received_octets, .sent_octets, .peer_received_octets, .peer_sent_octets, .lost] | join(" ")')" = \
    "$(date -u +%F) a.test 2 200 2000000000000000 3 10 12 1" ]
  ctl usage
  [ "$(value length)" = 6 ]
  ctl usage --since 2000-01-01T00:00:00Z --until 2000-01-02T00:00:00Z
  [ "$(value length)" = 0 ]
  refused 2 'since' usage --since yesterday
  PGUSER=op "$CTL" usage a.test >"$TC_DIR/out"
  grep -Eq '^DAY +REALM +USER +SESSIONS +SECONDS +RECEIVED +SENT +FROM PEERS +TO PEERS +LOST$' "$TC_DIR/out"
  grep -Fq 'line?break' "$TC_DIR/out" # nobody's name controls a terminal
}

@test "CSV: what a program of spreadsheets reads, and takes for no formula" {
  PGUSER=op "$CTL" usage a.test --csv >"$TC_DIR/csv"
  /usr/bin/python3 - "$TC_DIR/csv" <<'PY'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], encoding="utf-8", newline=""), strict=True))
users = sorted(row["subject"] for row in rows)
want = sorted(["alice", "'=HYPERLINK(\"http://evil.test\")", "+4915112345", 'Zoë "Z", O\'Brien', "line?break", "'＝1+1"])
assert users == want, users
alice = [row for row in rows if row["subject"] == "alice"][0]
assert alice["received_octets"] == "2000000000000000" and alice["seconds"] == "200", alice
assert list(alice) == ["day", "realm", "subject", "sessions", "seconds", "received_octets", "sent_octets",
                       "peer_received_octets", "peer_sent_octets", "lost"], list(alice)
PY
  PGUSER=op "$CTL" session list --csv >"$TC_DIR/csv"
  [ "$(grep -c $'\r$' "$TC_DIR/csv")" = 4 ]
  ctl usage a.test
  [ "$(value '[.[].subject] | map(select(startswith("="))) | join("")')" = '=HYPERLINK("http://evil.test")' ] # JSON has them as they are
}

@test "an auditor sees sessions and usage, and may neither end nor forget" {
  AS=auditor ctl session list
  [ "$(value length)" = 3 ]
  AS=auditor ctl usage a.test
  [ "$(value length)" = 6 ]
  AS=auditor refused 3 'permission denied' session end "$(AS=auditor ctl session list --user bob && value '.[0].session')"
  AS=auditor refused 3 'permission denied' user forget a.test alice
  AS=auditor refused 3 'permission denied' realm list
  AS=turn1 refused 3 'permission denied' session list
  AS=turn1 refused 3 'permission denied' usage
}

@test "user forget: everywhere, by its realm alone; nothing is left to find" {
  refused 1 'realm "none" does not exist' user forget none alice
  refused 2 'USER' user forget a.test
  ctl user forget t.test alice
  [ "$(value '[.[].rows] | add')" = 0 ]
  PGUSER=op "$CTL" user forget a.test alice >"$TC_DIR/out"
  grep -Eq '^session_log +2$' "$TC_DIR/out"
  grep -Eq '^session_live +1$' "$TC_DIR/out"
  ctl usage a.test --user alice
  [ "$(value length)" = 0 ]
  ctl usage a.test
  [ "$(value '.[] | select(.subject == null) | [.sessions, .lost] | join(" ")')" = '2 1' ] # the sums stay
  ctl session list --user alice
  [ "$(value length)" = 0 ]
  [ "$(sql "SELECT count(*) FROM turncred.session_log WHERE client_address IS NOT NULL AND subject IS NULL")" = 0 ]
}

@test "completion knows them" {
  "$CTL" completion bash >"$TC_DIR/completion"
  bash -c '. "$1"
complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _turncredctl; printf "%s\n" "${COMPREPLY[@]}"; }
complete_words turncredctl session "" | sort | paste -sd" " | grep -qx "end list show"
complete_words turncredctl user f | grep -qx forget
complete_words turncredctl usage --c | grep -qx -- --csv
complete_words turncredctl realm set r --ret | grep -qx -- --retention-days' - "$TC_DIR/completion"
}

# A row that somebody wrote by hand, after dropping what the schema checks, must not hide all others.
@test "times beyond all bounds in every row: each list has its rows, and doctor looks at all" {
  PGDATABASE=postgres sql 'CREATE DATABASE odd TEMPLATE turncred'
  export PGDATABASE=odd
  PGUSER=op "$CTL" realm add odd.test --at-rest plain --mechanisms token,derived,pushed >/dev/null
  PGUSER=op "$CTL" key add odd.test k1 --use token --wait 0 >/dev/null
  PGUSER=op "$CTL" key add odd.test k2 --use token --wait 0 >/dev/null
  PGUSER=op "$CTL" caller add edge --scopes derived --realms odd.test >/dev/null
  for name in a b; do
    PGUSER=op "$CTL" credential push odd.test $name --wait 0 >/dev/null
    PGUSER=op "$CTL" revoke user odd.test gone$name --wait 0 >/dev/null
  done
  for name in s1 s2; do PGUSER=turn1 sql "SELECT turncred.instance_report('$name', 'server', '0', '1', 0, 'connected')" >/dev/null; done
  psql -Xq -v ON_ERROR_STOP=1 <<'SQL'
SET session_replication_role = replica;
DO $$
DECLARE
  t record;
  columns text;
BEGIN
  FOR t IN SELECT conrelid::regclass AS tab, conname FROM pg_constraint
    WHERE contype = 'c' AND conrelid <> 0 AND connamespace = 'turncred'::regnamespace AND coninhcount = 0 LOOP
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', t.tab, t.conname);
  END LOOP;
  FOR t IN SELECT c.oid::regclass AS tab, c.relname FROM pg_class c WHERE relnamespace = 'turncred'::regnamespace AND relkind = 'r'
    AND relname IN ('realm', 'key', 'credential', 'revocation', 'caller', 'instance', 'session_live', 'session_log_default') LOOP
    SELECT string_agg(format('%I = CASE WHEN ctid::text LIKE ''%%1)'' THEN ''-infinity''::timestamptz ELSE ''infinity'' END', attname), ', ')
      INTO columns FROM pg_attribute WHERE attrelid = t.tab AND atttypid = 'timestamptz'::regtype AND attnum > 0
      AND (t.relname NOT LIKE 'session%' OR attname <> 'server_start');
    EXECUTE format('UPDATE %s SET %s', t.tab, columns);
  END LOOP;
END
$$;
UPDATE turncred.session_log SET received_octets = 9223372036854775807, sent_octets = 9223372036854775807, ended_at = now();
UPDATE turncred.revocation SET lifted_at = NULL;
UPDATE turncred.instance SET stopped_at = NULL;
SQL
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE NOT isfinite(created_at)")" = 2 ]
  [ "$(sql "SELECT count(*) FROM turncred.instance WHERE NOT isfinite(last_seen)")" = 2 ]
  local n what
  while read -r n what; do
    # shellcheck disable=SC2086
    ctl $what || { cat "$TC_DIR/err" && echo "$what" && return 1; }
    [ "$(value length)" = "$n" ] || { cat "$TC_DIR/out" && echo "$what" && return 1; }
    # shellcheck disable=SC2086
    PGUSER=op "$CTL" $what >/dev/null
  done <<LISTS
4 realm list
2 key list odd.test
2 credential list
1 caller list
2 revocation list --all
$(sql 'SELECT count(*) FROM turncred.session_live') session list
2 server list
LISTS
  ctl key list odd.test
  [ "$(value '[.[].created_at] | unique | all(. == 253402300799 or . == -62135596800)')" = true ]
  ctl usage || { cat "$TC_DIR/err" && return 1; }
  grep -q '"received_octets": *9223372036854775807' "$TC_DIR/out"
  [ "$(sql 'SELECT string_agg(id, chr(32) ORDER BY id) FROM (SELECT * FROM turncred.servers() OFFSET 0) s WHERE silent_ms >= 0')" = 's1 s2' ]
  [ "$(sql 'SELECT count(session) FROM turncred.session_changes()')" -gt 0 ]
  local rc=0
  ctl doctor || rc=$?
  [ "$rc" = 1 ] || { cat "$TC_DIR/out" "$TC_DIR/err" && return 1; }
}
