# shellcheck shell=bash
# test-packages sources this file. It has functions for a coturn in service before the upgrade, for the blocks of
# UPGRADE.md, and for clients.
#
# Run it only on a machine of its own, with systemd: it writes /etc/turnserver.conf, /etc/hosts and a database.
# shellcheck disable=SC2154 # work, packages, stock: test-packages
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"


guide=$top/scripts/packaging/UPGRADE.md

# --- the documents ----------------------------------------------------------------------------------
# guide_names [DOCUMENT]: prints the names of a document's blocks
guide_names() { sed -n 's/^```sh \(.*\)/\1/p' "${1:-$guide}"; }

# run_block DOCUMENT NAME: runs this block of the document as it stands
run_block() {
  awk -v name="$2" '/^```/ { inside = $0 == "```sh " name; next } inside' "$1" >"$work/block"
  cat "$work/block"
  [[ -s $work/block ]] || { echo "$1 has no block $2" && return 1; }
  (cd "$top" && DEBIAN_FRONTEND=noninteractive bash -euo pipefail "$work/block" </dev/null)
}

# follow NAME: runs this block of the guide; it must be the next block
followed=0
follow() {
  local next
  followed=$((followed + 1))
  next=$(guide_names | sed -n "${followed}p")
  [[ $next == "$1" ]] || {
    echo "block $followed of the guide is \"$next\", not \"$1\""
    return 1
  }
  run_block "$guide" "$1"
}
guide_is_finished() { [[ $followed == "$(guide_names | wc -l)" && $(grep -c '^```sh' "$guide") == "$followed" ]]; }

# beside_guide PAGE NAME: runs this block of ISSUER.md or DATA.md, and notes that it was run
beside_guide() {
  echo "$1 $2" >>"$work/pages"
  run_block "$top/scripts/packaging/$1.md" "$2"
}
# expects that every block of these pages has been run, and that no block lacks a name
pages_are_finished() {
  local page name file
  for page in ISSUER DATA HOST; do
    file=$top/scripts/packaging/$page.md
    [[ -e $file ]] || file=$top/plugin/epcscf/$page.md
    [[ $(grep -c '^```sh' "$file") == "$(guide_names "$file" | wc -l)" ]] || return
    for name in $(guide_names "$file"); do
      grep -qx "$page $name" "$work/pages" || { echo "block $name of $page.md was not run" && return 1; }
    done
  done
}

# --- a coturn in service ----------------------------------------------------------------------------
# installs stock coturn from the distribution, with users and secrets in a PostgreSQL database of its own
coturn_in_service() {
  local name own
  own=$(hostname -I | awk '{ print $1 }')
  for name in "$own turn1.example.org" '127.0.0.1 db.example.net' '127.0.0.1 issuer1.example.org' '127.0.0.1 edge1.example.org'; do
    getent ahostsv4 "${name#* }" || echo "$name" >>/etc/hosts
  done
  apt install -y --no-install-recommends "coturn=$stock" || return
  compgen -G '/etc/postgresql/*/main' >/dev/null ||
    pg_createcluster "$(printf '%s\n' /usr/lib/postgresql/* | sort -V | sed -n '$s,.*/,,p')" main || return
  database_starts || return
  as_user postgres psql -Xq -c "CREATE ROLE coturn LOGIN PASSWORD 'coturns-password'" -c 'CREATE DATABASE coturn OWNER coturn' || return
  export PGPASSWORD=coturns-password
  local database='host=db.example.net dbname=coturn user=coturn'
  psql -Xq -v ON_ERROR_STOP=1 "$database" -f /usr/share/coturn/schema.sql || return
  # as an operator does it; the keys are those of coturn's own sample data, with a newline at their ends
  turnadmin --psql-userdb "$database password=$PGPASSWORD" -a -u gorst -r example.org -p hero || return
  turnadmin --psql-userdb "$database password=$PGPASSWORD" -s logen -r example.org || return
  grep 'insert into oauth_key' /usr/share/coturn/testsqldbsetup.sql | sed "s/,'[^']*');/,'example.org');/" |
    psql -Xq -v ON_ERROR_STOP=1 "$database" || return
  psql -XAtq -v ON_ERROR_STOP=1 "$database" -c "SELECT ikm_key FROM oauth_key WHERE kid = 'north'" |
    base64 -d | head -c 32 >"$work/north.key"
  [[ -s $work/north.key ]] || return
  unset PGPASSWORD
  install -d -o turnserver -g turnserver /var/log/turnserver
  cat >/etc/turnserver.conf <<CONF
# the configuration of an ordinary server
listening-port=3478
fingerprint
lt-cred-mech
oauth
server-name=turn.example.org
realm=example.org
user=static:of-the-file
psql-userdb="host=db.example.net dbname=coturn user=coturn password=coturns-password connect_timeout=10"
min-port=49152
max-port=65535
no-tls
no-dtls
no-cli
log-file=/var/log/turnserver/turnserver.log
simple-log
CONF
  service coturn restart && serves 3478
}

