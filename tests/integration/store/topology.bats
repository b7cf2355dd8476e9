#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Behind a transaction pooler, on a hot standby, through a failover that loses the last changes.

load store.bash

setup() {
  store_up "wal_level = replica" "max_wal_senders = 4"
  printf 'own %s turn1\n' "$(pg_user)" >>"$TC_DIR/pg/data/pg_ident.conf"
  echo 'local replication all peer map=own' >>"$TC_DIR/pg/data/pg_hba.conf"
  sql 'SELECT pg_reload_conf()' >/dev/null
  cat >"$TC_DIR/bin/pg" <<PG
#!/bin/bash
# pg FOLDER PG_CTL-WORDS...
. "$TC_TOP/tests/integration/store/store.bash"
export PG_NAME=\$1
shift
pg_ctl_run "\$@"
PG
  chmod +x "$TC_DIR/bin/pg"
}
teardown() {
  [[ ${BATS_TEST_COMPLETED-} ]] || cat "$TC_DIR"/probe*.log
  [[ ! -f $TC_DIR/bouncer/pid ]] || kill "$(<"$TC_DIR/bouncer/pid")"
  store_down
}

standby_up() {
  mkdir -p "$TC_DIR/standby/run"
  [[ $EUID != 0 ]] || chown -R "$(pg_user)": "$TC_DIR/standby"
  as_user "$(pg_user)" "$(pg_bin)/pg_basebackup" -h "$TC_DIR/pg/run" -U postgres -D "$TC_DIR/standby/data" \
    -R -X stream -c fast >/dev/null 3>&- 4>&-
  echo "unix_socket_directories = '$TC_DIR/standby/run'" >>"$TC_DIR/standby/data/postgresql.conf"
  pg standby start
}

@test "a transaction pooler: changes are seen, with LISTEN and without" {
  mkdir -p "$TC_DIR/bouncer"
  [[ $EUID != 0 ]] || chown "$(pg_user)": "$TC_DIR/bouncer"
  cat >"$TC_DIR/bouncer/ini" <<INI
[databases]
turncred = host=$TC_DIR/pg/run port=5432 dbname=turncred user=turn1
[pgbouncer]
listen_addr =
unix_socket_dir = $TC_DIR/bouncer
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 2
logfile = $TC_DIR/bouncer/log
pidfile = $TC_DIR/bouncer/pid
INI
  chmod 644 "$TC_DIR/bouncer/ini"
  as_user "$(pg_user)" /usr/sbin/pgbouncer -q -d "$TC_DIR/bouncer/ini" 3>&- 4>&-
  wait_for 10 test -S "$TC_DIR/bouncer/.s.PGSQL.6432"
  local option
  unset PGOPTIONS # a pooler wants none
  for option in -n ""; do
    TC_CONN="host=$TC_DIR/bouncer port=6432 dbname=turncred user=turn1" run probe -p 400 ${option:+"$option"} <<'SCRIPT'
load 5000
expect accepts r k = yes
sh slow begin "SELECT turncred.key_add_plain('r', 'slow', 'token', 'A128GCM', decode(md5(random()::text), 'hex'))"
sh for i in 1 2 3 4 5 6 7 8; do psql -Xqc "SELECT turncred.credential_push_password('r', 'u$i', 'password of 128 bits')" >/dev/null; done
within 1500 has r credential u8 = yes
expect has r credential u1 = yes
sh slow commit
within 1500 accepts r slow = yes
sh psql -Xqc "DELETE FROM turncred.credential" -c "DELETE FROM turncred.key WHERE kid = 'slow'"
within 1500 has r credential u1 = no
SCRIPT
    echo "$output"
    [ "$status" -eq 0 ]
  done
  [ "$(sql "SELECT progress > '0' FROM turncred.instance WHERE id = 'probe'")" = t ]
}

@test "a hot standby: changes are seen, progress goes to the primary" {
  standby_up
  local primary=$TC_CONN
  TC_CONN=${TC_CONN/pg\/run/standby\/run} run probe -p 400 -w "$primary" <<'SCRIPT'
load 5000
expect accepts r k = yes
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'n', 'token', 'A128GCM', decode(md5('n'), 'hex'))" >/dev/null
within 3000 accepts r n = yes
sh for i in $(seq 100); do [ "$(psql -XAtc "SELECT count(*) FROM turncred.behind((SELECT max(xid) FROM turncred.change))")" = 0 ] && exit 0; sleep 0.1; done; exit 1
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(sql "SELECT database_state FROM turncred.instance WHERE id = 'probe'")" = 'connected to a standby' ]
  TC_CONN=${TC_CONN/pg\/run/standby\/run} run probe -p 400 <<<'load 5000'
  grep -q 'the database is a standby: name the primary in database_write' "$TC_DIR/probe.log"
}

@test "a failover that lost the last changes: noticed, loaded anew, revocations kept" {
  standby_up
  TC_CONN="host=$TC_DIR/pg/run,$TC_DIR/standby/run dbname=turncred user=turn1 target_session_attrs=read-write" \
    run probe -p 400 <<'SCRIPT'
load 5000
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'both', 'token', 'A128GCM', decode(md5('both'), 'hex'))" >/dev/null
within 1000 accepts r both = yes
sh for i in $(seq 100); do [ "$(psql -XAth "$TC_DIR/standby/run" -c "SELECT count(*) FROM turncred.key WHERE kid = 'both'")" = 1 ] && exit 0; sleep 0.1; done; exit 1
sh pg standby stop -m fast
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'lost', 'token', 'A128GCM', decode(md5('lost'), 'hex'))" -c "SELECT turncred.revoke('user', 'r', 'eve')" >/dev/null
within 1000 accepts r lost = yes
within 1000 revoked user r eve = for good
sh pg pg stop -m immediate; pg standby start; pg standby promote
within 30000 has r key lost = no
expect accepts r both = yes
expect revoked user r eve = for now
sh PGHOST=$TC_DIR/standby/run psql -Xqc "SELECT turncred.key_add_plain('r', 'after', 'token', 'A128GCM', decode(md5('after'), 'hex'))" >/dev/null
within 1000 accepts r after = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  grep -q 'loading everything anew' "$TC_DIR/probe.log"
}

