# shellcheck shell=bash
# test-packages sources this file after guide.sh. It has functions for services under systemd: restarts of the machine and
# of its services, the issuer of ISSUER.md, and clients that go on meanwhile.
# shellcheck disable=SC2154 # work, packages, guide: test-packages and guide.sh

# --- the machine ----------------------------------------------------------------------------------
boot_time() { systemctl show -p UserspaceTimestamp --value; }
nothing_failed() {
  local failed
  failed=$(systemctl --failed --no-legend --plain | awk '{ print $1 }')
  [[ -z $failed ]] || { echo "failed: $failed" && journalctl --no-pager -n 30 -u "$failed" && return 1; }
}
# active UNIT...: all of them run
active() { wait_for 30 systemctl -q is-active "$@" || { systemctl --no-pager status "$@" && return 1; }; }
# came_back UNIT...: the machine has been started anew, these units run, and none has failed
came_back() { [[ $(boot_time) != "$(<"$work/boot")" ]] && wait_for 60 is_up && active "$@" && nothing_failed; }
is_up() { [[ $(systemctl is-system-running) =~ ^(running|degraded)$ ]]; }
# gone PROGRAM: no process runs this program, not even one whose file is deleted
gone() {
  local exe
  for exe in /proc/[0-9]*/exe; do
    [[ $(readlink "$exe") != "$1"* ]] || { echo "$exe runs $(readlink "$exe")" && return 1; }
  done
}

# --- the database -----------------------------------------------------------------------------------
# database_will_be absent|there: at the next start of the machine, and now
database_will_be() {
  local version cluster
  read -r version cluster _ < <(pg_lsclusters -h)
  case $1 in
  absent) echo manual >"/etc/postgresql/$version/$cluster/start.conf" && systemctl stop "postgresql@$version-$cluster" && ! database_answers ;;
  there) echo auto >"/etc/postgresql/$version/$cluster/start.conf" && database_starts ;;
  esac
}
database_unit() { pg_lsclusters -h | awk '{ print "postgresql@" $1 "-" $2; exit }'; }
no_snapshot() { systemctl stop coturn turncredd && rm -f /var/lib/turncred/snapshot /var/lib/turncredd/snapshot; }
# knows_nobody: a server that could load nothing yet refuses everybody with 500
knows_nobody() {
  port=3478
  serves 3478 || return
  client raw --server "$(server):$port" REQUESTED-TRANSPORT=0x11000000 | tee "$work/answer"
  grep -q '"code": 500' "$work/answer" && ! in_as "$work/issued.json" >"$work/answer" && cat "$work/answer" && grep -q '"code": 500' "$work/answer"
}
database_answers() { as_user postgres psql -XAtqc 'SELECT 1' 2>/dev/null; }

