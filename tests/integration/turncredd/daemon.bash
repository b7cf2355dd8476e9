# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# Shared by the tests of turncredd: on top of lib.bash a daemon with certificates of our own making.
#
#   setup_file() { daemon_up || return 0; realm_add ...; key_add ...; daemon_start main; }

TC_DAEMON=${TURNCREDD:-$TC_BUILD/turncredd}
TC_CTL=${TURNCREDCTL:-$TC_BUILD/turncredctl}
export TC_DAEMON TC_CTL

daemon_ready() { [[ ${TC_DIR-} ]] || turncred_need "$TC_TURNSERVER" "$TC_MODULE" "$TC_DAEMON"; }

# daemon_up [postgresql.conf LINE...]: turncred_up, a role for issuers, a CA with certificates
daemon_up() {
  [[ -x $TC_DAEMON ]] || return 1
  turncred_up "$@" || return
  mkdir -p "$TC_DIR/daemons" "$TC_DIR/tls"
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null
  export TC_ISSUER="host=$TC_DIR/pg/run dbname=turncred user=issuer1"
  sql 'CREATE ROLE issuer1 LOGIN IN ROLE turncred_issuer'
  printf 'own %s issuer1\n' "$(id -un)" >>"$TC_DIR/pg/data/pg_ident.conf"
  sql 'SELECT pg_reload_conf()' >/dev/null
  certificates
}

# ca.pem; server.pem/.key for 127.0.0.1; client.pem/.key and other.pem/.key by ca; stranger.pem/.key by
# another CA
certificates() {
  local name
  cd "$TC_DIR/tls" || return
  for name in ca otherca; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" \
      -addext keyUsage=critical,keyCertSign,cRLSign -keyout $name.key -out $name.pem
  done 2>/dev/null
  certificate server ca /CN=127.0.0.1
  certificate client ca /O=Test/CN=portal
  certificate other ca /O=Test/CN=other
  certificate stranger otherca /O=Test/CN=portal
  cd - >/dev/null || return
}
certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$3" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 2 -out "$1.pem" \
    -extfile <(printf '%s\n' subjectAltName=IP:127.0.0.1 authorityKeyIdentifier=keyid) 2>/dev/null
}

# daemon_conf NAME: what every test daemon has
daemon_conf() {
  local dir=$TC_DIR/daemons/$1
  cat <<CONF
database = $TC_ISSUER
kek = $TC_DIR/kek/main
instance = issuer-$1
poll_interval = 1s
state_dir = $dir/state
https = 127.0.0.1:$(<"$dir/port")
monitor = 127.0.0.1:$(<"$dir/monitor")
tls_certificate = $TC_DIR/tls/server.pem
tls_key = $TC_DIR/tls/server.key
tls_client_ca = $TC_DIR/tls/ca.pem
subject_rate = 0
CONF
}

# issuer NAME JWKS [LINE...]: the lines of a section, in the array ISSUER; daemon_start takes sections last
issuer() {
  ISSUER=("[issuer $1]" 'url = https://portal.test' 'audience = https://issuer.test' "jwks = $2")
  [[ " ${*:3}" == *' realms = '* ]] || ISSUER+=('realms = *')
  ISSUER+=("${@:3}")
}

