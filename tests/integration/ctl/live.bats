#!/usr/bin/env bats
# The whole path with nothing but turncredctl and a patched turnserver: keys, tokens and credentials
# that turncredctl makes let its probe in, live, and stop doing so when they should.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  CTL=$TC_BUILD/turncredctl
  export CTL
  turncred_need "$CTL"
  turncred_up
  export TURNCRED_KEK=$TC_DIR/kek/main TURNCRED_CONFIG=/dev/null TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema
  ctl realm add turn.test --mechanisms token,derived,rest,pushed
  ctl key add turn.test t1
  ctl key add turn.test d1 --use derived
  ctl key add turn.test r1 --use rest
  server_start main
  synced
}
teardown() { turncred_check; }
teardown_file() { turncred_down; }

ctl() { "$CTL" "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err" || { local rc=$?; cat "$TC_DIR/err"; return $rc; }; }
value() { jq -r "$1" "$TC_DIR/out"; }
not() { ! "$@"; } # errexit does not look at "!"
# probe CREDENTIAL-FILE [OPTION...]
probe() { ctl probe --server "127.0.0.1:$(server_port main)" --credential "$@"; }

@test "a token of token issue relays data over UDP and TCP, also shown at once" {
  local transport
  for transport in udp tcp; do
    "$CTL" token issue turn.test alice --json | "$CTL" probe --server "127.0.0.1:$(server_port main)" --transport $transport --credential - --json >"$TC_DIR/out"
    [ "$(value .ok)" = true ]
    [ "$(value .offers_tokens)" = true ]
    [ "$(value .server_name)" = turn.test ]
    [ "$(value '.steps[-1].step')" = release ]
  done
  "$CTL" token issue turn.test alice --json >"$TC_DIR/token"
  probe "$TC_DIR/token" --eager --announce
  "$CTL" token issue turn.test alice --session-key-octets 32 --json >"$TC_DIR/token"
  probe "$TC_DIR/token"
}

@test "every algorithm and derivation" {
  local options n=0
  while read -r options; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    ctl key add turn.test "alg$n" $options
    "$CTL" token issue turn.test alice --kid "alg$n" --json >"$TC_DIR/token"
    probe "$TC_DIR/token" --allocate-only
  done <<'LINES'
--alg A128GCM
--alg A256CBC-HS512
--derivation hkdf-sha256
--alg A128GCM --derivation hkdf-sha256
--alg A256CBC-HS512 --derivation hkdf-sha256
LINES
}

@test "derived and rest" {
  "$CTL" credential issue turn.test 491711234567 --json >"$TC_DIR/derived"
  probe "$TC_DIR/derived"
  "$CTL" credential issue turn.test sip:alice@ims.example --kind rest --json >"$TC_DIR/rest"
  probe "$TC_DIR/rest" --transport tcp
}

@test "derived credentials bound to the client's address" {
  ctl realm add bound.test --mechanisms derived --bind-address yes
  ctl key add bound.test b1 --use derived
  server_start bound -realm realm=bound.test
  synced
  run -2 "$CTL" credential issue bound.test alice
  [[ $output == *--client-address* ]]
  run -2 "$CTL" credential issue turn.test alice --client-address 127.0.0.1
  "$CTL" credential issue bound.test alice --client-address 127.0.0.1 --json >"$TC_DIR/here"
  "$CTL" credential issue bound.test alice --client-address 2001:DB8::0:1 --json >"$TC_DIR/there"
  [[ $(jq -r .username "$TC_DIR/there") == 'alice|2001:db8::1:'* ]]
  ctl probe --server "127.0.0.1:$(server_port bound)" --credential "$TC_DIR/here"
  ctl probe --server "127.0.0.1:$(server_port bound)" --credential "$TC_DIR/there" --expect-error 401
  # a server that is gone for good must be forgotten: rotations wait for it
  server_stop bound
  ctl server forget bound
}

@test "an expired credential gets 401" {
  "$CTL" token issue turn.test alice --lifetime 1s --json >"$TC_DIR/token"
  "$CTL" credential issue turn.test alice --lifetime 1s --json >"$TC_DIR/derived"
  sleep 7 # RFC 7635 accepts tokens for 5 s more
  probe "$TC_DIR/token" --expect-error 401
  probe "$TC_DIR/derived" --expect-error 401
}

@test "pushed: works when push says so, is gone when remove says so" {
  ctl credential push turn.test bob --wait 10s
  [ "$(value .in_force)" = true ]
  [ "$(value .instances)" = 1 ]
  cp "$TC_DIR/out" "$TC_DIR/bob"
  probe "$TC_DIR/bob"
  ctl credential remove turn.test bob --wait 10s
  [ "$(value .in_force)" = true ]
  probe "$TC_DIR/bob" --expect-error 401
}

