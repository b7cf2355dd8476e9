# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the tests of the eP-CSCF: on top of lib.bash and daemon.bash a Kamailio with the
# configuration of plugin/epcscf.
#
#   setup_file() { edge_up || return 0; daemon_start main; edge_start main; synced; }
#
# Subscribers alice, bob, carol and crowd-1 to crowd-48 of ims.test and alice of other.test; everybody's password is in
# passwords/USER@DOMAIN. TURN realm turn.test for both domains.

TC_KAMAILIO=${KAMAILIO:-/usr/sbin/kamailio}
TC_EPCSCF=$TC_TOP/plugin/epcscf
# from 5.8 on Kamailio does by itself what the library does
case $("$TC_KAMAILIO" -v 2>/dev/null) in
'version: kamailio 5.'[0-7].*) TC_PRELOAD=${TC_PRELOAD-$TC_BUILD/.libs/epcscf_fork_apart.so} ;;
*) TC_PRELOAD=${TC_PRELOAD-} ;;
esac
export TC_KAMAILIO TC_EPCSCF TC_PRELOAD

edge_ready() {
  [[ ${TC_DIR-} ]] || turncred_need "$TC_TURNSERVER" "$TC_MODULE" "$TC_DAEMON" "$TC_KAMAILIO" ${TC_PRELOAD:+"$TC_PRELOAD"}
}

# edge_up: daemon_up, a realm, keys, a caller, a TURN server and the subscribers
edge_up() {
  [[ -x $TC_KAMAILIO ]] || return 1
  daemon_up || return
  realm_add turn.test "mechanisms='{derived,pushed}'" "max_ttl=7200"
  key_add turn.test d1 derived
  "$TC_CTL" realm set turn.test --uri 'turn:turn.test:3478?transport=udp' --uri 'turn:turn.test:3478?transport=tcp' --json >/dev/null
  caller_add edge derived,push turn.test
  server_start main
  mkdir -p "$TC_DIR/edges" "$TC_DIR/passwords" "$TC_DIR/subscribers"
  {
    echo 'username(string) domain(string) ha1(string)'
    local who
    for who in {alice,bob,carol,crowd-{1..48}}:ims.test alice:other.test; do subscriber "${who%:*}" "${who#*:}"; done
  } >"$TC_DIR/subscribers/subscriber"
}
# subscriber NAME DOMAIN [DIGEST-NAME]: a line for db_text
subscriber() {
  local file=$TC_DIR/passwords/${1//\//_}@$2
  openssl rand -hex 16 >"$file"
  printf '%s:%s:%s\n' "$1" "$2" "$(printf '%s:%s:%s' "${3:-$1}" "$2" "$(<"$file")" | md5sum | cut -d' ' -f1)"
}

# edge_start NAME [LINE...]: "-NAME" takes a setting away, "NAME VALUE" adds or replaces one,
# "realm:DOMAIN NAME VALUE" a setting of a domain
edge_start() {
  local name=$1 line domain setting dir=$TC_DIR/edges/$1
  shift
  mkdir -p "$dir/run"
  free_port >"$dir/port"
  free_port >"$dir/plain"
  printf '%s' "${BATS_TEST_NAME-}" >"$dir/test"
  cp "$TC_EPCSCF/kamailio.cfg" "$TC_EPCSCF/edge.cfg" "$dir"
  edge_settings "$name" >"$dir/settings.cfg"
  edge_realms >"$dir/realms.cfg"
  sed "s,/etc/turncred/epcscf/chain.pem,$TC_DIR/tls/server.pem,; s,/etc/turncred/epcscf/key.pem,$TC_DIR/tls/server.key," \
    "$TC_EPCSCF/tls.cfg" >"$dir/tls.cfg"
  for line in "$@"; do
    line=${line//@PLAIN@/$(<"$dir/plain")}
    line=${line//@WSS@/$(<"$dir/port")}
    case $line in
    realm:*)
      read -r domain setting line <<<"${line#realm:}"
      printf '\t%s(realm=>%s::%s) = %s;\n' "\$sht" "$domain" "$setting" "$line" >>"$dir/realms.cfg"
      ;;
    -*) sed -i "/^#!define ${line#-} /d" "$dir/settings.cfg" ;;
    *)
      sed -i "/^#!define ${line%% *} /d" "$dir/settings.cfg"
      printf '#!define %s\n' "$line" >>"$dir/settings.cfg"
      ;;
    esac
  done
  edge_run "$name"
}
# The sample settings with this test's paths
edge_settings() {
  local dir=$TC_DIR/edges/$1
  sed -e "s,tls:0.0.0.0:8443,tls:127.0.0.1:$(<"$dir/port")," \
    -e "s,/etc/turncred/epcscf/tls.cfg,$dir/tls.cfg," \
    -e "s,/etc/turncred/epcscf/subscribers,$TC_DIR/subscribers," \
    -e "s,https://turncredd.example.org:8443,$(url '')," \
    -e "s,/etc/turncred/epcscf/turncredd-ca.pem,$TC_DIR/tls/ca.pem," \
    -e "s,/etc/turncred/epcscf/turncredd-key,$TC_DIR/callers/edge," \
    -e "s,/run/kamailio/epcscf_ctl,$dir/run/ctl," "$TC_EPCSCF/settings.cfg"
}
# The sample realm for both domains of the tests
edge_realms() {
  sed 's/example\.org::/ims.test::/; s/"example\.org"/"turn.test"/' "$TC_EPCSCF/realms.cfg"
  sed 's/example\.org::/other.test::/; s/"example\.org"/"turn.test"/; s/"user"/"uri"/' "$TC_EPCSCF/realms.cfg"
}
edge_run() {
  local dir=$TC_DIR/edges/$1
  (cd "$dir" && exec env LD_PRELOAD="$TC_PRELOAD" "$TC_KAMAILIO" -f "$dir/kamailio.cfg" -x fm -DD -E -m "${TC_SHM:-64}" -M 8 -Y "$dir/run" >>"$dir/log" 2>&1 </dev/null 3>&- 4>&-) &
  echo $! >"$dir/pid"
  disown
  wait_for "${TC_START_LIMIT:-30}" edge_listens "$1" && kill -0 "$(<"$dir/pid")" 2>/dev/null && return
  echo "the eP-CSCF $1 does not listen:"
  cat "$dir/log"
  return 1
}
edge_listens() {
  kill -0 "$(<"$TC_DIR/edges/$1/pid")" 2>/dev/null || return 0
  [[ -n $(ss -Hlnt "( sport = :$(<"$TC_DIR/edges/$1/port") )") && -S $TC_DIR/edges/$1/run/ctl ]]
}
edge_stop() { process_stop "$TC_DIR/edges/$1" 20; }
edge_url() { echo "wss://127.0.0.1:$(<"$TC_DIR/edges/${1:-main}/port")"; }
edge_log_has() { wait_for "${3:-5}" grep -Eq "$2" "$TC_DIR/edges/$1/log"; }

