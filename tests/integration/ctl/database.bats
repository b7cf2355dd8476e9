#!/usr/bin/env bats
# turncredctl on a database of its own, as an operator who is a member of turncred_admin: schema,
# realms, keys, issuing, pushing, revoking. What it seals is opened here by Python's
# cryptography, following the documented formats alone.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  turncred_need "$CTL"
  TC_DIR=$(mktemp -d /tmp/turncred-ctl.XXXXXX)
  chmod 755 "$TC_DIR"
  mkdir -p "$TC_DIR/kek" "$TC_DIR/servers"
  pg_start "$TC_DIR/pg" "$(id -un)=op" "$(id -un)=stranger" 3>&- 4>&-
  export TC_DIR CTL PGHOST=$TC_DIR/pg/run PGDATABASE=turncred PGUSER=postgres
  export TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema TURNCRED_CONFIG=$TC_DIR/ctl.conf
  PGDATABASE=postgres sql 'CREATE DATABASE turncred'
  : >"$TURNCRED_CONFIG"
  "$CTL" kek generate "$TC_DIR/kek/main" --json >/dev/null
  export TURNCRED_KEK=$TC_DIR/kek/main
  # the first test looks at a database without schema
}
teardown_file() { turncred_down; }

# ctl ARGUMENT...: as the operator, JSON in $TC_DIR/out
ctl() { PGUSER=op "$CTL" "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err"; }
value() { jq -r "$1" "$TC_DIR/out"; }

# refused CODE TEXT ARGUMENT...: that exit code, TEXT on stderr, nothing on stdout
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

@test "schema: status before, upgrade, again, status after" {
  local rc=0
  sql 'CREATE ROLE op LOGIN' 'CREATE ROLE stranger LOGIN'
  refused 3 'schema upgrade' realm list
  "$CTL" schema status --json >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 1 ]
  [ "$(value .database)" = 0 ]
  "$CTL" schema upgrade --json >"$TC_DIR/out"
  [ "$(value '.[0].version')" = 1 ]
  "$CTL" schema upgrade --json >"$TC_DIR/out"
  [ "$(value length)" = 0 ]
  "$CTL" schema status --json >"$TC_DIR/out"
  [ "$(value .current)" = true ]
  [ "$(value '.migrations[0].changed')" = false ]
  # a stranger may read nothing; then op gets the operator's role
  rc=0
  PGUSER=stranger "$CTL" realm list >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 3 ]
  grep -q turncred_admin "$TC_DIR/err"
  sql 'GRANT turncred_admin TO op'
  ctl realm list
  [ "$(value length)" = 0 ]
}

@test "realm: add, show, set, list" {
  ctl realm add ims.example --server-name turn.ims.example --mechanisms token,derived,pushed,rest --max-ttl 12h \
    --listen-address 127.0.0.1 --listen-address ::1 --origin https://a.example --guest-kid other/kid
  [ "$(value .server_name)" = turn.ims.example ]
  [ "$(value '.mechanisms | join(" ")')" = 'token derived pushed rest' ]
  [ "$(value .max_ttl)" = 43200 ]
  [ "$(value '.listen_addresses | join(" ")')" = '127.0.0.1 ::1' ]
  ctl realm set ims.example --origin '' --grace 5m --expiry-token grace --user-quota 7 --bind-address yes
  [ "$(value '.origins | length')" = 0 ]
  [ "$(value '.listen_addresses | length')" = 2 ]
  [ "$(value .grace_seconds)" = 300 ]
  [ "$(value .expiry_token)" = grace ]
  [ "$(value .bind_address)" = true ]
  ctl realm set ims.example --expiry-token strict --bind-address no
  ctl realm add other
  [ "$(value .server_name)" = other ]
  ctl realm list
  [ "$(value '[.[].name] | join(" ")')" = 'ims.example other' ]
  PGUSER=op "$CTL" realm list >"$TC_DIR/out"
  [ "$(wc -l <"$TC_DIR/out")" = 3 ]
  PGUSER=op "$CTL" realm show other | grep -q '^server name  *other$'
}