@test "renewal: a second token of the same user keeps the allocation, another user's does not" {
  "$CTL" token issue turn.test alice --json >"$TC_DIR/token"
  "$CTL" token issue turn.test alice --json >"$TC_DIR/token2"
  "$CTL" token issue turn.test mallory --json >"$TC_DIR/token3"
  probe "$TC_DIR/token" --renew "$TC_DIR/token2"
  [ "$(value '[.steps[].step] | index("after-renewal") != null')" = true ]
  probe "$TC_DIR/token" --renew "$TC_DIR/token3" --expect-error 441
  # under another key, as after a rotation: still the same subject, and still another
  ctl key add turn.test t2
  synced
  "$CTL" token issue turn.test alice --kid t2 --json >"$TC_DIR/token2"
  "$CTL" token issue turn.test mallory --kid t2 --json >"$TC_DIR/token3"
  probe "$TC_DIR/token" --renew "$TC_DIR/token2"
  probe "$TC_DIR/token" --renew "$TC_DIR/token3" --expect-error 441
  ctl key remove turn.test t2 --now
}

@test "revoke and key disable end a live session" {
  local how before
  for how in 'revoke user turn.test carol' 'key disable turn.test carol-key'; do
    ctl key add turn.test carol-key || true
    "$CTL" token issue turn.test carol --kid carol-key --json >"$TC_DIR/token"
    before=$(refreshed)
    "$CTL" probe --server "127.0.0.1:$(server_port main)" --credential "$TC_DIR/token" --keep 60s --refresh-every 1s \
      --json >"$TC_DIR/kept" 2>/dev/null 3>&- 4>&- &
    # the second Refresh is one of the call that is kept
    wait_for 10 refreshed_since $((before + 1))
    # shellcheck disable=SC2086
    ctl $how --wait 10s
    wait_for 20 gone $!
    jq -e '.ok == false and (.steps[-1].step == "keep")' "$TC_DIR/kept"
    probe "$TC_DIR/token" --expect-error 401
    "$CTL" unrevoke user turn.test carol >/dev/null || true
  done
}
refreshed() { grep -c 'REFRESH processed, success' "$TC_DIR/servers/main/log" || true; }
refreshed_since() { [ "$(refreshed)" -gt "$1" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }

@test "after unrevoke a new credential works at once, the old one never again" {
  "$CTL" credential issue turn.test ivan --json >"$TC_DIR/old"
  probe "$TC_DIR/old"
  ctl revoke user turn.test ivan
  probe "$TC_DIR/old" --expect-error 401
  ctl unrevoke user turn.test ivan
  run "$CTL" credential issue turn.test ivan --lifetime 10m
  [ "$status" -ne 0 ] && [[ $output == *--lifetime*lifted* ]]
  "$CTL" credential issue turn.test ivan --json >"$TC_DIR/new"
  [ "$(jq .ttl "$TC_DIR/new")" -gt "$(jq .ttl "$TC_DIR/old")" ]
  synced
  probe "$TC_DIR/new"
  probe "$TC_DIR/old" --expect-error 401
}

@test "server list shows the server, current and connected" {
  ctl server list
  [ "$(value length)" = 1 ]
  [ "$(value '.[0].id')" = main ]
  [ "$(value '.[0].kind')" = server ]
  [ "$(value '.[0].refused_rows')" = 0 ]
  [ "$(value '.[0].version')" = "$("$CTL" --version | awk '{print $NF}')" ]
  [ "$(value '.[0].kek_ids[0]')" = main ]
  # all that was committed, a snapshot that is no older than a report, and the way to the database
  ctl realm set turn.test --default-ttl 1h
  wait_for 10 listed '.current and .snapshot_age <= 11 and .silent_for <= 11 and .database_state == "connected"'
  local before
  before=$(sql "SELECT progress FROM turncred.instance WHERE id = 'main'")
  ctl realm set turn.test --default-ttl 2h
  wait_for 10 listed ".current and (.progress | tonumber) > $before"
  ctl realm set turn.test --default-ttl 1h
  # what the server is: coturn and its series say it, the module which schemas it knows
  newest=$(sql 'SELECT max(version) FROM turncred.migration')
  version=$(sed -n 's/^AC_INIT(\[turncred\], \[\([^]]*\)\].*/\1/p' "$TC_TOP/configure.ac")
  listed ".schema_known == $newest and .series == \"$version\" and .version == \"$version\" and (.coturn | startswith(\"coturn-4.\")) and (.abi | test(\"^CAU[0-9T]$\"))"
  # the list shows a server that lags
  sql "INSERT INTO turncred.instance (id, kind, progress, last_seen, snapshot_age, database_state)
       VALUES ('old', 'server', '3', now() - interval '1 hour', 3600, 'no route to host')"
  ctl server list
  jq -e '.[] | select(.id == "old") | (.current | not) and .silent_for >= 3600 and .snapshot_age == 3600 and .database_state == "no route to host"' "$TC_DIR/out"
  "$CTL" server list | grep -E '^old .*no .*no route to host'
  ctl server forget old
}
# listed CONDITION: of the server main
listed() { ctl server list && jq -e ".[] | select(.id == \"main\") | $1" "$TC_DIR/out"; }

@test "key rotate: no login fails at any step, and the old key retires" {
  local old
  ctl token issue turn.test alice
  old=$(value .kid)
  cp "$TC_DIR/out" "$TC_DIR/before"
  ctl key rotate turn.test --wait 20s
  [ "$(value .complete)" = true ]
  [ "$(value .retired[0])" = "$old" ]
  [ "$(value .accept_until)" -gt $(($(date +%s) + 86000)) ]
  local new
  new=$(value .kid)
  ctl token issue turn.test alice
  [ "$(value .kid)" = "$new" ]
  cp "$TC_DIR/out" "$TC_DIR/after"
  probe "$TC_DIR/before"
  probe "$TC_DIR/after"
  # twice more in a row, and derived
  ctl key rotate turn.test --wait 20s
  ctl key rotate turn.test --wait 20s --kid third
  ctl token issue turn.test alice
  [ "$(value .kid)" = third ]
  cp "$TC_DIR/out" "$TC_DIR/third"
  probe "$TC_DIR/third" --allocate-only
  probe "$TC_DIR/before" --allocate-only
  "$CTL" credential issue turn.test dora --json >"$TC_DIR/derived"
  ctl key rotate turn.test --use derived --wait 20s
  probe "$TC_DIR/derived"
  "$CTL" credential issue turn.test dora --json >"$TC_DIR/derived"
  probe "$TC_DIR/derived"
}

@test "the newest key signs, whatever its name; imported keys and coturn's samples do not" {
  ctl realm add order.test --mechanisms token,derived,rest --at-rest plain
  ctl key add order.test zzz
  ctl key add order.test aaa
  ctl key add order.test mmm --not-before now
  ctl token issue order.test alice
  [ "$(value .kid)" = mmm ]
  ctl key add order.test bbb
  ctl token issue order.test alice
  [ "$(value .kid)" = bbb ]
  # a not-before that lies in the future counts from then on, one in the past does not make a key newer
  ctl key set order.test zzz --not-before 2020-01-01T00:00:00Z
  ctl token issue order.test alice
  [ "$(value .kid)" = bbb ]
  sql "UPDATE turncred.key SET state = 'published', imported = true WHERE kid = 'zzz'"
  sql "UPDATE turncred.key SET imported = true WHERE kid = 'aaa'"
  ctl key rotate order.test --kid next
  [ "$(sql "SELECT string_agg(kid || ' ' || state, ', ' ORDER BY kid) FROM turncred.key WHERE realm = 'order.test' AND use = 'token'")" = \
    'aaa active, bbb retired, mmm retired, next active, zzz published' ]
  run -1 "$CTL" key rotate order.test --also nobody
  [[ $output == *'--also'*'nobody'* ]]
  ctl key rotate order.test --also aaa --also zzz
  [ "$(sql "SELECT string_agg(state, ' ' ORDER BY kid) FROM turncred.key WHERE kid IN ('aaa', 'zzz')")" = 'retired retired' ]
  local sample
  for sample in north logen bloody9 library; do
    run -1 "$CTL" key add order.test --use rest --from <(printf %s "$sample")
    [[ $output == *"coturn's own examples"* ]]
  done
  run -1 "$CTL" key add order.test --from <(printf %s 12345678901234567890123456789012)
  [[ $output == *"coturn's own examples"* ]]
  ctl realm remove order.test --with-contents
}

@test "renewal over key rotations: a user keeps its tag, another user stays another" {
  local before
  "$CTL" token issue turn.test alice --json >"$TC_DIR/first"
  before=$(sql "SELECT wrapped FROM turncred.key WHERE use = 'tag'")
  [ "$before" ]
  ctl key rotate turn.test --wait 20s
  "$CTL" token issue turn.test alice --json >"$TC_DIR/second"
  "$CTL" token issue turn.test mallory --json >"$TC_DIR/other"
  [ "$(jq -r .kid "$TC_DIR/first")" != "$(jq -r .kid "$TC_DIR/second")" ]
  probe "$TC_DIR/first" --renew "$TC_DIR/second"
  [ "$(value '[.steps[].step] | index("after-renewal") != null')" = true ]
  probe "$TC_DIR/first" --renew "$TC_DIR/other" --expect-error 441
  # the same key is one row, sealed, and disturbs no command
  [ "$(sql "SELECT wrapped FROM turncred.key WHERE use = 'tag'")" = "$before" ]
  [ "$(sql "SELECT refused_rows FROM turncred.instance WHERE id = 'main'")" = 0 ]
  run ! grep -q subject-tag "$TC_DIR/servers/main/log"
  ctl key list turn.test
  [ "$(value '[.[] | select(.use == "tag")] | length')" = 1 ]
  [ "$(value '.[] | select(.use == "tag") | .kid')" = subject-tag ]
}

@test "the key of subject tags: not rotated, disabled or added by hand, removed only when told twice" {
  local options
  while read -r options; do
    # shellcheck disable=SC2086
    run ! ctl $options
    grep -q 'subject' "$TC_DIR/err"
  done <<'LINES'
key rotate turn.test --use tag
key disable turn.test subject-tag
key set turn.test subject-tag --accept-until 1h
key remove turn.test subject-tag
LINES
  run ! ctl key add turn.test subject-tag
  run ! ctl key add turn.test --use tag
  "$CTL" token issue turn.test alice --json >"$TC_DIR/first"
  ctl key remove turn.test subject-tag --now
  "$CTL" token issue turn.test alice --json >"$TC_DIR/second"
  probe "$TC_DIR/first" --renew "$TC_DIR/second" --expect-error 441
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 1 ]
}