# --- servers ------------------------------------------------------------------------------------------
database_starts() { systemctl daemon-reload && systemctl start "$(database_unit)" && wait_for 60 as_user postgres psql -XAtqc 'SELECT 1'; }
pid_of() { systemctl show "$1" -p MainPID --value; }
serves() { wait_for 60 listening "$1"; }
listening() { [[ -n $(ss -Hlun "( sport = :$1 )") && -n $(ss -Hltn "( sport = :$1 )") ]]; }

listening_or_gone() { listening "$1" || ! kill -0 "$2" 2>/dev/null; }

# expects that the running program is the installed program
runs_anew() {
  local age
  age=$(ps -o etimes= -p "$(pid_of coturn)") && (($(date +%s) - age + 1 >= $(stat -c %Z /usr/bin/turnserver)))
}

# Runs a second server of the fleet, turn2, with a changed copy of $1 (a turnserver.conf): another port, more lines.
# The server runs as long as the command: the installed turnserver, or $program.
# beside CONF "LINE..." COMMAND...
beside() {
  local conf=$work/beside.conf module=$work/beside.module.conf pid rc
  port=$(free_port)
  {
    grep -v '^listening-port=\|^pidfile=\|^log-file=\|^min-port=' "$1" | sed "s,^auth-module-config=.*,auth-module-config=$module,"
    printf '%s\n' "listening-port=$port" min-port=40000 pidfile=/dev/null log-file=stdout
    [[ -z $2 ]] || printf '%s\n' "$2"
  } >"$conf"
  shift 2
  if [[ -f /etc/turncred/module.conf ]]; then
    install -m 400 -o turnserver /etc/turncred/turn2.pgpass "$work/turn2.pgpass"
    sed "/^prometheus\|^snapshot_file/d; s/^instance = .*/instance = turn2/
      s,^kek = credential:,kek = /etc/turncred/server/,
      s,user=turn1 passfile=[^ ]*,user=turn2 passfile=$work/turn2.pgpass," /etc/turncred/module.conf >"$module"
  fi
  # the environment of a service, without HOME: libpq would look for certificates in HOME
  env -i PATH="$PATH" setpriv --reuid=turnserver --regid=turnserver --clear-groups "${program:-/usr/bin/turnserver}" -c "$conf" >"$work/beside.log" 2>&1 </dev/null &
  pid=$!
  rc=1
  if wait_for 60 listening_or_gone "$port" "$pid" && listening "$port"; then "$@" && rc=0; fi
  ((rc == 0)) || cat "$work/beside.log"
  kill "$pid"
  wait "$pid"
  return "$rc"
}

# --- clients --------------------------------------------------------------------------------------------
# The client in Python shares no code with the packages.
# coturn keeps a 5-tuple for a second after its allocation has ended, and answers 437 to the next client that gets the port
# from the kernel: such a client asks again from another one.
client() {
  local rc try
  for try in 1 2 3; do
    rc=0
    /usr/bin/python3 "$top/tests/conformance/turnclient.py" "$@" >"$work/client.$try" || rc=$?
    grep -q '"code": 437' "$work/client.$try" || break
  done
  cat "$work/client.$try" && return "$rc"
}
# in_as FILE [OPTION...]: relays data with the credential
in_as() {
  local file=$1
  shift
  client call --server "$(server):$port" --peer "$(server)" --credential "$file" "$@"
}
server() { getent ahostsv4 turn1.example.org | awk '{ print $1; exit }'; }
# refused_as FILE [OPTION...]: expects 401, and no other failure
refused_as() {
  local rc=0 file=$1
  shift
  client call --server "$(server):$port" --peer "$(server)" --credential "$file" "$@" >"$work/answer" || rc=$?
  cat "$work/answer"
  [[ $rc == 1 ]] && grep -q '401' "$work/answer"
}

user_credential() { printf '{"username": "%s", "password": "%s"}' "$1" "$2"; }
credentials_of_old() {
  local expiry=$(($(date +%s) + 3600))
  user_credential gorst hero >"$work/user.json"
  user_credential static of-the-file >"$work/static.json"
  user_credential gorst wrong >"$work/wrong.json"
  user_credential "$expiry:bayaz" "$(printf %s "$expiry:bayaz" | openssl dgst -sha1 -hmac logen -binary | base64)" >"$work/secret.json"
  head -c 20 /dev/urandom >"$work/mac.key"
  client token-encode --key-file "$work/north.key" --server-name turn.example.org --mac-key-file "$work/mac.key" \
    --timestamp $(($(date +%s) << 16)) --lifetime 600 |
    /usr/bin/python3 -c "import base64, json, sys
t = json.load(sys.stdin)
t.update(kid='north', key=base64.b64encode(open('$work/mac.key', 'rb').read()).decode(), token_type='pop', expires_in=600)
json.dump(t, sys.stdout)" >"$work/north.json"
}

# nobody: expects refusals without credentials, and with wrong ones
nobody() {
  client raw --server "$(server):$port" REQUESTED-TRANSPORT=0x11000000 | tee "$work/answer"
  grep -q '"code": 401' "$work/answer" && refused_as "$work/wrong.json"
}

