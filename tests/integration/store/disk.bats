#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# The sealed snapshot on disk: a server starts while the database is away.

load store.bash

setup_file() {
  store_up
  sql "INSERT INTO turncred.realm (name, server_name, mechanisms, guest_kids, listen_addresses, origins)
       VALUES ('s', 'turn.s', '{token,derived,rest,pushed}', ARRAY['r/' || repeat('x', 70000), 'r/k'], '{192.0.2.1}', '{https://s.example}')"
  { sealed key s t1 token A256GCM none
    sealed key s t2 token A256CBC-HS512 hkdf-sha256
    sealed key s d1 derived sha256 none
    sealed key s h1 rest sha1 none
    sealed credential s alice 'a password of 128 bits' 4102444800 192.0.2.1
  } | psql -Xq >/dev/null
  sql "INSERT INTO turncred.credential (realm, username, md5) SELECT 'r', 'bulk' || g, decode(md5(g::text), 'hex') FROM generate_series(1, 5000) g" \
    "SELECT turncred.revoke('user', 's', 'eve')" "SELECT turncred.revoke('token', 's', '00112233445566778899aabbccddeeff')" >/dev/null
  cat >"$TC_DIR/questions" <<'Q'
print realm r
print realm s
print key s t1
print key s t2
print key s d1
print key s h1
print accepts s k
print derived s
print rest s
print listener 192.0.2.1
print origin https://s.example
print credential s alice
print credential r bulk4711
print counts
print revoked user s eve
print revoked token s 00112233445566778899aabbccddeeff
print revoked user s alice
Q
  { echo load 5000; cat "$TC_DIR/questions"; } |
    probe -s "$TC_DIR/snapshot" | grep ' = ' >"$TC_DIR/answers"
  pg_ctl_run -m fast stop
}
teardown_file() { store_down; }

# refused WORDS [OPTION...]: the file is refused with these words, and nothing is loaded
refused() {
  local words=$1
  shift
  # the file is read once the database is known to be away, which takes a busy machine its time
  run probe "$@" <<SCRIPT
sh for i in \$(seq 200); do grep -q "$words" "$TC_DIR/probe.log" && break; sleep 0.05; done
load 1
SCRIPT
  echo "$output"
  [ "$status" -eq 1 ]
  [[ $output == *"$words"* ]]
}

@test "the file is sealed, and nobody else's" {
  [ "$(stat -c %a "$TC_DIR/snapshot")" = 600 ]
  [ "$(stat -c %s "$TC_DIR/snapshot")" -gt 400000 ]
  run grep -c -a -e alice -e bulk47 -e turn.s "$TC_DIR/snapshot"
  [ "$output" = 0 ]
}

@test "a store that starts without its database has everything that was loaded" {
  { echo load 5000; cat "$TC_DIR/questions"; echo expect from-disk = yes; echo expect connected = no; } |
    probe -s "$TC_DIR/snapshot" >"$TC_DIR/out"
  cat "$TC_DIR/out"
  diff <(grep ' = ' "$TC_DIR/out" | grep -v '^ok') "$TC_DIR/answers"
  [ "$(grep -c . "$TC_DIR/answers")" -eq 17 ]
}

@test "one octet changed anywhere, or one cut off, and it is refused" {
  local size at
  size=$(stat -c %s "$TC_DIR/snapshot")
  for at in 0 7 9 20 60 100 130 200 4000 70000 $((size - 20)) $((size - 1)); do
    /usr/bin/python3 "$BATS_TEST_DIRNAME/disk.py" damage "$TC_DIR/snapshot" "$TC_DIR/damaged" "$at"
    refused 'snapshot' -s "$TC_DIR/damaged"
  done
  for at in 0 5 100 $((65536 + 300)) $((size - 1)); do
    head -c "$at" "$TC_DIR/snapshot" >"$TC_DIR/damaged"
    refused 'snapshot' -s "$TC_DIR/damaged"
  done
  # cut at the end of a chunk, and something added
  local header
  header=$(/usr/bin/python3 "$BATS_TEST_DIRNAME/disk.py" header "$TC_DIR/snapshot")
  head -c $((header + 4 + 65536 + 16)) "$TC_DIR/snapshot" >"$TC_DIR/damaged"
  refused 'damaged' -s "$TC_DIR/damaged"
  { cat "$TC_DIR/snapshot"; echo; } >"$TC_DIR/damaged"
  refused 'damaged' -s "$TC_DIR/damaged"
}