# daemon_start NAME [LINE...]: "-name" takes a line away, all others are added (and replace; those of sections do not)
daemon_start() {
  local name=$1 line section='' dir=$TC_DIR/daemons/$1
  shift
  mkdir -p "$dir/state"
  [[ -f $dir/port ]] || { free_port >"$dir/port" && free_port >"$dir/monitor"; }
  printf '%s' "${BATS_TEST_NAME-}" >"$dir/test"
  daemon_conf "$name" >"$dir/conf"
  for line in "$@"; do
    [[ $line != \[* ]] || section=1
    [[ $section ]] || sed -i "/^${line%% =*} =/d" "$dir/conf"
    [[ $line == -* ]] && sed -i "/^${line#-} =/d" "$dir/conf" || printf '%s\n' "$line" >>"$dir/conf"
  done
  daemon_run "$name"
}
daemon_run() {
  local dir=$TC_DIR/daemons/$1
  # shellcheck disable=SC2086 # a wrapper with options
  env ${TC_DAEMON_ENV-} ${TC_DAEMON_WRAPPER-} "$TC_DAEMON" --config "$dir/conf" >>"$dir/log" 2>&1 </dev/null 3>&- 4>&- &
  echo $! >"$dir/pid"
  disown
  wait_for "${TC_START_LIMIT:-20}" daemon_answers "$1" && daemon_alive "$1" && return
  echo "$1 does not answer:"
  cat "$dir/log"
  return 1
}
daemon_pid() { cat "$TC_DIR/daemons/$1/pid"; }
daemon_answers() {
  kill -0 "$(daemon_pid "$1")" 2>/dev/null || return 0
  [[ $(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$(<"$TC_DIR/daemons/$1/monitor")/readyz") == 200 ]]
}
daemon_alive() { kill -0 "$(daemon_pid "$1")" 2>/dev/null; }
daemon_stop() { process_stop "$TC_DIR/daemons/$1" 30; }
# A process that was killed holds its files and ports until it is gone, and that takes a moment.
daemon_kill() {
  local pid
  pid=$(daemon_pid "$1")
  kill -9 "$pid" && wait_for 10 server_gone "$pid"
}
daemon_log_has() { wait_for "${3:-5}" grep -Eq "$2" "$TC_DIR/daemons/$1/log"; }

# In teardown(), after turncred_check
daemon_check() {
  [[ ${BATS_TEST_COMPLETED-} ]] || cat "$TC_DIR/answer" "$TC_DIR/headers" 2>/dev/null || true
  processes_check daemons 30
}
daemon_down() {
  processes_stop daemons 30
  turncred_down
}

# caller_add NAME SCOPES REALMS [OPTION...]: its key in callers/NAME
caller_add() {
  local name=$1 scopes=$2 realms=$3
  shift 3
  mkdir -p "$TC_DIR/callers"
  "$TC_CTL" caller add "$name" --scopes "$scopes" --realms "$realms" "$@" --json >"$TC_DIR/callers/$name.json" || return
  jq -r '.key // empty' "$TC_DIR/callers/$name.json" >"$TC_DIR/callers/$name"
}
key_of() { cat "$TC_DIR/callers/$1"; }

url() { echo "https://127.0.0.1:$(<"$TC_DIR/daemons/${DAEMON:-main}/port")$1"; }
# call STATUS METHOD PATH [CURL-OPTION...]: body in $TC_DIR/answer, headers in $TC_DIR/headers.
# CALLER=NAME sends its key. Keys go to curl by file, not by argument.
call() {
  local want=$1 method=$2 path=$3 got rc=0 auth=()
  shift 3
  : >"$TC_DIR/answer"
  if [[ ${CALLER-} ]]; then
    printf 'header = "Authorization: Bearer %s"\n' "$(key_of "$CALLER")" >"$TC_DIR/auth"
    auth=(-K "$TC_DIR/auth")
  fi
  got=$(curl -s --max-time 30 --cacert "$TC_DIR/tls/ca.pem" -o "$TC_DIR/answer" -D "$TC_DIR/headers" -w '%{http_code}' \
    "${auth[@]}" -X "$method" "$@" "$(url "$path")") || rc=$?
  call_record "$method" "$path" "$got" "$@"
  [[ $got == "$want" ]] || {
    echo "$method $path: $got (curl $rc), not $want"
    cat "$TC_DIR/answer"
    return 1
  }
}
# Adds the call to what openapi.py looks at afterwards; bodies from files are left out.
call_record() {
  local method=$1 path=$2 status=$3 body='' form=''
  [[ $status != 000 ]] || return 0 # nobody answered
  shift 3
  while (($#)); do
    case $1 in
    --data-binary) [[ $2 == @* ]] || body=$2; shift ;;
    -d) body=$2; shift ;;
    --data-urlencode) form+="${form:+&}${2%%=*}=$(jq -rn --arg v "${2#*=}" '$v | @uri')"; shift ;;
    esac
    shift
  done
  jq -nc --arg method "$method" --arg path "$path" --argjson status "$((10#$status))" --arg body "${body:-$form}" \
    --arg type "$(header Content-Type)" --arg retry "$(header Retry-After)" --arg authenticate "$(header WWW-Authenticate)" \
    --arg cache "$(header Cache-Control)" --rawfile answer "$TC_DIR/answer" \
    '{$method, $path, $status, $body, $type, $retry, $authenticate, $cache, $answer}' >>"$TC_DIR/calls"
}
# openapi [--all]: all calls of this file so far fit openapi.yaml
openapi() {
  /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/openapi.py" \
    "$TC_TOP/plugin/turncredd/openapi.yaml" "$TC_DIR/calls" "$@"
}
# call_json STATUS METHOD PATH JSON [CURL-OPTION...]
call_json() {
  local want=$1 method=$2 path=$3 body=$4
  shift 4
  call "$want" "$method" "$path" -H 'Content-Type: application/json' --data-binary "$body" "$@"
}
value() { jq -r "$1" "$TC_DIR/answer"; }
has_error() { [[ $(value .error) == "$1" && $(value .error_description) =~ ${2-} ]] || { cat "$TC_DIR/answer"; return 1; }; }
header() { sed -n "s/^$1: *//Ip" "$TC_DIR/headers" | tr -d '\r'; }
# probe NAME [OPTION...]: logs in at the TURN server NAME with what the daemon answered last
probe() {
  local server=$1
  shift
  "$TC_CTL" probe --server "127.0.0.1:$(server_port "$server")" --credential "$TC_DIR/answer" --json "$@" >"$TC_DIR/probe" 2>"$TC_DIR/probe.err" ||
    { local rc=$?; cat "$TC_DIR/probe" "$TC_DIR/probe.err"; return $rc; }
}
# every kind of secret that the daemon has seen, none of it in its log
no_secret_in_log() {
  local file
  for file in "$TC_DIR"/callers/*; do
    [[ $file == *.json || ! -s $file ]] || ! grep -qFf "$file" "$TC_DIR"/daemons/*/log || return 1
  done
}
