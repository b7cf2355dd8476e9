# shellcheck shell=bash
# test-packages sources this file. It has functions for a coturn in service before the upgrade, for the blocks of
# UPGRADE.md, and for clients.
#
# Run it only in a container of its own: it writes /etc/turnserver.conf, /etc/hosts and a database.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

: "${stock:?the version of the stock coturn}"
guide=$top/scripts/packaging/UPGRADE.md
work=$(mktemp -d)
chmod 755 "$work"

# --- the guide ------------------------------------------------------------------------------------
guide_names() { sed -n 's/^```sh \(.*\)/\1/p' "$guide"; }

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
  awk -v name="$1" '/^```/ { inside = $0 == "```sh " name; next } inside' "$guide" >"$work/block"
  cat "$work/block"
  (cd "$top" && DEBIAN_FRONTEND=noninteractive bash -euo pipefail "$work/block" </dev/null)
}
guide_is_finished() { [[ $followed == "$(guide_names | wc -l)" && $(grep -c '^```sh' "$guide") == "$followed" ]]; }

# --- a coturn in service ----------------------------------------------------------------------------
# installs stock coturn from the distribution, with users and secrets in a PostgreSQL database of its own
coturn_in_service() {
  local own
  own=$(hostname -i | awk '{ print $1 }')
  printf '%s turn1.example.org\n127.0.0.1 db.example.net\n' "$own" >>/etc/hosts
  # without an init system, packages start their services only if policy-rc.d allows it
  printf '#!/bin/sh\nexit 0\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
  apt install -y --no-install-recommends "coturn=$stock" || return
  compgen -G '/etc/postgresql/*/main' >/dev/null ||
    pg_createcluster "$(printf '%s\n' /usr/lib/postgresql/* | sort -V | sed -n '$s,.*/,,p')" main || return
  service postgresql start || return
  wait_for 60 as_user postgres psql -XAtqc 'SELECT 1' || return
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
  # without systemd, Debian's init script stops a server by its PID file
  install -d -o turnserver -g turnserver /run/turnserver /var/log/turnserver
  printf '%s\n' TURNSERVER_ENABLED=1 PIDFILE=/run/turnserver/turnserver.pid >/etc/default/coturn
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
pidfile=/run/turnserver/turnserver.pid
CONF
  service coturn restart && serves 3478
}

# --- servers ------------------------------------------------------------------------------------------
serves() { wait_for 180 listening "$1"; }
listening() { [[ -n $(ss -Hlun "( sport = :$1 )") && -n $(ss -Hltn "( sport = :$1 )") ]]; }

# expects that the running program is the installed program
runs_anew() {
  local age
  age=$(ps -o etimes= -p "$(</run/turnserver/turnserver.pid)") && (($(date +%s) - age + 1 >= $(stat -c %Z /usr/bin/turnserver)))
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
      s,user=turn1 passfile=[^ ]*,user=turn2 passfile=$work/turn2.pgpass," /etc/turncred/module.conf >"$module"
  fi
  # the environment of a service, without HOME: libpq would look for certificates in HOME
  env -i PATH="$PATH" setpriv --reuid=turnserver --regid=turnserver --clear-groups "${program:-/usr/bin/turnserver}" -c "$conf" >"$work/beside.log" 2>&1 </dev/null &
  pid=$!
  rc=1
  if serves "$port"; then "$@" && rc=0; fi
  ((rc == 0)) || cat "$work/beside.log"
  kill "$pid"
  wait "$pid"
  return "$rc"
}

# --- clients --------------------------------------------------------------------------------------------
# The client in Python shares no code with the packages.
client() { /usr/bin/python3 "$top/tests/conformance/turnclient.py" "$@"; }
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
old() {
  port=3478
  serves 3478 && runs_anew && credentials_of_old && in_as "$work/user.json" && in_as "$work/static.json" && nobody &&
    beside /etc/turnserver.conf use-auth-secret secrets_alone
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