# --- the issuer --------------------------------------------------------------------------------------
readyz() { curl -sS http://127.0.0.1:9642/readyz; }
ready() { readyz | jq -e "$1" >/dev/null; }
portal_key() { jq -r .key /etc/turncred/portal.json; }
# asks turncredd as the portal does
issue() {
  curl -sS --fail --cacert /etc/turncred/tls/chain.pem -K <(echo "header = \"Authorization: Bearer $(portal_key)\"") \
    -H 'Content-Type: application/json' -d '{"user": "erin", "ttl": 600}' -o "$work/issued.json" \
    https://issuer1.example.org:8443/v1/realms/example.org/credentials
}
# issues FILE: the credential that turncredd issues gets in
issues() { port=3478 && issue && in_as "$work/issued.json"; }
# everything that a user can have gets in; what nobody issued does not
whole_service() { old && new_kinds && issues; }
# current: each server and issuer has loaded the database's last change
current() { turncredctl server list --json | jq -e '[.[] | select(.id == "turn1" or .id == "issuer1")] | length == 2 and all(.current)' >/dev/null; }
is_current() { wait_for 60 current || { turncredctl server list && return 1; }; }
timer_runs() {
  active turncred-maintain.timer && systemctl list-timers --no-pager turncred-maintain.timer | tee "$work/timers" &&
    grep -q turncred-maintain.service "$work/timers"
}
housekeeping_worked() {
  [[ $(systemctl show turncred-maintain.service -p Result --value) == success ]] &&
    journalctl --no-pager -u turncred-maintain.service | grep "create  *issue_log_2"
}

# --- clients that go on -------------------------------------------------------------------------------
# Each of the commands below runs COMMAND while clients use both services, and prints what the clients have seen.
seen() { jq -r ".\"$1\" // 0" "$work/seen" 2>/dev/null || echo 0; }
goes_on() { [[ $(seen logins) -gt $1 && $(seen 'token logins') -gt 0 ]]; }
# meanwhile COMMAND...
meanwhile() {
  local pid rc=0 before
  rm -f "$work/seen"
  /usr/bin/python3 "$top/scripts/packaging/serving.py" /etc/turncred/portal.json /etc/turncred/tls/chain.pem "$work/seen" >"$work/serving.log" 2>&1 &
  pid=$!
  if wait_for 30 goes_on 2; then
    "$@" || rc=1
    before=$(seen logins)
    wait_for 30 goes_on $((before + 3)) || rc=1
  else
    rc=1
  fi
  kill "$pid"
  wait "$pid" || rc=1
  cat "$work/serving.log" "$work/seen"
  return $rc
}
# nothing_lost COMMAND...: the call and both loops go on without a fault
nothing_lost() { meanwhile "$@" && [[ $(jq '.faults | length' "$work/seen") == 0 && $(seen refreshes) -gt 0 ]] && all_recorded; }
# only_calls_end COMMAND...: a restart of coturn ends the call; nobody is refused, and no answer of the issuer is missing. While its
# module stops, coturn answers 500: no more than two logins of the portal, which come one after another, fall into that time
only_calls_end() {
  meanwhile "$@" && all_recorded && (($(seen 'no decision') <= 2)) &&
    [[ $(seen unanswered) == 0 && $(seen 'refused by the issuer') == 0 && $(seen 'refused by the server') == 0 && $(seen malformed) == 0 ]]
}
# a_crash_of UNIT: kills it; the request that it had taken has no answer, and that is all
a_crash_of() { meanwhile killed "$1" && all_recorded && (($(seen unanswered) <= 1)) && [[ $(seen 'refused by the issuer') == 0 && $(seen malformed) == 0 ]]; }
# each token and credential that was answered is in issue_log
all_recorded() {
  local answered
  answered=$(($(cat "$work/answered" 2>/dev/null || echo 0) + $(seen tokens) + $(seen credentials)))
  echo "$answered" >"$work/answered"
  wait_for 30 recorded "$answered" || { echo "issue_log has $(issue_rows) rows for $answered answers" && return 1; }
}
issue_rows() { as_user postgres psql -XAtqd turncred -c "SELECT count(*) FROM turncred.issue_log WHERE subject LIKE 'loop-%'"; }
recorded() { (($(issue_rows) >= $1)); }
# same_process UNIT COMMAND..., another_process UNIT COMMAND...
same_process() {
  local unit=$1 before
  before=$(pid_of "$unit")
  shift
  "$@" && [[ $before != 0 && $(pid_of "$unit") == "$before" ]]
}
another_process() {
  local unit=$1 before
  before=$(pid_of "$unit")
  shift
  "$@" && active "$unit" && [[ $before != 0 && $(pid_of "$unit") != "$before" ]]
}
reloaded() { systemctl reload turncredd && systemctl kill -s USR2 --kill-whom=main coturn; }
# renewed HOOK...: the certificate and its key are others; clients trust the new one alone
renewed() { run_block "$top/scripts/packaging/ISSUER.md" issuer-certificate && "$@" && wait_for 30 issues; }
# turncredd keeps its settings in force when those in the file cannot be used, and says so
reload_of_nonsense() {
  local rc=0
  sed -i.good 's,^tls_key = .*,tls_key = /etc/turncred/tls/none.pem,' /etc/turncred/turncredd.conf
  systemctl reload turncredd
  wait_for 10 tells turncredd 'tls_key .*none.pem: No such file' || rc=1
  mv /etc/turncred/turncredd.conf.good /etc/turncred/turncredd.conf
  systemctl reload turncredd && issues && return "$rc"
}
tells() { journalctl --no-pager -b -u "$1" | grep -E "$2"; }
killed() {
  local before
  before=$(pid_of "$1")
  systemctl kill -s KILL --kill-whom=main "$1" && wait_for 30 revived "$1" "$before"
}
revived() { [[ $(systemctl is-active "$1") == active && $(pid_of "$1") != "$2" ]]; }