@test "a key of subject tags that cannot be made or read: nothing is issued, and the error names the remedy" {
  ctl realm add tags.test --mechanisms token
  ctl key add tags.test g1
  sql "ALTER TABLE turncred.key ADD CONSTRAINT no_tags CHECK (use <> 'tag') NOT VALID"
  run ! ctl token issue tags.test alice
  grep -q no_tags "$TC_DIR/err"
  sql 'ALTER TABLE turncred.key DROP CONSTRAINT no_tags'
  ctl token issue tags.test alice
  sql "UPDATE turncred.key SET kek_id = 'elsewhere' WHERE realm = 'tags.test' AND use = 'tag'"
  run ! ctl token issue tags.test alice
  grep -q 'sealed under key encryption key "elsewhere".*give its file' "$TC_DIR/err"
  sql "UPDATE turncred.key SET kek_id = 'main', wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) WHERE realm = 'tags.test' AND use = 'tag'"
  run ! ctl token issue tags.test alice
  grep -q 'does not open under key encryption key "main".*altered' "$TC_DIR/err"
  [ "$(sql "SELECT count(*) FROM turncred.issue_log WHERE realm = 'tags.test'")" = 1 ]
  ctl key remove tags.test subject-tag --now
  ctl token issue tags.test alice
}

@test "issuers make the key of subject tags when they first need it, and all issuers use the same key" {
  local i pids=() tags
  sql "CREATE ROLE issuer1 LOGIN IN ROLE turncred_issuer"
  echo "own $(id -un) issuer1" >>"$TC_DIR/pg/data/pg_ident.conf"
  sql 'SELECT pg_reload_conf()' >/dev/null
  wait_for 5 psql -XqAtU issuer1 -c 'SELECT 1'
  ctl realm add fresh.test --mechanisms token
  ctl key add fresh.test f1
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'fresh.test'")" = 1 ]
  for i in 1 2 3 4 5 6; do
    "$CTL" token issue fresh.test alice --database "host=$PGHOST dbname=turncred user=issuer1" --json >"$TC_DIR/fresh$i" 3>&- &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i"; done
  tags=$(for i in 1 2 3 4 5 6; do jq -r .key "$TC_DIR/fresh$i" | base64 -d | head -c 4 | xxd -p; done | sort -u)
  echo "$tags"
  [ "$(wc -l <<<"$tags")" = 1 ]
  # without tags it is not needed
  ctl realm add bare.test --mechanisms token --subject-tag no
  ctl key add bare.test b1
  ctl token issue bare.test alice
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'bare.test'")" = 1 ]
  # a plain realm keeps it plain
  ctl realm add plain.test --mechanisms token --at-rest plain
  sql "SELECT turncred.key_add_plain('plain.test', 'p1', 'token', 'A128GCM', decode(md5('p1'), 'hex'))" >/dev/null
  ctl token issue plain.test alice
  [ "$(sql "SELECT octet_length(plain) FROM turncred.key WHERE realm = 'plain.test' AND use = 'tag'")" = 32 ]
  ctl realm list
  [ "$(value '.[] | select(.name == "plain.test") | .keys')" = 1 ]
  ctl key remove plain.test p1 --now
  ctl realm remove plain.test
  ctl realm remove fresh.test --with-contents
  ctl realm remove bare.test --with-contents
}