@test "realm: bad input names the field and the remedy" {
  refused 1 'realm set' realm add other
  refused 1 'NAME: 1 to 127' realm add "$(printf 'x%.0s' {1..128})"
  refused 1 'NAME: no control' realm add 'a/b'
  refused 1 '--mechanisms' realm set other --mechanisms token,magic
  refused 1 '--mechanisms: each' realm set other --mechanisms token,token
  refused 2 '--expiry-token' realm set other --expiry-token never
  refused 1 '--default-ttl' realm set other --default-ttl 2d
  refused 2 '--max-ttl' realm set other --max-ttl 400d
  refused 2 '--user-quota' realm set other --user-quota -1
  refused 2 'yes or no' realm set other --subject-tag maybe
  refused 2 'no packet is sent to it' realm set other --listen-address 0.0.0.0
  refused 2 'no client can reach' realm set other --uri 'turn:[::]:3478'
  refused 2 'not an IPv4 or IPv6 address' realm set other --listen-address nonsense
  refused 1 'already chooses' realm set other --listen-address 127.0.0.1
  refused 1 'guest-kid' realm set other --guest-kid nothing
  refused 2 'nothing to set' realm set other
  refused 1 'realm add makes one' realm set missing --grace 1m
  refused 1 'realm add makes one' realm show missing
  refused 1 'server-name' realm add third --server-name 'a b'
  ctl realm show other
  [ "$(value .default_ttl)" = 3600 ]
}

@test "key: new ones of every kind are sealed, and open outside" {
  local n=0 line
  while read -r line; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    ctl key add ims.example "k$n" --save "$TC_DIR/k$n" $line
    [ "$(value .is_sealed)" = true ]
    [ "$(value .kek_id)" = main ]
    [ "$(stat -c %a "$TC_DIR/k$n")" = 600 ]
    /usr/bin/python3 "$BATS_TEST_DIRNAME/database.py" sealed_key "k$n"
  done <<'LINES'
--use token
--use token --alg A128GCM
--use token --alg A256CBC-HS512 --allow-zero-iv
--use token --derivation hkdf-sha256
--use derived
--use rest
--use rest --alg sha256 --username-format user-id:timestamp
--use rest --username-format either --separator @
LINES
  ctl key list ims.example
  [ "$(value length)" = 8 ]
  [ "$(value '[.[].state] | unique | join(" ")')" = active ]
}

@test "key: imported octets are taken as they are, or refused" {
  head -c 32 /dev/urandom >"$TC_DIR/k"
  ctl key add other imported --from "$TC_DIR/k"
  ctl key add other stdin --use derived --from - <<<"$(printf %s 0123456789abcdef0123456789abcdef)" && false
  grep -q '33 octets, but sha256 with derivation none needs exactly 32' "$TC_DIR/err"
  printf %s 0123456789abcdef0123456789abcdef | ctl key add other stdin --use derived --from -
  refused 1 'holds 31' key add other short --from <(head -c 31 /dev/urandom)
  refused 1 'holds 65' key add other long --from <(head -c 65 /dev/urandom)
  refused 2 'more than 1025' key add other long --use rest --from <(head -c 2000 /dev/urandom)
  refused 1 'newline' key add other nl --use rest --from <(echo secret)
  refused 1 'holds 0 octets; a secret has 1 to 1024' key add other empty --use rest --from /dev/null
  # one K serves one use, one algorithm, one order
  refused 1 'imported.*same octets' key add other again --from "$TC_DIR/k"
  refused 1 'imported.*same octets' key add ims.example again --use derived --from "$TC_DIR/k"
  printf secret | ctl key add other rest1 --use rest --from -
  refused 1 'rest1.*same octets' key add ims.example rest2 --use rest --username-format user-id:timestamp --from <(printf secret)
}

@test "key: bad input" {
  refused 1 'another KID' key add other imported
  refused 1 'realm add makes one' key add missing
  refused 1 'KID: no blanks' key add other 'a b'
  refused 2 'does not go with' key add other --use derived --alg A256GCM
  refused 2 'one of A256GCM' key add other --alg AES
  refused 1 'this order' key add other --not-before +2h --sign-until +1h
  refused 2 'not a time' key add other --not-before tomorrow
  refused 2 'not a time' key add other --not-before 2099-02-29 # no leap year
  refused 1 'has no key' key show other missing
  refused 1 'has no key' key disable other missing
  TURNCRED_KEK='' refused 2 'kek generate' key add other
  TURNCRED_KEK=$TC_DIR/nothing refused 2 'nothing' key add other
  chmod 644 "$TC_DIR/kek/main"
  refused 2 'chmod' key add other
  chmod 600 "$TC_DIR/kek/main"
  # nothing of all this left a row
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'other'")" = 3 ]
}

