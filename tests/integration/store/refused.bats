#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Rows that cannot be used are refused, named once in the log, and harm no other row.

load store.bash

setup_file() {
  store_up
  sql "INSERT INTO turncred.realm (name, server_name) VALUES ('s', 'turn.s')"
  { sealed key s good token A256GCM none
    sealed key s other token A256GCM none
    sealed key s cbc token A256CBC-HS512 none
    sealed key s hkdf token A256GCM hkdf-sha256
    sealed key s d derived sha256 none
    sealed credential s alice 'a password of 128 bits' 0 ''
    sealed credential s bob 'a password of 128 bits' 4102444800 192.0.2.1
  } | psql -Xq >/dev/null
  # the constraints would refuse most of the following rows; a store checks every row itself
  sql 'ALTER TABLE turncred.key DROP CONSTRAINT key_wrapped_length, DROP CONSTRAINT key_plain_length,
       DROP CONSTRAINT key_alg_for_use, DROP CONSTRAINT key_derivation_known, DROP CONSTRAINT key_state_known,
       DROP CONSTRAINT key_wrapped_or_plain, DROP CONSTRAINT key_kek_id_form, DROP CONSTRAINT key_use_known,
       DROP CONSTRAINT key_wrapped_has_kek_id' \
    'ALTER TABLE turncred.credential DROP CONSTRAINT credential_sealed_length, DROP CONSTRAINT credential_md5_length' \
    'ALTER TABLE turncred.realm DROP CONSTRAINT realm_mechanisms_known, DROP CONSTRAINT realm_expiry_token_known,
       DROP CONSTRAINT realm_default_ttl_range'
}
teardown_file() { store_down; }

# refuses SQL KIND NAME WORDS...: after SQL the row is gone and named in the log once; all others stay
refuses() {
  local change=$1 kind=$2 name=$3 words=$4
  cat >"$TC_DIR/script" <<SCRIPT
load 5000
expect has s $kind $name = yes
sh psql -Xq -v ON_ERROR_STOP=1 -c "$change"
within 1000 has s $kind $name = no
expect refused = 1
expect accepts s cbc = yes
expect accepts s hkdf = yes
expect has s credential bob = yes
expect accepts r k = yes
reloaded 2000
expect refused = 1
SCRIPT
  run probe -p 300 <"$TC_DIR/script"
  echo "$output"
  cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
  [ "$(grep -c "s/$name is refused: .*$words" "$TC_DIR/probe.log")" -eq 1 ]
}

# again AFTER: the row as it was
again() {
  sql "DELETE FROM turncred.$1 WHERE realm = 's' AND ${3-kid} = '$2'"
}
readd_key() { sealed key s "$1" "${2:-token}" "${3:-A256GCM}" none | psql -Xq; }