# Every login with whatever signs at that moment: results in $TC_DIR/logins, a line each.
login_until_stopped() {
  local kind
  while [[ ! -e $TC_DIR/stop ]]; do
    for kind in token derived; do
      if [[ $kind == token ]]; then "$CTL" token issue turn.test hugo --json; else "$CTL" credential issue turn.test hugo --json; fi |
        "$CTL" probe --server "127.0.0.1:$(server_port main)" --credential - --allocate-only --json >"$TC_DIR/login" 2>&1
      echo "$kind ${PIPESTATUS[*]} $(jq -c .error "$TC_DIR/login" 2>/dev/null)" >>"$TC_DIR/logins"
    done
  done
}

@test "key rotate under logins: three rotations of both kinds, and no login fails" {
  local use i logins
  rm -f "$TC_DIR/stop" "$TC_DIR/logins"
  sql "DELETE FROM turncred.key WHERE use = 'derived' AND state = 'retired'"
  "$CTL" credential issue turn.test hugo --json >"$TC_DIR/oldest"
  login_until_stopped 3>&- 4>&- &
  logins=$!
  for i in 1 2 3; do
    for use in token derived; do
      ctl key rotate turn.test --use $use --wait 20s
      [ "$(value .complete)" = true ]
    done
  done
  touch "$TC_DIR/stop"
  wait $logins
  echo "$(wc -l <"$TC_DIR/logins") logins"
  [ "$(wc -l <"$TC_DIR/logins")" -ge 10 ]
  not grep -v ' 0 0 null$' "$TC_DIR/logins"
  # servers try four derived keys, say: one more would shut out what the oldest signed
  ctl realm set turn.test --keys-tried 4
  probe "$TC_DIR/oldest" --allocate-only
  local rc=0
  ctl key rotate turn.test --use derived --wait 20s || rc=$?
  [ "$rc" = 1 ]
  grep -q 'wait until 20..-' "$TC_DIR/err"
  run ! ctl key add turn.test one-more --use derived
  probe "$TC_DIR/oldest" --allocate-only
  sql "UPDATE turncred.key SET accept_until = now() - interval '1 second', sign_until = now() - interval '1 second' WHERE use = 'derived' AND state = 'retired'"
  ctl key rotate turn.test --use derived --wait 20s
}