# old: expects logins of users and static users on this server, of secrets on another server with use-auth-secret, and
# refusals of everybody else
old() { old_here && beside /etc/turnserver.conf use-auth-secret secrets_alone; }
old_here() {
  port=3478
  serves 3478 && runs_anew && credentials_of_old && in_as "$work/user.json" && in_as "$work/static.json" && nobody
}
secrets_alone() { in_as "$work/secret.json" && nobody; }
# Tokens: coturn's own client keys the HMAC with 16 octets of the session key, RFC 7635 with all of it.
coturns_token_client() {
  timeout 120 turnutils_uclient -J -y -c -n 1 -m 1 "$(server)" >"$work/uclient" 2>&1 && return
  tail -n 20 "$work/uclient"
  return 1
}
tokens_of_old() { port=3478 && credentials_of_old && coturns_token_client && refused_as "$work/north.json"; }
tokens_of_rfc() {
  port=3478 && credentials_of_old && in_as "$work/north.json" || return
  ! coturns_token_client && grep -q 'Cannot complete Allocation' "$work/uclient"
}

# new: expects logins with new credentials, issued by turncredctl and used by the client in Python
new_kinds() {
  port=3478
  turncredctl token issue example.org alice --json >"$work/token.json" &&
    turncredctl credential issue example.org alice --json >"$work/derived.json" &&
    in_as "$work/token.json" && in_as "$work/derived.json"
}
new_kinds_are_refused() { port=3478 && refused_as "$work/derived.json"; }

# keep STEP: keeps this step's configuration for the stock server
keep() { cp /etc/turnserver.conf "$work/step.$1"; }
# Starts the stock server with every kept configuration: expects logins of old users, and refusals of everybody else.
every_step_is_shut() {
  local conf
  for conf in "$work"/step.*; do
    echo "== ${conf##*/}"
    credentials_of_old && beside "$conf" '' stock_alone || return
  done
}
stock_alone() { in_as "$work/user.json" && nobody; }

# --- an update of the distribution ----------------------------------------------------------------------
# makes a local archive with the stock coturn under a security update's version
update=${stock%%+deb*}+deb$(. /etc/os-release && echo "$VERSION_ID")u9
update_appears() {
  local dir=$work/update
  mkdir -p "$dir"
  (cd "$dir" && apt-get download -q "coturn=$stock" && dpkg-deb -R coturn_*.deb tree && rm coturn_*.deb &&
    sed -i "s/^Version: .*/Version: $update/" tree/DEBIAN/control &&
    dpkg-deb -b tree "coturn_${update}_all.deb" && rm -r tree && dpkg-scanpackages -m . >Packages) || return
  echo "deb [trusted=yes] file:$dir ./" >/etc/apt/sources.list.d/update.list
  apt update
}
update_disappears() { rm -r /etc/apt/sources.list.d/update.list "$work/update" && apt update; }
apt_would() { apt-get -s "$1" | tee "$work/apt"; }
upgrade_brings_stock() { apt_would upgrade && grep -q "^Inst coturn .*($update" "$work/apt"; }
upgrade_keeps_back() { apt_would upgrade && ! grep -q '^Inst coturn ' "$work/apt" && grep -A3 'kept back' "$work/apt" | grep -qw coturn; }
full_upgrade_brings_stock() { apt_would dist-upgrade && grep -q "^Inst coturn .*($update" "$work/apt" && grep -q '^Remv coturn-auth-turncred ' "$work/apt"; }
full_upgrade_keeps_back() { apt_would dist-upgrade && ! grep -q '^\(Inst\|Remv\) coturn' "$work/apt"; }
full_upgrade() { apt dist-upgrade -y && [[ $(version_of coturn) == "$update" ]] && serves 3478; }
ours_again() { apt install -y --allow-downgrades /srv/turncred/{coturn_,coturn-auth-turncred_}*.deb && serves 3478; }

# --- upstream's release -----------------------------------------------------------------------------------
# upstream_released: makes an archive like upstream's, from Debian's tree, named after the version before
upstream_released() {
  local tree
  tree=$("$top/scripts/build-coturn" --print-source) || return
  cp -a "$tree" "$work/coturn-4.6.0" && rm -r "$work"/coturn-4.6.0/{debian,.pc,.complete} || return
  sed -i 's/\(TURN_SERVER_VERSION *\)"4.6.1"/\1"4.6.0"/' "$work/coturn-4.6.0/src/ns_turn_defs.h"
  tar -C "$work" -czf /usr/local/src/coturn.tar.gz coturn-4.6.0
}
# with the configuration that stands there
upstream_serves_old() {
  [[ $(/opt/coturn/bin/turnserver --version | tail -n 1) == 4.6.0 ]] && credentials_of_old &&
    program=/opt/coturn/bin/turnserver beside /etc/turnserver.conf '' stock_alone &&
    grep -q 'auth-module' /opt/coturn/bin/turnserver
}