@test "key: set, disable, remove" {
  ctl key add other gone --use rest --state published
  [ "$(value .state)" = published ]
  ctl key set other gone --state active --sign-until 2099-01-01 --accept-until 2099-02-01T12:00:00Z
  [ "$(value .accept_until)" = 4073630400 ]
  ctl key set other gone --sign-until open
  [ "$(value .sign_until)" = null ]
  refused 1 'give --now' key remove other gone
  ctl key disable other gone
  [ "$(value .state)" = disabled ]
  [ "$(value .in_force)" = true ]
  ctl key remove other gone
  refused 1 'has no key' key show other gone
}

@test "token issue: decodes offline, is bound and recorded" {
  ctl token issue ims.example alice --lifetime 10m --kid k1
  cp "$TC_DIR/out" "$TC_DIR/token"
  [ "$(value .token_type)" = pop ]
  [ "$(value .expires_in)" = 600 ]
  [ "$(value .server_name)" = turn.ims.example ]
  value .access_token | "$CTL" token decode --key-file "$TC_DIR/k1" --server-name turn.ims.example --json >"$TC_DIR/decoded"
  [ "$(jq -r .mac_key "$TC_DIR/decoded")" = "$(value .key)" ]
  [ "$(jq -r .lifetime "$TC_DIR/decoded")" = 600 ]
  [ "$(jq -r .fingerprint "$TC_DIR/decoded")" = "$(value .fingerprint)" ]
  [ "$(sql "SELECT subject || ' ' || kid FROM turncred.issue_log WHERE fingerprint = '$(value .fingerprint)'")" = 'alice k1' ]
  [ "$(sql "SELECT tokens_reserved FROM turncred.key WHERE realm = 'ims.example' AND kid = 'k1'")" = 1 ]
  # two tokens of one subject share the tag, and nothing else
  local first
  first=$(value .key | base64 -d | xxd -p)
  ctl token issue ims.example alice --kid k1
  [ "$(value .key | base64 -d | xxd -p | cut -c1-8)" = "${first:0:8}" ]
  [ "$(value .key | base64 -d | xxd -p)" != "$first" ]
  ctl token issue ims.example bob --kid k1
  [ "$(value .key | base64 -d | xxd -p | cut -c1-8)" != "${first:0:8}" ]
  ctl token issue ims.example alice --kid k3 --session-key-octets 32
  [ "$(value .key | base64 -d | wc -c)" = 32 ]
  value .access_token | "$CTL" token decode --alg A256CBC-HS512 --key-file "$TC_DIR/k3" --server-name turn.ims.example >/dev/null
  ctl token issue ims.example alice --kid k4
  value .access_token | "$CTL" token decode --derivation hkdf-sha256 --key-file "$TC_DIR/k4" --server-name turn.ims.example >/dev/null
}

@test "an answer that cannot be written is an error, and goes nowhere else" {
  local rc
  for command in 'token issue ims.example alice' 'realm list' '--version' '--help' 'completion bash'; do
    rc=0 # a socket that took the place of standard output would get the answer
    # shellcheck disable=SC2086
    PGUSER=op "$CTL" $command >&- 2>"$TC_DIR/err" || rc=$?
    cat "$TC_DIR/err"
    [ $rc = 6 ]
    grep -q "cannot write the answer to standard output" "$TC_DIR/err"
    rc=0
    # shellcheck disable=SC2086
    PGUSER=op "$CTL" $command >/dev/full 2>"$TC_DIR/err" || rc=$?
    [ $rc = 6 ]
    grep -q "cannot write the answer to standard output" "$TC_DIR/err"
  done
}