@test "key rotate: waits for one that lags, names it, and goes on where it stopped" {
  local rc=0 kid
  sql "INSERT INTO turncred.instance (id, kind, progress, last_seen) VALUES ('laggard', 'issuer', '1', now() - interval '1 day')"
  ctl token issue turn.test alice
  kid=$(value .kid)
  "$CTL" key rotate turn.test --wait 2s --kid fourth --json >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 5 ]
  grep -q laggard "$TC_DIR/err"
  [ "$(value .state)" = published ]
  [ "$(value '.late | join(" ")')" = laggard ]
  ctl token issue turn.test alice
  [ "$(value .kid)" = "$kid" ]
  ctl key rotate turn.test --wait 20s --without laggard
  [ "$(value .kid)" = fourth ]
  [ "$(value .complete)" = true ]
  ctl server forget laggard
}

@test "key rotate: two at once leave a key that signs, and none half done" {
  local before rc=0
  before=$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'turn.test' AND use = 'token'")
  "$CTL" key rotate turn.test --wait 20s --json >"$TC_DIR/a" 2>"$TC_DIR/a.err" 3>&- 4>&- &
  "$CTL" key rotate turn.test --wait 20s --json >"$TC_DIR/b" 2>"$TC_DIR/b.err" || rc=$?
  wait $! || true
  cat "$TC_DIR"/[ab] "$TC_DIR"/[ab].err
  # one of them may have been told to try again; whatever happened, one key signs and it works
  jq -e .complete "$TC_DIR/a" || jq -e .complete "$TC_DIR/b"
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'turn.test' AND use = 'token'")" -le $((before + 2)) ]
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE realm = 'turn.test' AND use = 'token' AND state = 'published'")" = 0 ]
  ctl token issue turn.test alice
  cp "$TC_DIR/out" "$TC_DIR/token"
  probe "$TC_DIR/token" --allocate-only
}

