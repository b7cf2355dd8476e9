#!/usr/bin/env bats
# Every kind of credential against the real server: algorithms, derivations, REST, pushed.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'"
  realm_add plain.test "mechanisms='{derived,pushed}'" "at_rest='plain'"
  local alg derivation n=0
  for alg in A256GCM A128GCM A256CBC-HS512; do
    for derivation in none hkdf-sha256; do
      key_add turn.test "$alg-$derivation" token "$alg" "$derivation"
    done
  done
  key_add turn.test literal token A256CBC-HS512 none 'allow_zero_iv=true'
  key_add turn.test d1 derived
  server_start main
  server_start plain -realm realm=plain.test
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "tokens of every algorithm and derivation, with 20 and 32 octets of session key" {
  turn_step main algorithms_and_derivations
}

@test "RFC 7635's literal CBC form: only for a key row that allows it" {
  turn_step main literal_cbc_form
}

@test "rest: both orders and four hashes, one secret never both" {
  local order hash n
  for order in timestamp:user-id user-id:timestamp; do
    for hash in sha1 sha256 sha384 sha512; do
      n=r-${order%%:*}-$hash
      sql "DELETE FROM turncred.key WHERE realm = 'turn.test' AND use = 'rest'"
      key_add turn.test "$n" rest "$hash" none "username_format='$order'"
      synced
      turn_step main rest_form "$n" "$order" "$hash"
    done
  done
  # the derived credentials of the same realm still work
  turn main <<'PY'
expect(0, derived())
PY
}

@test "several keys of a realm: all accepted, wrong ones not" {
  key_add turn.test d2 derived
  key_add turn.test d3 derived
  synced
  turn main <<'PY'
for kid in "d1", "d2", "d3":
    expect(0, derived(kid=kid))
expect(401, derived(k=os.urandom(32)))
PY
}

@test "pushed: let in by its password alone, within its time, from its address" {
  credential_push turn.test bob 0123456789abcdef-bob
  credential_push turn.test "sip:carol@ims.example" 0123456789abcdef-carol
  credential_push turn.test gone 0123456789abcdef-gone $(($(date +%s) - 5))
  credential_push turn.test here 0123456789abcdef-here 0 127.0.0.1
  credential_push turn.test there 0123456789abcdef-there 0 192.0.2.1
  credential_push turn.test dave:4102444800 0123456789abcdef-dave
  # a sealed row from before schema version 4, bound to the spelling of a dual-stack issuer
  sql 'ALTER TABLE turncred.credential DISABLE TRIGGER credential_canonical'
  credential_push turn.test mapped 0123456789abcdef-mapped 0 ::ffff:127.0.0.1
  sql 'ALTER TABLE turncred.credential ENABLE TRIGGER credential_canonical'
  synced
  turn_step main pushed_credentials
  log_has main 'user="gone".*reason=expired'
  log_has main 'user="there".*reason=address_mismatch'
}

@test "pushed: works within a second of the commit, and is gone within a second of its removal" {
  turn_step main pushed_within_a_second
}

@test "nothing but psql: a plain realm takes a key and a password" {
  sql "SELECT turncred.key_add_plain('plain.test', 'p1', 'derived', 'sha256', '\\x$(printf '%064d' 7)')" \
    "SELECT turncred.credential_push_password('plain.test', 'frank', '0123456789abcdef-frank')"
  synced
  turn plain <<'PY'
expect(0, derived(k=bytes(31) + b"\x07", realm="plain.test"))
expect(0, password("frank", "0123456789abcdef-frank"))
expect(401, password("frank", "0123456789abcdef-frank2"))
PY
  sql "SELECT turncred.credential_remove('plain.test', 'frank')"
  synced
  turn plain <<'PY'
expect(401, password("frank", "0123456789abcdef-frank"))
PY
}

@test "mechanisms: a mechanism that the realm does not list is refused" {
  realm_add narrow.test "mechanisms='{pushed}'"
  key_add narrow.test n1 derived
  credential_push narrow.test gina 0123456789abcdef-gina
  server_start narrow -realm realm=narrow.test
  turn narrow <<'PY'
expect(401, derived(kid="n1", realm="narrow.test"))
expect(420, token("A256GCM-none", server_name="narrow.test-server"))
expect(0, password("gina", "0123456789abcdef-gina"))
PY
}

@test "programs that know nothing of us: turnutils_uclient with a REST secret" {
  local program=${TC_TURNSERVER%/*}/turnutils_uclient secret
  turncred_need "$program" "${program%uclient}peer"
  sql "DELETE FROM turncred.key WHERE realm = 'turn.test' AND use = 'rest'"
  # a secret of printable octets, as that program wants it
  mkdir -p "$TC_DIR/keys/turn.test"
  printf 'north-secret-of-32-octets-000001' >"$TC_DIR/keys/turn.test/uclient"
  key_add turn.test uclient rest sha1 none "username_format='timestamp:user-id'"
  synced
  secret=$(<"$TC_DIR/keys/turn.test/uclient")
  local peer
  peer=$(free_port)
  "${program%uclient}peer" -p "$peer" -L 127.0.0.1 >/dev/null 2>&1 3>&- 4>&- &
  local pid=$!
  run timeout 60 "$program" -n 5 -m 1 -u alice -W "$secret" -e 127.0.0.1 -r "$peer" -p "$(server_port main)" 127.0.0.1
  kill "$pid"
  echo "$output" | tail -5
  [[ $status == 0 ]]
  [[ $output == *'lost packets 0 (0.000000%)'* ]]
}

@test "derived credentials bound to the client's address, where the realm says so" {
  realm_add bound.test "mechanisms='{derived}'" bind_address=true user_quota=1
  key_add bound.test b1 derived
  server_start bound -realm realm=bound.test
  turn_step bound bound_to_the_address
  log_has bound 'user="alice.127.0.0.2:[0-9]*".*reason=address_mismatch'
  sql "SELECT turncred.revoke('user', 'bound.test', 'carol')"
  synced
  turn bound <<'PY'
expect(401, derived("carol|127.0.0.1", kid="b1", realm="bound.test"))
PY
}