@test "token issue: the newest active key signs, and no other" {
  ctl key add other newest --not-before now
  ctl token issue other carol
  [ "$(value .kid)" = newest ]
  ctl key set other newest --state retired
  ctl token issue other carol
  [ "$(value .kid)" = imported ]
  refused 1 'not an active' token issue other carol --kid newest
  ctl key set other imported --sign-until 2020-01-01T00:00:00Z
  refused 1 'no active token key' token issue other carol
  ctl key set other imported --sign-until open
  ctl realm set other --mechanisms derived
  refused 1 'does not offer' token issue other carol
  ctl realm set other --mechanisms token,derived,pushed
  refused 2 'lifetime' token issue other carol --lifetime 2d
  refused 1 'realm add makes one' token issue missing carol
}

@test "credential issue: derived and rest agree with the offline computation" {
  local expiry
  ctl credential issue ims.example sip:alice@ims.example --lifetime 1h --uri turn:turn.ims.example
  expiry=$(value .expires_at)
  [ "$(value .username)" = "sip:alice@ims.example:$expiry" ]
  [ "$(value '.uris[0]')" = turn:turn.ims.example ]
  "$CTL" credential derive --key-file "$TC_DIR/k5" --realm ims.example --user sip:alice@ims.example --expiry "$expiry" --json >"$TC_DIR/derived"
  [ "$(jq -r .password "$TC_DIR/derived")" = "$(value .password)" ]
  ctl credential issue ims.example 491711234567 --kind rest --kid k6
  expiry=$(value .expires_at)
  [ "$(value .username)" = "$expiry:491711234567" ]
  "$CTL" credential derive --kind rest --key-file "$TC_DIR/k6" --realm ims.example --user 491711234567 --expiry "$expiry" --json >"$TC_DIR/derived"
  [ "$(jq -r .password "$TC_DIR/derived")" = "$(value .password)" ]
  ctl credential issue ims.example 491711234567 --kind rest --kid k7
  [ "$(value .username)" = "491711234567:$(value .expires_at)" ]
  refused 1 'USER' credential issue ims.example 'a b'
  refused 2 'derived, rest' credential issue ims.example a --kind token
}

@test "credential push: sealed, replaced, listed, removed" {
  ctl credential push ims.example bob --lifetime 1h --client-address 2001:DB8:0::1
  [ "$(value .client_address)" = 2001:db8::1 ]
  [ "$(value '.password | length')" = 43 ]
  local password
  password=$(value .password)
  PASSWORD=$password /usr/bin/python3 "$BATS_TEST_DIRNAME/database.py" sealed_credential
  printf '%s\n' "$(head -c 16 /dev/urandom | xxd -p)" >"$TC_DIR/password"
  ctl credential push ims.example bob --password-file "$TC_DIR/password"
  [ "$(value .password)" = null ]
  [ "$(value .client_address)" = '' ]
  ctl credential list ims.example
  [ "$(value length)" = 1 ]
  [ "$(value '.[0].is_sealed')" = true ]
  ctl credential push ims.example carol --no-expiry
  [ "$(value .expires_at)" = 0 ]
  ctl credential list ims.example --limit 1
  [ "$(value length)" = 1 ]
  grep -q 'more than these 1' "$TC_DIR/err"
  ctl credential remove ims.example carol
  refused 1 'no pushed credential' credential remove ims.example carol
  refused 1 'too few' credential push ims.example dave --password-file <(echo short)
  refused 2 'not an IPv4' credential push ims.example dave --client-address nonsense
  refused 1 'USERNAME' credential push ims.example "o'hara"
  refused 1 'expiry' credential push ims.example dave --expiry 2020-01-01
  refused 1 'max ttl' credential push ims.example dave --expiry +20h
}

@test "a realm with at_rest plain needs no key encryption key" {
  ctl realm add plain.example --at-rest plain --mechanisms token,pushed
  TURNCRED_KEK='' ctl key add plain.example p1
  [ "$(value .is_sealed)" = false ]
  TURNCRED_KEK='' ctl token issue plain.example alice
  TURNCRED_KEK='' ctl credential push plain.example alice
  [ "$(sql "SELECT encode(md5, 'hex') FROM turncred.credential WHERE realm = 'plain.example'")" = \
    "$(printf 'alice:plain.example:%s' "$(value .password)" | md5sum | cut -d' ' -f1)" ]
}