@test "kek rewrap: online, with both keys in a folder, then without the old one" {
  ctl token issue turn.test alice
  cp "$TC_DIR/out" "$TC_DIR/token"
  ctl credential push turn.test frank --wait 10s
  cp "$TC_DIR/out" "$TC_DIR/frank"
  # the user id is sealed in with the password: a rewrap that forgets it makes a row that nobody can open
  ctl credential push turn.test gina-phone --user gina --wait 10s
  cp "$TC_DIR/out" "$TC_DIR/gina"
  ctl kek generate "$TC_DIR/kek/second"
  local rc=0
  "$CTL" kek rewrap second --kek "$TC_DIR/kek" --json >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 1 ]
  grep -q 'do not hold key encryption key "second".*main' "$TC_DIR/err"
  restart_with_kek "$TC_DIR/kek"
  ctl kek rewrap second --kek "$TC_DIR/kek"
  [ "$(value .failed)" = 0 ]
  [ "$(value .keys)" -ge 8 ]
  [ "$(value .credentials)" -ge 1 ]
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE kek_id <> 'second'")" = 0 ]
  synced
  probe "$TC_DIR/token"
  probe "$TC_DIR/frank"
  probe "$TC_DIR/gina"
  restart_with_kek "$TC_DIR/kek/second"
  probe "$TC_DIR/token"
  probe "$TC_DIR/frank"
  probe "$TC_DIR/gina"
  [ "$(sql 'SELECT refused_rows FROM turncred.instance')" = 0 ]
}
restart_with_kek() {
  server_stop main
  sed -i "s,^kek = .*,kek = $1," "$TC_DIR/servers/main/module.conf"
  server_run main "$TC_TURNSERVER"
  synced
}

@test "a realm with a key encryption key of its own: a server without that key serves all other realms" {
  local credential
  export TURNCRED_KEK=$TC_DIR/kek
  ctl kek generate "$TC_DIR/kek/own"
  ctl realm add own.test --origin https://own.example --mechanisms derived,pushed --kek-id own
  ctl key add own.test o1 --use derived
  [ "$(value .kek_id)" = own ]
  ctl credential push own.test olga --wait 0s
  cp "$TC_DIR/out" "$TC_DIR/olga"
  [ "$(sql "SELECT kek_id FROM turncred.credential WHERE realm = 'own.test'")" = own ]
  "$CTL" credential issue own.test bob --json >"$TC_DIR/derived"
  # the server has kek/second alone: two rows are refused and named, turn.test goes on
  synced
  ctl token issue turn.test alice
  cp "$TC_DIR/out" "$TC_DIR/token"
  probe "$TC_DIR/token" --allocate-only
  log_has main 'own.test/o1 is refused: .*key encryption key own, which this program does not have'
  log_has main 'own.test/olga is refused: .*key encryption key own, which this program does not have'
  [ "$(grep -c 'own.test/o1 is refused' "$TC_DIR/servers/main/log")" = 1 ]
  probe "$TC_DIR/derived" --origin https://own.example --expect-error 401
  restart_with_kek "$TC_DIR/kek"
  for credential in derived olga; do probe "$TC_DIR/$credential" --origin https://own.example --allocate-only; done
  probe "$TC_DIR/token" --allocate-only
  # changed for this realm alone, while the server runs
  cp -p "$TC_DIR/kek/own" "$TC_DIR/own.before"
  ctl kek generate "$TC_DIR/kek/own2"
  kill -USR2 "$(<"$TC_DIR/servers/main/pid")"
  wait_for 5 listed '.kek_ids | index("own2")'
  ctl kek rewrap own2 --realm own.test
  [ "$(value .keys)" = 1 ]
  [ "$(value .credentials)" = 1 ]
  [ "$(sql "SELECT count(*) FROM turncred.key WHERE kek_id = 'own2'")" = 1 ]
  rm "$TC_DIR/kek/own"
  kill -USR2 "$(<"$TC_DIR/servers/main/pid")"
  wait_for 5 listed '.kek_ids | index("own") | not'
  synced
  for credential in derived olga; do probe "$TC_DIR/$credential" --origin https://own.example --allocate-only; done
  [ "$(sql "SELECT refused_rows FROM turncred.instance WHERE id = 'main'")" = 0 ]
  ctl realm remove own.test --with-contents
  rm "$TC_DIR/kek/own2"
}

@test "two realms on one server: ORIGIN chooses, and keys of one realm do not work in the other" {
  export TURNCRED_KEK=$TC_DIR/kek/second
  ctl realm add b.test --origin https://b.example --mechanisms token,derived
  ctl key add b.test b1
  ctl key add b.test b2 --use derived
  "$CTL" token issue b.test bob --json >"$TC_DIR/token"
  "$CTL" credential issue b.test bob --json >"$TC_DIR/derived"
  synced
  for credential in token derived; do
    probe "$TC_DIR/$credential" --origin https://b.example --allocate-only
    [ "$(value .realm)" = b.test ]
    probe "$TC_DIR/$credential" --expect-error 401
    [ "$(value .realm)" = turn.test ]
  done
  ctl realm remove b.test --with-contents
}