@test "a standby that is behind what is loaded is waited for, not believed" {
  standby_up
  PGHOST=$TC_DIR/standby/run sql 'SELECT pg_wal_replay_pause()' >/dev/null
  TC_CONN="host=$TC_DIR/pg/run,$TC_DIR/standby/run dbname=turncred user=turn1" run probe -p 300 <<'SCRIPT'
load 5000
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'new', 'token', 'A128GCM', decode(md5('new'), 'hex'))" >/dev/null
within 1000 accepts r new = yes
sh pg pg stop -m fast
within 3000 connected = no
during 2000 accepts r new = yes
sh PGHOST=$TC_DIR/standby/run psql -Xqc 'SELECT pg_wal_replay_resume()' >/dev/null
within 20000 connected = yes
expect accepts r new = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  grep -q 'the standby is behind' "$TC_DIR/probe.log"
}

@test "a dump restored into a new cluster: roles, rights, partitions and the feed go on" {
  sql 'SELECT turncred.maintain_partitions()' "SELECT turncred.revoke('user', 'r', 'eve')" >/dev/null
  # the new cluster's transactions have smaller numbers
  sql 'DO $$BEGIN FOR i IN 1..5000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END$$'
  for i in {1..30}; do sql "UPDATE turncred.realm SET max_ttl = max_ttl + 1 WHERE name = 'r'"; done
  sql "SELECT turncred.instance_report('left', 'server', '', pg_current_xact_id(), 0, '')" >/dev/null
  pg_dumpall --roles-only --no-role-passwords >"$TC_DIR/roles"
  pg_dump -Fc turncred >"$TC_DIR/dump"
  pg_start "$TC_DIR/second" "$(id -un)=turn1" "$(id -un)=admin1" 3>&- 4>&-
  cat >"$TC_DIR/bin/restore" <<'RESTORE'
#!/bin/sh
export PGHOST=$TC_DIR/second/run
psql -Xq -d postgres -f "$TC_DIR/roles" >/dev/null 2>&1 # postgres is there already
psql -Xq -v ON_ERROR_STOP=1 -d postgres -c 'CREATE DATABASE turncred' && pg_restore --exit-on-error -d turncred "$TC_DIR/dump"
RESTORE
  cat >"$TC_DIR/bin/ask" <<'ASK'
#!/bin/sh
export PGHOST=$TC_DIR/second/run TURNCRED_DATABASE='dbname=turncred' TURNCRED_CONFIG=/dev/null
sleep 2
echo "behind: $(psql -XqAtc "SELECT string_agg(id, ' ') FROM turncred.behind((SELECT max(xid) FROM turncred.change WHERE kind = 'key' AND xid < pg_snapshot_xmin(pg_current_snapshot())))")"
psql -XAtc "SELECT * FROM turncred.session_changes((SELECT max(xid) FROM turncred.change) || '/1')"
psql -Xqc "SELECT turncred.key_add_plain('r', 'k2', 'token', 'A256GCM', decode(repeat('cd', 32), 'hex'))" >/dev/null
"$TC_BUILD/turncredctl" key rotate r --wait 10s --without left
echo "rotate: $?"
psql -Xqc "SELECT turncred.maintain_partitions()" >/dev/null
sleep 11
echo "list: $("$TC_BUILD/turncredctl" server list --json | jq -r 'map("\(.id) \(.current)") | sort | join(", ")')"
"$TC_BUILD/turncredctl" doctor
exit 0
ASK
  chmod +x "$TC_DIR/bin/restore" "$TC_DIR/bin/ask"
  TC_CONN="host=$TC_DIR/pg/run,$TC_DIR/second/run dbname=turncred user=turn1" run probe -p 300 <<'SCRIPT'
load 5000
sh psql -Xqc "SELECT turncred.key_add_plain('r', 'undumped', 'token', 'A128GCM', decode(md5('u'), 'hex'))" >/dev/null
within 1000 accepts r undumped = yes
sh pg pg stop -m fast; restore
within 30000 has r key undumped = no
expect accepts r k = yes
expect revoked user r eve = for good
sh PGHOST=$TC_DIR/second/run psql -Xqc "SELECT turncred.key_set_state('r', 'k', 'disabled')" >/dev/null
within 1000 accepts r k = no
sh [ "$(PGHOST=$TC_DIR/second/run psql -XqAt -U admin1 -c "SELECT count(*) FROM turncred.maintain_partitions()")" = 0 ]
sh for i in $(seq 60); do [ "$(PGHOST=$TC_DIR/second/run psql -XAtc "SELECT count(*) FROM turncred.instance WHERE id = 'probe' AND last_seen > pg_postmaster_start_time()")" = 1 ] && exit 0; sleep 0.1; done; exit 1
sh ask > $TC_DIR/asked 2>&1
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  cat "$TC_DIR/asked"
  grep -qx 'behind: left' "$TC_DIR/asked" # it has not reported to this cluster, whatever it said to the other one
  grep -qx 'list: left false, probe true' "$TC_DIR/asked"
  grep -q '"probe" is current' "$TC_DIR/asked"
  grep -qx 'rotate: 0' "$TC_DIR/asked"
  grep -q 'another cluster.s' "$TC_DIR/asked"
}