@test "revoke: user with its tokens and credential, and back" {
  ctl revoke user ims.example alice --reason 'left the house'
  [ "$(value .tokens)" -ge 3 ]
  ctl revocation list ims.example
  [ "$(value '[.[] | select(.kind == "user")] | length')" = 1 ]
  [ "$(value '[.[] | select(.kind == "token")] | length')" -ge 3 ]
  refused 1 revoked token issue ims.example alice
  refused 1 revoked credential issue ims.example alice
  refused 1 revoked credential push ims.example alice
  ctl unrevoke user ims.example alice
  refused 1 'no such revocation' unrevoke user ims.example alice
  ctl token issue ims.example alice
  ctl revoke token ims.example "$(value .fingerprint)" --until +1h
  ctl revoke kid ims.example k2
  ctl revoke realm other
  refused 1 revoked credential push other bob
  ctl unrevoke realm other
  refused 2 'KIND' revoke everybody ims.example
  refused 2 'NAME' revoke user ims.example
  refused 2 'NAME' revoke realm ims.example x
  refused 1 'fingerprint' revoke token ims.example nonsense
  refused 1 'does not exist' revoke user missing alice
}

@test "waiting: a server that lags is named, a silent one is not waited for" {
  sql "INSERT INTO turncred.instance (id, kind, progress, last_seen) VALUES ('slow', 'server', '1', now()), ('dead', 'server', '1', now() - interval '1 hour')"
  local rc=0
  ctl credential push ims.example erin --wait 1s || rc=$?
  [ "$rc" = 5 ]
  [ "$(value .in_force)" = false ]
  [ "$(value '.late | join(" ")')" = slow ]
  grep -q slow "$TC_DIR/err"
  ctl server list
  [ "$(value '[.[] | select(.current | not)] | length')" = 2 ]
  # it catches up while we wait
  (sleep 1 && sql "UPDATE turncred.instance SET progress = (pg_current_xact_id()::text::bigint + 1)::text::xid8, last_seen = now() WHERE id = 'slow'") 3>&- 4>&- &
  ctl credential push ims.example erin --wait 20s
  [ "$(value .in_force)" = true ]
  [ "$(value .instances)" = 1 ]
  wait
  ctl server forget dead
  ctl server forget slow
  refused 1 'no instance' server forget slow
}

@test "an issuer's role issues and pushes, and can do no more" {
  as_issuer() {
    PGOPTIONS='-c role=turncred_issuer' PGUSER=postgres "$CTL" "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err"
  }
  as_issuer token issue ims.example frank
  as_issuer credential issue ims.example frank
  as_issuer credential push ims.example frank
  local command rc
  for command in 'key add ims.example' 'key disable ims.example k1' 'realm set ims.example --grace 1m' 'revoke user ims.example frank' maintain; do
    rc=0
    # shellcheck disable=SC2086
    as_issuer $command || rc=$?
    [ "$rc" = 3 ]
    grep -q 'permission denied' "$TC_DIR/err"
  done
}

@test "maintain: twice, and at once" {
  ctl maintain
  PGUSER=op "$CTL" maintain >"$TC_DIR/a" 3>&- 4>&- &
  PGUSER=op "$CTL" maintain >"$TC_DIR/b"
  wait $!
  sql "INSERT INTO turncred.credential (realm, username, md5, expiry) SELECT 'plain.example', 'old' || i, decode(md5('x'), 'hex'), now() - interval '1 hour' FROM generate_series(1, 1200) i"
  ctl maintain
  [ "$(value '.[] | select(.action == "purge") | .object')" = '1200 expired credentials and revocations' ]
}

@test "row_security = off of the role or the database is no obstacle" {
  sql 'ALTER ROLE op SET row_security = off'
  ctl key list
  ctl doctor || [ $? = 1 ]
  sql 'ALTER ROLE op RESET row_security'
}