@test "backup and restore: the copy issues credentials that the servers accept; without the kek it is useless" {
  export TURNCRED_KEK=$TC_DIR/kek/second
  ctl key add turn.test backup --save "$TC_DIR/backup-key"
  ctl credential push turn.test gerda --wait 10s
  cp "$TC_DIR/out" "$TC_DIR/gerda"
  pg_dump -Fc turncred >"$TC_DIR/dump"
  pg_dump --inserts turncred >"$TC_DIR/dump.sql"
  not grep -qi "$(xxd -p -c 100 <"$TC_DIR/backup-key")" "$TC_DIR/dump.sql"
  not grep -qF -e "$(value .password)" "$TC_DIR/dump.sql" # -e: a password may begin with "-"
  not grep -qi "$(printf 'gerda:turn.test:%s' "$(value .password)" | md5sum | cut -d' ' -f1)" "$TC_DIR/dump.sql"
  PGDATABASE=postgres sql 'CREATE DATABASE restored'
  pg_restore -d restored "$TC_DIR/dump"
  export TURNCRED_DATABASE="dbname=restored"
  ctl schema status
  [ "$(value .current)" = true ]
  ctl token issue turn.test alice --kid backup
  cp "$TC_DIR/out" "$TC_DIR/token"
  probe "$TC_DIR/token" --allocate-only
  ctl credential list turn.test --user gerda
  [ "$(value '.[0].is_sealed')" = true ]
  # the same rows without the key encryption key, and with another one
  local rc=0
  TURNCRED_KEK='' "$CTL" token issue turn.test alice --kid backup >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 2 ] && [ ! -s "$TC_DIR/out" ]
  mkdir -p "$TC_DIR/foreign"
  ctl kek generate "$TC_DIR/foreign/second"
  rc=0
  "$CTL" token issue turn.test alice --kid backup --kek "$TC_DIR/foreign/second" >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?
  [ "$rc" = 1 ] && [ ! -s "$TC_DIR/out" ]
  grep -q 'does not open it' "$TC_DIR/err"
  # the octets in the row are no key: as K or as a password they log nobody in
  sql "SELECT encode(substr(wrapped, 1, 32), 'hex') FROM turncred.key WHERE kid = 'backup'" | xxd -r -p >"$TC_DIR/stolen"
  head -c 20 /dev/urandom >"$TC_DIR/mac"
  "$CTL" token encode --key-file "$TC_DIR/stolen" --server-name turn.test --mac-key-file "$TC_DIR/mac" --lifetime 600 --json |
    jq --arg key "$(base64 <"$TC_DIR/mac")" '. + {kid: "backup", key: $key}' >"$TC_DIR/forged"
  probe "$TC_DIR/forged" --expect-error 401
  unset TURNCRED_DATABASE
  ctl key disable turn.test backup
  # the octets in a derived key's row do not either; credentials that turnload makes with the right octets work
  sql "DELETE FROM turncred.key WHERE use = 'derived' AND state = 'retired'"
  ctl key add turn.test stolen --use derived --save "$TC_DIR/right-key"
  synced
  sql "SELECT encode(substr(wrapped, 1, 32), 'hex') FROM turncred.key WHERE kid = 'stolen'" | xxd -r -p >"$TC_DIR/stolen-derived"
  local load=("$TC_BUILD/tests/bench/turnload" --server "127.0.0.1:$(server_port main)" --mint derived --count 3)
  "${load[@]}" --key-file "$TC_DIR/right-key"
  "${load[@]}" --key-file "$TC_DIR/stolen-derived" --expect 401 --json | jq -e '.expected["allocate 401"] == 3 and .completed == 0'
  ctl key disable turn.test stolen
  # nor anything in a pushed credential's row: no 16 octets of it are the key of MESSAGE-INTEGRITY
  sql "SELECT encode(sealed, 'hex') FROM turncred.credential WHERE username = 'gerda'" | xxd -r -p >"$TC_DIR/stolen-credential"
  turn_step main no_key_in_the_row "$(jq -r .password "$TC_DIR/gerda")"
}

# found RESULT TEXT: doctor has such a finding
found() {
  cat "$TC_DIR/out" # shown when it is not
  jq -e --arg r "$1" --arg t "$2" '[.[] | select(.result == $r and (.finding | test($t)))] | length > 0' "$TC_DIR/out"
}

