#!/usr/bin/env bats
# In service: logins at a steady rate while keys rotate and the database fails in every way; two
# servers on one database. Here in a short form; the long one is
#
#   TC_RATE=200 TC_FAULT=10 TC_ROUNDS=100 bats --show-output-of-passing-tests tests/integration/server/service.bats
#
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived,pushed}'"
  key_add turn.test k1
  key_add turn.test d1 derived
  server_start one
  server_start two
  synced
}
setup() {
  turncred_ready
  RATE=${TC_RATE:-30} FAULT=${TC_FAULT:-2} ROUNDS=${TC_ROUNDS:-50}
  LOAD=$TC_BUILD/tests/bench/turnload
}
teardown() { turncred_check; }
teardown_file() {
  [[ -z ${TC_DIR-} ]] || frozen CONT
  turncred_down
}

# load_start KIND NAME: logins of that kind until load_end, and three calls beside them
load_start() {
  local kind=$1 name=$2 options=(--mint derived --key-file "$TC_DIR/keys/turn.test/d1")
  [[ $kind != token ]] || options=(--mint token --key-file "$TC_DIR/keys/turn.test/k1" --kid k1 --server-name turn.test-server)
  "$LOAD" --server "127.0.0.1:$(server_port "$name")" "${options[@]}" --rate "$RATE" \
    --seconds "$SECONDS_OF_LOAD" --wrong 0.1 --calls 3 --json >"$TC_DIR/load.$kind" 2>"$TC_DIR/load.$kind.err" 3>&- 4>&- &
  eval "pid_$kind=$!"
}
# load_end KIND WHAT: 0 if not one answer was wrong
load_end() {
  local pid=pid_$1
  wait "${!pid}" || { cat "$TC_DIR/load.$1" "$TC_DIR/load.$1.err"; return 1; }
  turn_step "$1" judge_load "$TC_DIR/load.$1" "$1, $2" $((RATE * SECONDS_OF_LOAD))
}

postmaster() { head -n 1 "$TC_DIR/pg/data/postmaster.pid"; }
# frozen STOP|CONT: the postmaster and all it has started
frozen() {
  local pid
  pid=$(postmaster 2>/dev/null) || return 0
  # shellcheck disable=SC2046 # a list of numbers
  kill "-$1" "$pid" $(ps -o pid= --ppid "$pid") 2>/dev/null || true
}

@test "logins go on while the database is stopped, killed, frozen, or refuses logins" {
  turncred_need "$LOAD"
  local how
  for how in stopped killed frozen refusing; do
    SECONDS_OF_LOAD=$((FAULT + 2))
    load_start token one
    load_start derived two
    sleep 1
    case $how in
    stopped) as_user "$(pg_user)" "$(pg_bin)/pg_ctl" -D "$TC_DIR/pg/data" -m fast -w stop >/dev/null ;;
    killed) kill -9 "$(postmaster)" ;;
    frozen) frozen STOP ;;
    refusing)
      sed -i '1i local turncred turn1 reject' "$TC_DIR/pg/data/pg_hba.conf"
      # the connections that are there end, and no new one is let in
      sql 'SELECT pg_reload_conf()' \
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'turn1'" >"$TC_DIR/ended"
      grep -qx '[1-9]' "$TC_DIR/ended"
      log_has one 'pg_hba.conf rejects'
      ;;
    esac
    sleep "$FAULT"
    load_end token "database $how"
    load_end derived "database $how"
    case $how in
    frozen) frozen CONT ;;
    refusing)
      sed -i 1d "$TC_DIR/pg/data/pg_hba.conf"
      sql 'SELECT pg_reload_conf()' >/dev/null
      ;;
    *) pg_restart || { sleep 1 && pg_restart; } ;;
    esac
    key_add turn.test "after-$how"
    turn one "after-$how" <<'PY'
took = max(wait_until(lambda: login(token(sys.argv[1]), name=name) == 0, 30, 0.1) for name in ("one", "two"))
print(f"  the next change reached both servers {took:.1f} s after the database was back")
PY
  done
}

@test "keys come, rotate and go under load; a disabled one stops at once" {
  turncred_need "$LOAD"
  SECONDS_OF_LOAD=4
  load_start token one
  load_start derived two
  local i
  for i in 1 2 3; do
    key_add turn.test "r$i"
    sql "UPDATE turncred.key SET state = 'retired' WHERE realm = 'turn.test' AND kid = 'r$((i - 1))'"
    key_add turn.test "e$i" derived
  done
  sql "SELECT turncred.key_set_state('turn.test', 'r3', 'disabled')" >/dev/null
  synced
  turn one <<'PY'
for name in "one", "two":
    expect(0, token("r1"), name=name)
    expect(0, token("r2"), name=name)
    expect(401, token("r3"), name=name)
PY
  load_end token 'keys change'
  load_end derived 'keys change'
}

@test "two servers on one database: a change reaches both within a second" {
  turn_step one change_reaches_both "$ROUNDS"
}

@test "two servers on one database: a revocation ends credentials and live allocations on both within a second" {
  sql "DELETE FROM turncred.key WHERE kid LIKE 'e_'" # servers try four derived keys
  key_add turn.test gone
  key_add turn.test off derived
  credential_push turn.test kim 0123456789abcdef-kim
  synced
  turn_step one revoked_on_both
  sql "SELECT turncred.lift('realm', 'turn.test')" >/dev/null
}