@test "values have one spelling, or are refused with the remedy" {
  ctl realm add values.test --mechanisms token,derived,pushed --uri 'TURN:Turn.Example.org?transport=UDP' --origin https://App.example.org:443/ \
    --listen-address ::ffff:192.0.2.9
  [ "$(value '.uris[0] + " " + .origins[0] + " " + .listen_addresses[0]')" = \
    'turn:turn.example.org?transport=udp https://app.example.org 192.0.2.9' ]
  refused 2 'uri: "turn://turn.example.org": a TURN URI has no //' realm set values.test --uri turn://turn.example.org
  refused 2 'uri: "turn:turn.example.org:99999": the port is a number' realm set values.test --uri turn:turn.example.org:99999
  refused 2 'origin: "https://[*].example.org": patterns' realm set values.test --origin 'https://*.example.org'
  refused 2 'listen-address: "10.0.0.0/8": one address is wanted, not a network' realm set values.test --listen-address 10.0.0.0/8
  ctl realm set values.test --uri ''
  [ "$(value '.uris | length')" = 0 ]
  ctl realm set values.test --allowed-peers 2001:DB8::/32,::ffff:192.0.2.7/128 --denied-peers 10.0.0.0/8 --denied-peers ::ffff:127.0.0.0/104
  [ "$(value '[.allowed_peers, .denied_peers] | tojson')" = '[["2001:db8::/32","192.0.2.7"],["10.0.0.0/8","127.0.0.0/8"]]' ]
  ctl realm list
  [ "$(value '.[] | select(.name == "values.test") | .allowed_peers | tojson')" = '["2001:db8::/32","192.0.2.7"]' ]
  "$CTL" realm show values.test | grep -q 'allowed peers *2001:db8::/32'
  refused 2 'allowed-peers: "192.0.2.1/24": bits are set behind the prefix: the network is 192.0.2.0/24' realm set values.test --allowed-peers 10.0.0.0/8,192.0.2.1/24
  refused 2 'denied-peers: "10.0.0.0-10.255.255.255": write a range as networks' realm set values.test --denied-peers 10.0.0.0-10.255.255.255
  refused 2 'denied-peers: "": ' realm set values.test --denied-peers 10.0.0.0/8,,192.0.2.0/24
  refused 1 'allowed-peers: 1024 networks at the most' realm set values.test \
    --allowed-peers "$(seq -s, -f '2001:db8::%.0f' 1000 2024)"
  ctl realm set values.test --allowed-peers '' --denied-peers ''
  [ "$(value '[.allowed_peers, .denied_peers] | tojson')" = '[[],[]]' ]
  ctl credential push values.test bob --client-address ::ffff:127.0.0.1 --wait 0
  [ "$(value .client_address)" = 127.0.0.1 ]
  refused 2 'client-address: "fe80::1%eth0": it has a zone id' credential push values.test bob --client-address fe80::1%eth0
  refused 1 'USERNAME: it holds the control character U[+]0085' credential push values.test $'a\u0085b'
  refused 1 'USER: it holds both "union" and "select"' credential issue values.test credit-union-select
  refused 1 'USER: it holds the format character U[+]202E' token issue values.test $'a\u202eb'
  refused 2 'operand 2 is not UTF-8' credential push values.test $'jos\xe9'
  refused 2 'reason: the value is not UTF-8' revoke user values.test bob --reason $'caf\xe9'
}

@test "an end that is no end, or is over, is refused; so are a caller and names that do not fit, in plain words" {
  local end
  ctl realm add ends.test
  for end in 0 1970-01-01; do
    refused 2 "--not-after: \"$end\" would be no end" caller add ended --scopes token --realms ends.test --not-after $end
    refused 2 "--accept-until: \"$end\" would be no end" key add ends.test k --accept-until $end
    refused 2 "--until: \"$end\" would be no end" revoke user ends.test bob --until $end
  done
  ctl key add ends.test k
  refused 2 '--sign-until: "0" would be no end' key set ends.test k --sign-until 0
  ctl key set ends.test k --sign-until open
  refused 1 '--until: the time is over, so nothing would be revoked' revoke user ends.test bob --until 2020-01-01
  # where this machine's clock is behind the database's, the database refuses
  local step=$TC_BUILD/tests/abi/.libs/clockstep.so
  [ -e "$step" ] || skip "$step is not built (make check builds it)"
  /usr/bin/python3 -c 'import sys; sys.stdout.buffer.write((-3600).to_bytes(8, sys.byteorder, signed=True))' >"$TC_DIR/behind"
  LD_PRELOAD=$step CLOCKSTEP=$TC_DIR/behind refused 1 'is over, so nothing would be revoked. Give a time' revoke user ends.test bob --until +10m
  [ "$(sql "SELECT count(*) FROM turncred.revocation WHERE realm = 'ends.test'")" = 0 ]
  refused 1 '--foreign-caller: there is no such caller' realm add foreign.test --foreign-caller nobody
  refused 1 '--scopes:.* stun-key' caller add mistaken --scopes tokn --realms ends.test
  refused 2 '--certificate-subject: 1 to 1024 octets' caller add long --scopes token --realms ends.test --certificate-subject "CN=$(printf 'x%.0s' {1..1024})"
  refused 2 '--certificate-subject: 1 to 1024 octets' caller add empty --scopes token --realms ends.test --certificate-subject ''
  ctl realm set ends.test --mechanisms token,pushed
  refused 1 '--user: it holds a blank' credential push ends.test bob --user 'a b'
  refused 1 '--user: it must have 1 to' credential push ends.test bob --user ''
}