@test "doctor: all is well, then one fault after another is found and named" {
  local rc=0
  export TURNCRED_KEK=$TC_DIR/kek/second TURNCRED_SCHEMA_DIR=$TC_TOP/plugin/schema
  ctl maintain
  "$CTL" doctor --server "127.0.0.1:$(server_port main)" --json >"$TC_DIR/out"
  [ "$(value '[.[] | select(.result == "FAILED")] | length')" = 0 ]
  found ok 'server "main" is current'
  found ok 'refuses users without a credential'
  found ok 'opens all'
  doctor() { rc=0; "$CTL" doctor "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err" || rc=$?; [ "$rc" = 1 ]; }
  # a key that was moved from another row does not open; the server says so too
  sql "INSERT INTO turncred.key (realm, kid, use, alg, kek_id, wrapped) SELECT realm, 'swapped', use, alg, kek_id, wrapped FROM turncred.key WHERE kid = 't1'"
  synced
  doctor
  found FAILED 'key "swapped".*does not open'
  wait_for 15 refused_by_server
  doctor
  found FAILED '"main" could not use 1 rows'
  sql "DELETE FROM turncred.key WHERE kid = 'swapped'"
  sql "INSERT INTO turncred.instance (id, kind, progress, last_seen) VALUES ('gone', 'issuer', '1', now() - interval '1 hour')"
  doctor --server 127.0.0.1:1
  found FAILED '"gone" was last heard of'
  found FAILED '127.0.0.1:1'
  sql "DELETE FROM turncred.instance WHERE id = 'gone'"
  # an issuer over TLS: ready, not ready, and a certificate that ends soon
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$TC_DIR/key.pem" -out "$TC_DIR/cert.pem" \
    -days 10 -subj /CN=issuer -addext subjectAltName=IP:127.0.0.1 2>/dev/null
  local issuer port
  port=$(free_port)
  mkdir "$TC_DIR/www"
  echo ready >"$TC_DIR/www/readyz"
  (cd "$TC_DIR/www" && exec openssl s_server -quiet -accept "127.0.0.1:$port" -cert "$TC_DIR/cert.pem" -key "$TC_DIR/key.pem" -WWW) >/dev/null 2>&1 3>&- 4>&- &
  issuer=$!
  wait_for 10 listens "$port"
  doctor_or_not --issuer "127.0.0.1:$port" --ca-file "$TC_DIR/cert.pem"
  found ok "127.0.0.1:$port is ready"
  found warning 'the certificate of .* ends'
  doctor_or_not --issuer "127.0.0.1:$port"
  found FAILED 'certificate of the server'
  kill $issuer
  wait $issuer || true
  doctor_or_not --issuer "127.0.0.1:$port" --ca-file "$TC_DIR/cert.pem"
  found FAILED 'refused'
  ctl realm add keyless --mechanisms derived
  doctor
  found FAILED '"keyless" offers derived, but no'
  ctl realm remove keyless
  # imported keys are accepted, and nothing here signs with them: a warning, until one of its own signs
  ctl realm add moved --mechanisms rest --at-rest plain
  sql "SELECT turncred.key_add_plain('moved', 'm1', 'rest', 'sha1', 'north-wind-and-the-sun', 'none', 'timestamp:user-id', 'published')" >/dev/null
  sql "UPDATE turncred.key SET imported = true WHERE realm = 'moved'"
  doctor_or_not
  found warning '"moved": rest keys were imported and are accepted, but nothing here signs'
  run ! found FAILED '"moved"'
  sql "UPDATE turncred.key SET imported = false WHERE realm = 'moved'"
  doctor_or_not
  found FAILED '"moved" offers rest, but no rest key signs now'
  ctl realm remove moved --with-contents
  # keys that another program added: more than servers try
  ctl realm add crowded --mechanisms derived --at-rest plain
  sql "SELECT turncred.key_add_plain('crowded', 'c' || n, 'derived', 'sha256', sha256(n::text::bytea)) FROM generate_series(1, 5) n" >/dev/null
  ctl realm set crowded --keys-tried 4
  doctor
  found FAILED '"crowded" has 5 derived keys that are accepted'
  sql "SELECT turncred.key_set_state('crowded', 'c1', 'disabled')" >/dev/null
  "$CTL" doctor --json >"$TC_DIR/out" || true
  run ! found FAILED crowded
  # key set does not let a key back in beside four others, either
  run -1 "$CTL" key set crowded c1 --state active
  [[ $output == *'as many keys of this use'*'key disable'* ]]
  [ "$(sql "SELECT state FROM turncred.key WHERE kid = 'c1'")" = disabled ]
  ctl key set crowded c2 --accept-until now
  ctl key set crowded c1 --state retired
  run -1 "$CTL" key set crowded c2 --accept-until open
  [[ $output == *'as many keys of this use'* ]]
  run -1 "$CTL" key add crowded c6 --use derived
  [[ $output == *'has 4 derived keys that are accepted'*'--keys-tried'* ]]
  ctl realm set crowded --keys-tried 5
  ctl key add crowded c6 --use derived
  ctl key set crowded c1 --sign-until now
  ctl realm remove crowded --with-contents
  unset TURNCRED_KEK
  "$CTL" doctor --json >"$TC_DIR/out" || true
  found warning 'sealed keys were not tried'
}
doctor_or_not() { "$CTL" doctor "$@" --json >"$TC_DIR/out" 2>"$TC_DIR/err" || true; }
listens() { [[ $(ss -Hlnt "( sport = :$1 )") ]]; }
refused_by_server() { [ "$(sql "SELECT refused_rows FROM turncred.instance WHERE id = 'main'")" = 1 ]; }