@test "sealed keys and credentials open" {
  run probe <<SCRIPT
load 5000
expect key s good = s/good token A256GCM none active enc=$(od -An -vtx1 "$TC_DIR/keys/s/good" | tr -d ' \n') auth= tag=1
expect credential s alice = s/alice $(printf %s 'alice:s:a password of 128 bits' | md5sum | cut -d' ' -f1) expiry=0 address=
expect credential s bob = s/bob $(printf %s 'bob:s:a password of 128 bits' | md5sum | cut -d' ' -f1) expiry=4102444800 address=192.0.2.1
expect refused = 0
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "refused rows that go in one statement are no longer counted" {
  sql 'ALTER TABLE turncred.credential DISABLE TRIGGER USER' \
    "INSERT INTO turncred.credential (realm, username, md5) SELECT 'r', 'u' || i, '\\xaa' FROM generate_series(1, 1100) i" \
    'ALTER TABLE turncred.credential ENABLE TRIGGER USER'
  run probe -p 300 <<'SCRIPT'
load 5000
expect refused = 1100
sh psql -Xq -v ON_ERROR_STOP=1 -c "DELETE FROM turncred.credential WHERE username LIKE 'u%'"
within 1000 refused = 0
expect has s credential bob = yes
expect accepts s cbc = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a key whose octets were damaged" {
  refuses "UPDATE turncred.key SET wrapped = set_byte(wrapped, 9, get_byte(wrapped, 9) # 1) WHERE kid = 'good'" key good 'does not open'
  again key good && readd_key good
}

@test "two keys whose wrapped octets were swapped" {
  sql "UPDATE turncred.key SET wrapped = set_byte(wrapped, 0, get_byte(wrapped, 0)) WHERE kid = 'good'"
  refuses "UPDATE turncred.key SET wrapped = (SELECT wrapped FROM turncred.key WHERE realm = 's' AND kid = 'other') WHERE realm = 's' AND kid = 'good'" key good 'does not open'
  again key good && readd_key good
}

@test "a key moved to another use, algorithm or realm" {
  refuses "UPDATE turncred.key SET use = 'derived', alg = 'sha256' WHERE kid = 'good'" key good 'does not open'
  again key good && readd_key good
}

@test "an algorithm, derivation, state or use that this program does not know" {
  refuses "UPDATE turncred.key SET alg = 'A512GCM' WHERE kid = 'good'" key good alg
  sql "UPDATE turncred.key SET alg = 'A256GCM' WHERE kid = 'good'"
  refuses "UPDATE turncred.key SET derivation = 'argon2' WHERE kid = 'good'" key good derivation
  sql "UPDATE turncred.key SET derivation = 'none' WHERE kid = 'good'"
  refuses "UPDATE turncred.key SET state = 'drunk' WHERE kid = 'good'" key good state
  sql "UPDATE turncred.key SET state = 'active' WHERE kid = 'good'"
  refuses "UPDATE turncred.key SET use = 'other' WHERE kid = 'good'" key good use
  sql "UPDATE turncred.key SET use = 'token' WHERE kid = 'good'"
}

@test "a key of the wrong length, or none" {
  refuses "UPDATE turncred.key SET wrapped = substr(wrapped, 1, 32) WHERE kid = 'good'" key good 'does not open'
  again key good && readd_key good
  refuses "UPDATE turncred.key SET wrapped = '' WHERE kid = 'good'" key good 'does not open'
  again key good && readd_key good
  refuses "UPDATE turncred.key SET wrapped = NULL, kek_id = NULL WHERE kid = 'good'" key good 'or none'
  again key good && readd_key good
  sql "UPDATE turncred.realm SET at_rest = 'plain' WHERE name = 's'"
  refuses "UPDATE turncred.key SET wrapped = NULL, kek_id = NULL, plain = decode(repeat('00', 31), 'hex') WHERE kid = 'good'" key good '31 octets'
  again key good && readd_key good
  refuses "UPDATE turncred.key SET wrapped = NULL, kek_id = NULL, plain = decode(repeat('00', 2000), 'hex') WHERE kid = 'good'" key good 'longer than'
  again key good && readd_key good
}

@test "a key encryption key that is not here" {
  refuses "UPDATE turncred.key SET kek_id = 'lost' WHERE kid = 'good'" key good 'key encryption key lost, which this program does not have'
  sql "UPDATE turncred.key SET kek_id = 'main' WHERE kid = 'good'"
}

@test "a credential that was damaged, moved, prolonged, or freed from its address" {
  refuses "UPDATE turncred.credential SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) WHERE username = 'alice'" credential alice 'does not open'
  again credential alice username && sealed credential s alice 'a password of 128 bits' 0 '' | psql -Xq >/dev/null
  refuses "UPDATE turncred.credential SET sealed = (SELECT sealed FROM turncred.credential WHERE username = 'bob') WHERE username = 'alice'" credential alice 'does not open'
  again credential alice username && sealed credential s alice 'a password of 128 bits' 100 '' | psql -Xq >/dev/null
  refuses "UPDATE turncred.credential SET expiry = '2100-01-01' WHERE username = 'alice'" credential alice 'does not open'
  again credential alice username && sealed credential s alice 'a password of 128 bits' 0 192.0.2.9 | psql -Xq >/dev/null
  refuses "UPDATE turncred.credential SET client_address = '' WHERE username = 'alice'" credential alice 'does not open'
  refuses_length
}
refuses_length() {
  again credential alice username && sealed credential s alice 'a password of 128 bits' 0 '' | psql -Xq >/dev/null
  refuses "UPDATE turncred.credential SET sealed = substr(sealed, 1, 75) WHERE username = 'alice'" credential alice 'does not open'
  again credential alice username && sealed credential s alice 'a password of 128 bits' 0 '' | psql -Xq >/dev/null
}

@test "a realm with words that nobody knows, and its keys when it is mended" {
  run probe -p 300 <<'SCRIPT'
load 5000
sh psql -Xqc "UPDATE turncred.realm SET mechanisms = '{token,password}' WHERE name = 's'"
within 1000 realm s = none
expect refused = 1
expect accepts r k = yes
sh psql -Xqc "UPDATE turncred.realm SET mechanisms = '{token}' WHERE name = 's'"
within 1000 accepts s good = yes
expect has s credential bob = yes
expect refused = 0
SCRIPT
  echo "$output"
  cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
  [ "$(grep -c 'realm s is refused: mechanisms' "$TC_DIR/probe.log")" -eq 1 ]
}

@test "revocations of a kind that this program does not know, and no longer when they are gone" {
  sql 'ALTER TABLE turncred.revocation DROP CONSTRAINT revocation_kind_known, DROP CONSTRAINT revocation_name_form'
  cat >"$TC_DIR/script" <<SCRIPT
load 5000
expect refused = 0
sh psql -Xqc "INSERT INTO turncred.revocation (realm, kind, name) VALUES ('s', 'device', 'one'), ('s', 'device', 'two'), ('s', 'user', 'mallory')"
within 1000 refused = 2
sh psql -Xqc "DELETE FROM turncred.revocation WHERE kind = 'device' AND name = 'one'"
within 1000 refused = 1
sh psql -Xqc "DELETE FROM turncred.revocation WHERE kind = 'device'"
within 1000 refused = 0
SCRIPT
  run probe -p 300 <"$TC_DIR/script"
  echo "$output"
  cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
  grep -q 'revocation s/device:two is refused: kind: this program does not know it' "$TC_DIR/probe.log"
  sql "DELETE FROM turncred.revocation WHERE realm = 's'"
}

@test "key encryption keys: several at once, one added while running, wrong files refused" {
  mkdir -p "$TC_DIR/keks"
  cp -p "$TC_DIR/kek/main" "$TC_DIR/keks/main"
  run "$TC_BUILD/tests/integration/store/store_probe" -d "$TC_CONN" -k "$TC_DIR/keks" -p 300 <<'SCRIPT'
load 5000
expect accepts s good = yes
expect refused = 0
sh psql -Xqc "UPDATE turncred.key SET kek_id = 'second' WHERE kid = 'other' AND realm = 's'"
within 1000 has s key other = no
sh cp -p "$TC_DIR/kek/main" "$TC_DIR/keks/second"
reload
during 300 has s key other = no
sh psql -Xqc "UPDATE turncred.key SET kek_id = 'main' WHERE kid = 'other' AND realm = 's'"
within 1000 accepts s other = yes
expect refused = 0
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
  local file=$TC_DIR/keks/second probe=$TC_BUILD/tests/integration/store/store_probe
  chmod 644 "$file"
  run "$probe" -d "$TC_CONN" -k "$file" </dev/null
  echo "$output"; [ "$status" -eq 2 ]; [[ $output == *"open to others"* ]]
  chmod 600 "$file"; printf x >>"$file"
  run "$probe" -d "$TC_CONN" -k "$file" </dev/null
  echo "$output"; [ "$status" -eq 2 ]; [[ $output == *"33 octets"* ]]
  run "$probe" -d "$TC_CONN" -k "$TC_DIR/none" </dev/null
  echo "$output"; [ "$status" -eq 2 ]; [[ $output == *"$TC_DIR/none"* ]]
  run "$probe" -d "$TC_CONN" -k credential:second </dev/null
  echo "$output"; [ "$status" -eq 2 ]; [[ $output == *CREDENTIALS_DIRECTORY* ]]
  CREDENTIALS_DIRECTORY=$TC_DIR/kek run "$probe" -d "$TC_CONN" -k credential:main <<<'load 5000'
  echo "$output"; [ "$status" -eq 0 ]
}

@test "a dump holds nothing that opens without the key encryption key" {
  pg_dump turncred >"$TC_DIR/dump.sql"
  local kid secret
  for kid in other cbc hkdf d; do
    for secret in "$(od -An -vtx1 "$TC_DIR/keys/s/$kid" | tr -d ' \n')" "$(base64 -w0 "$TC_DIR/keys/s/$kid")"; do
      [ ${#secret} -ge 44 ]
      run grep -c -i -F -e "$secret" "$TC_DIR/dump.sql"
      [ "$output" = 0 ]
    done
  done
  secret=$(printf %s 'bob:s:a password of 128 bits' | md5sum | cut -d' ' -f1)
  run grep -c -i -F -e "$secret" "$TC_DIR/dump.sql"
  [ "$output" = 0 ]
  # the same question finds a key that does lie plain
  grep -q "$(printf 'ab%.0s' {1..32})" "$TC_DIR/dump.sql"
  # a server with another key opens no sealed row
  mkdir -p "$TC_DIR/thief"
  (umask 077 && head -c 32 /dev/urandom >"$TC_DIR/thief/main")
  run "$TC_BUILD/tests/integration/store/store_probe" -d "$TC_CONN" -k "$TC_DIR/thief" <<SCRIPT
load 5000
expect has s key other = no
expect has s key cbc = no
expect has s credential bob = no
expect has r key k = yes
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a row with an infinite time stops no load, and what it says is safe" {
  sql "UPDATE turncred.realm SET mechanisms = '{token,pushed}' WHERE name = 'r'" \
    'ALTER TABLE turncred.credential DROP CONSTRAINT credential_pushed_at_finite, DROP CONSTRAINT credential_expiry_finite' \
    'ALTER TABLE turncred.key DROP CONSTRAINT key_windows_finite, DROP CONSTRAINT key_windows_order' \
    'ALTER TABLE turncred.revocation DROP CONSTRAINT revocation_times_finite, DROP CONSTRAINT revocation_lifted_after'
  local time
  for time in infinity -infinity; do
    run probe -p 300 <<SCRIPT
load 5000
sh psql -Xq -v ON_ERROR_STOP=1 -c "SELECT turncred.credential_push_password('r', 'alice', 'a password of 128 bits')" >/dev/null
within 1000 has r credential alice = yes
sh psql -Xq -v ON_ERROR_STOP=1 -c "UPDATE turncred.credential SET pushed_at = '$time'" -c "UPDATE turncred.credential SET expiry = '$time' WHERE realm = 'r' AND username = 'alice'"
sh psql -Xq -v ON_ERROR_STOP=1 -c "SELECT turncred.key_add_plain('r', 'early', 'token', 'A128GCM', decode(md5('early$time'), 'hex'), p_not_before => '$time')" >/dev/null
sh psql -Xq -v ON_ERROR_STOP=1 -c "SELECT turncred.key_add_plain('r', 'late', 'token', 'A128GCM', decode(md5('late$time'), 'hex'), p_accept_until => '$time')" >/dev/null
sh psql -Xq -v ON_ERROR_STOP=1 -c "INSERT INTO turncred.revocation (kind, realm, name, until) VALUES ('user', 'r', 'mallory', '$time')"
sh psql -Xq -v ON_ERROR_STOP=1 -c "SELECT turncred.revoke('user', 'r', 'bob')" >/dev/null
within 1000 revoked user r bob = for good
within 1000 accepts r early = $([[ $time == infinity ]] && echo no || echo yes)
within 1000 accepts r late = $([[ $time == infinity ]] && echo yes || echo no)
sh psql -Xq -c "DELETE FROM turncred.key WHERE kid IN ('early', 'late')" -c "DELETE FROM turncred.revocation" -c "DELETE FROM turncred.credential WHERE realm = 'r'"
within 1000 has r credential alice = no
expect accepts r k = yes
SCRIPT
    echo "$output"
    [ "$status" -eq 0 ]
    if grep -q 'what is loaded stays in use' "$TC_DIR/probe.log"; then return 1; fi
  done
}

@test "a key that ended in the first second of 1970 has ended" {
  run probe -p 300 <<'SCRIPT'
load 5000
expect accepts r k = yes
sh psql -Xq -v ON_ERROR_STOP=1 -c "UPDATE turncred.key SET accept_until = 'epoch' WHERE realm = 'r' AND kid = 'k'"
within 1000 accepts r k = no
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "plain_realms: what is not sealed is taken of these realms alone, whatever the database declares" {
  sql "INSERT INTO turncred.realm (name, server_name, at_rest) VALUES ('p', 'turn.p', 'plain'), ('q', 'turn.q', 'plain')" \
    "SELECT turncred.key_add_plain('p', 'k', 'token', 'A128GCM', decode(repeat('01', 16), 'hex')),
       turncred.key_add_plain('q', 'k', 'token', 'A128GCM', decode(repeat('02', 16), 'hex')),
       turncred.credential_push_plain('p', 'alice', decode(repeat('03', 16), 'hex')),
       turncred.credential_push_plain('q', 'alice', decode(repeat('03', 16), 'hex'))" >/dev/null
  run probe -p 300 -r 'r p' <<SCRIPT
load 5000
expect accepts s cbc = yes
expect accepts p k = yes
expect has p credential alice = yes
expect has q key k = no
expect has q credential alice = no
sh psql -Xq -v ON_ERROR_STOP=1 -c "UPDATE turncred.realm SET at_rest = 'plain' WHERE name = 's'" -c "SELECT turncred.key_add_plain('s', 'planted', 'token', 'A128GCM', decode(repeat('04', 16), 'hex'))" >/dev/null
within 1000 refused = 3
expect has s key planted = no
expect accepts s cbc = yes
SCRIPT
  echo "$output"
  cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
  grep -q 'q/k is refused: it is not sealed, and the setting plain_realms does not name its realm' "$TC_DIR/probe.log"
  run probe -p 300 <<<'load 5000
expect accepts s planted = yes
expect accepts q k = yes'
  echo "$output"
  [ "$status" -eq 0 ]
}