# In teardown(), after daemon_check
edge_check() { processes_check edges 20; }
edge_down() {
  processes_stop edges 20
  daemon_down
}

# phones_step EDGE FUNCTION [ARGUMENT...]: that function of the Python file beside the test (credential.py for
# credential.bats). phones.py has what these functions use: phone(NAME, DOMAIN) is connected to EDGE, probe(CREDENTIAL,
# ERROR) logs in at the TURN server main.
phones_step() { phones_run "$1" "${BATS_TEST_FILENAME%.bats}.py" "${@:2}"; }

# phones EDGE <<'PY': the same for a few lines of Python with top-level await.
phones() { phones_run "$1" "$TC_TOP/tests/integration/epcscf/phones.py"; }

phones_run() {
  TC_EDGE=$1 TC_PROBE_PORT=$(server_port main) PYTHONPATH=$TC_TOP/tests/integration/epcscf PYTHONDONTWRITEBYTECODE=1 \
    timeout 120 /usr/bin/python3 "${@:2}"
}

# registrar_start NAME [DEFINE...]: a registrar of somebody else with the same subscribers, registrar.cfg says how it is.
# registrar_port NAME: where it listens, by UDP or by TC_REGISTRAR_BY
registrar_start() {
  local name=$1 dir=$TC_DIR/registrars/$1 define defines=()
  shift
  mkdir -p "$dir/run"
  free_port >"$dir/port"
  for define in "$@"; do defines+=(-A "$define"); done
  (exec "$TC_KAMAILIO" -f "$TC_TOP/tests/integration/epcscf/registrar.cfg" -A "LISTEN=${TC_REGISTRAR_BY:-udp}:127.0.0.1:$(<"$dir/port")" \
    -A "SUBSCRIBERS=\"text://$TC_DIR/subscribers\"" -A "CONTROL=\"unix:$dir/run/ctl\"" "${defines[@]}" \
    -DD -E -m 32 -M 4 -Y "$dir/run" >>"$dir/log" 2>&1 </dev/null 3>&- 4>&-) &
  echo $! >"$dir/pid"
  disown
  wait_for "${TC_START_LIMIT:-30}" registrar_listens "$name" && kill -0 "$(<"$dir/pid")" 2>/dev/null && return
  cat "$dir/log"
  return 1
}
registrar_listens() {
  kill -0 "$(<"$TC_DIR/registrars/$1/pid")" 2>/dev/null || return 0
  [[ -S $TC_DIR/registrars/$1/run/ctl && -n $(ss -Hlntu "( sport = :$(<"$TC_DIR/registrars/$1/port") )") ]]
}
registrar_port() { cat "$TC_DIR/registrars/$1/port"; }

# before_registrar EDGE REGISTRAR [LINE...]: edge_start in the mode "edge"; its side of the network is @PLAIN@ by UDP
before_registrar() {
  edge_start "$1" -SUBSCRIBERS "EDGE_REGISTRAR \"sip:127.0.0.1:$(registrar_port "$2")\"" "EDGE_PATH \"127.0.0.1:@PLAIN@\"" \
    "LISTEN_EDGE udp:127.0.0.1:@PLAIN@" "${@:3}"
}
registrars_down() { processes_stop registrars 20; }