@test "no text that a message repeats controls the terminal" {
  refused 1 'no instance "x[?][[]31m[?]2Jy"' server forget $'x\e[31m\u009b2Jy'
}

@test "connection: configuration file, refused password, no database" {
  cat >"$TURNCRED_CONFIG" <<CONF
# the operator's
database = host=$PGHOST dbname=turncred user=op
kek = $TC_DIR/kek/main
CONF
  env -u PGHOST -u PGDATABASE -u PGUSER -u TURNCRED_KEK "$CTL" realm list --json >"$TC_DIR/out"
  [ "$(value length)" -ge 3 ]
  env -u PGHOST -u PGDATABASE -u PGUSER -u TURNCRED_KEK "$CTL" key add other --json >"$TC_DIR/out"
  refused 2 'passfile' realm list --database 'dbname=turncred password=x'
  refused 3 'cannot connect' realm list --database 'host=/nonexistent'
  echo 'databse = x' >"$TURNCRED_CONFIG"
  refused 2 'line 1.*databse' realm list
  # a line that is no setting may be a connection string with its password, or the rest of one
  local line long
  long=$(printf 'x%.0s' {1..2030})
  for line in postgresql://op:hidden@db/turncred 'database: postgresql://op:hidden@db/turncred?connect_timeout=5' \
    'host=db password=hidden user=op' "database = host=$long hidden" "database = host=$long password=hidden"; do
    printf '%s\n' '# the operator' "$line" >"$TURNCRED_CONFIG"
    refused 2 'line 2' realm list
    run ! grep hidden "$TC_DIR/err"
  done
  : >"$TURNCRED_CONFIG"
  refused 2 'missing.conf' realm list --config "$TC_DIR/missing.conf"
}

@test "realm remove takes contents only when told so" {
  refused 1 'with-contents' realm remove other
  ctl realm remove other --with-contents
  refused 1 'realm add makes one' realm remove other
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'other'")" = 0 ]
}

state_is() { [ "$(sql "SELECT state FROM turncred.key WHERE realm = 'pause.test' AND kid = '$1'")" = "$2" ]; }
reports() { sql "UPDATE turncred.instance SET progress = $1, last_seen = now() WHERE id = 'pausing'"; }
# disabled_at KID STATE: a rotation to KID waits for an instance in this state, and there the new key is disabled
disabled_at() {
  local rc=0
  reports "'1'"
  PGUSER=op "$CTL" key rotate pause.test --kid "$1" --wait 20s >"$TC_DIR/rotate" 2>&1 3>&- 4>&- &
  wait_for 10 state_is "$1" published
  [ "$2" = published ] || { reports 'pg_current_xact_id()' && wait_for 10 state_is "$1" active; }
  ctl key disable pause.test "$1" --wait 0
  reports 'pg_current_xact_id()'
  wait $! || rc=$?
  cat "$TC_DIR/rotate"
  [ $rc = 1 ]
  grep -q "key \"$1\" is not $2 any more" "$TC_DIR/rotate"
  state_is "$1" disabled
  state_is old active
}
@test "key rotate: a new key that is disabled meanwhile stays so, and the old one goes on" {
  ctl realm add pause.test
  ctl key add pause.test old
  sql "INSERT INTO turncred.instance (id, kind, progress) VALUES ('pausing', 'server', '1')"
  disabled_at second published
  disabled_at third active
  sql "DELETE FROM turncred.instance WHERE id = 'pausing'"
}