@test "too old, of another instance, under another key, missing" {
  touch "$TC_DIR/snapshot"
  sleep 2.1
  refused 'seconds old, and 1 are allowed' -s "$TC_DIR/snapshot" -a 1
  refused 'of another instance' -s "$TC_DIR/snapshot" -i other
  mkdir -p "$TC_DIR/kek2"
  (umask 077 && head -c 32 /dev/urandom >"$TC_DIR/kek2/main" && head -c 32 /dev/urandom >"$TC_DIR/kek2/z")
  refused 'damaged' -s "$TC_DIR/snapshot" -k "$TC_DIR/kek2/main"
  refused 'key encryption key main, which this program does not have' -s "$TC_DIR/snapshot" -k "$TC_DIR/kek2/z"
  refused 'No such file' -s "$TC_DIR/nothing"
}

@test "no room for a new one: named once, the one before stays whole, and changes are followed" {
  pg_ctl_run -m fast start
  cp -p "$TC_DIR/snapshot" "$TC_DIR/kept"
  run bash -c 'ulimit -f 100 && exec "$@"' - "$TC_BUILD/tests/integration/store/store_probe" -d "$TC_CONN" -k "$TC_DIR/kek" \
    -s "$TC_DIR/kept" -p 300 <<'SCRIPT'
load 5000
sh psql -Xqc "UPDATE turncred.realm SET max_ttl = max_ttl + 1 WHERE name = 's'"
sh psql -Xqc "UPDATE turncred.key SET state = 'disabled' WHERE kid = 't1'"
within 1000 accepts s t1 = no
sh psql -Xqc "UPDATE turncred.key SET state = 'active' WHERE kid = 't1'"
within 1000 accepts s t1 = yes
SCRIPT
  pg_ctl_run -m fast stop
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c 'snapshot .*File too large' <<<"$output")" -eq 1 ]
  cmp "$TC_DIR/snapshot" "$TC_DIR/kept"
  [ "$(find "$TC_DIR" -maxdepth 1 -name 'kept*' | wc -l)" = 1 ]
}

@test "no memory for the saver: the log says so, and the snapshot is written when there is some" {
  pg_ctl_run -m fast start
  run probe -s "$TC_DIR/later" -m 1 <<SCRIPT
load 5000
sh for i in \$(seq 300); do [ -s "$TC_DIR/later" ] && exit 0; sleep 0.1; done; exit 1
SCRIPT
  pg_ctl_run -m fast stop
  cat "$TC_DIR/probe.log"
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c "snapshot $TC_DIR/later: it is not written: out of memory" "$TC_DIR/probe.log")" -eq 1 ]
}

@test "when the database comes back, its data count again; a revocation lifted meanwhile still ends older credentials" {
  cat >"$TC_DIR/bin/pg" <<PG
#!/bin/bash
. "$TC_TOP/tests/integration/store/store.bash"
pg_ctl_run "\$@"
PG
  chmod +x "$TC_DIR/bin/pg"
  run probe -s "$TC_DIR/snapshot" -p 300 <<'SCRIPT'
load 5000
expect from-disk = yes
sh pg start; psql -Xqc "DELETE FROM turncred.key WHERE kid = 't1'" -c "SELECT turncred.lift('user', 's', 'eve')" >/dev/null
within 20000 from-disk = no
within 20000 has s key t1 = no
within 20000 revoked user s eve = before
sh psql -Xqc "DELETE FROM turncred.key WHERE kid = 't2'"
within 1000 has s key t2 = no
SCRIPT
  echo "$output"
  [ "$status" -eq 0 ]
}

@test "a reload while the first look hangs: the snapshot is taken all the same" {
  pg_ctl_run status || pg_ctl_run start
  probe -s "$TC_DIR/snapshot" <<<'load 5000'
  slow begin 'LOCK TABLE turncred.realm IN ACCESS EXCLUSIVE MODE'
  run probe -s "$TC_DIR/snapshot" <<'SCRIPT'
sh for i in $(seq 400); do [ "$(psql -XAtc 'SELECT count(*) FROM pg_locks WHERE NOT granted')" = 0 ] || exit 0; sleep 0.05; done; exit 1
reload
load 8000
expect from-disk = yes
sh slow commit
within 20000 from-disk = no
SCRIPT
  echo "$output"
  cat "$TC_DIR/probe.log"
  [ "$status" -eq 0 ]
}
