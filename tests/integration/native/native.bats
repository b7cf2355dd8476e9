#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: libnice, with patches/libnice-0.1.21
# A WebRTC library of others logs in with access tokens: plugin/examples/native, two agents with relays alone.

load ../lib
load ../turncredd/daemon

algorithms=(A256GCM A128GCM A256CBC-HS512)

setup_file() {
  daemon_up || return 0
  make_native || return
  local alg
  realm_add turn.test "mechanisms='{token}'" 'default_ttl=600'
  for alg in "${algorithms[@]}"; do
    key_add turn.test "$alg" token "$alg"
    key_add turn.test "$alg-hkdf" token "$alg" hkdf-sha256
  done
  realm_add brief.test "mechanisms='{token}'" 'default_ttl=8'
  key_add brief.test brief1
  realm_add none.test "mechanisms='{derived}'"
  caller_add native token turn.test,brief.test
  server_start main
  server_start brief -realm realm=brief.test
  server_start none -realm realm=none.test
  daemon_start main 'subject_tokens = 0'
  synced
  token_of turn.test bob --session-key-octets 20 >/dev/null # makes the subject-tag key
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

# make_native: libnice, built once and kept in build/libnice-patched; the example. TURNCRED_LIBNICE names another source.
make_native() {
  local nice=$TC_BUILD/libnice-patched options=()
  [[ -z ${TURNCRED_LIBNICE-} ]] || options=(--source "$TURNCRED_LIBNICE")
  "$TC_TOP/scripts/build-libnice" "${options[@]}" "$nice${TURNCRED_LIBNICE:+-other}" >"$TC_DIR/libnice.log" 2>&1 3>&- || { cat "$TC_DIR/libnice.log" && return 1; }
  nice=$(echo "$nice${TURNCRED_LIBNICE:+-other}"/lib/*-linux-*)
  # shellcheck disable=SC2046 # a list of words
  ${CC:-cc} -Wall -Wextra -Werror -O1 -g "$TC_TOP/plugin/examples/native/native.c" -o "$TC_DIR/native" \
    $(PKG_CONFIG_PATH=$nice/pkgconfig pkg-config --cflags --libs nice jansson libcurl) -Wl,-rpath,"$nice"
}

# token_of REALM USER [OPTION...]: a token's answer, as turncredd gives it
token_of() { "$TC_CTL" token issue "$@" --json --database "host=$TC_DIR/pg/run dbname=turncred user=issuer1"; }
# native SERVER [OPTION...]: its exit code and what it says
native() {
  timeout 60 "$TC_DIR/native" --port "$(server_port "$1")" --local 127.0.0.1 --audience turn.test-server --token "$TC_DIR/token" "${@:2}"
}

@test "each algorithm and derivation, session keys of 20 and 32 octets, over UDP and TCP" {
  local alg kid octets way
  for alg in "${algorithms[@]}"; do
    for kid in "$alg" "$alg-hkdf"; do
      for octets in 20 32; do
        token_of turn.test alice --kid "$kid" --session-key-octets "$octets" >"$TC_DIR/token"
        for way in '' --tcp; do
          echo "$kid $octets $way"
          # shellcheck disable=SC2086 # no word or one
          native main --seconds 1 $way
        done
      done
    done
  done
}

@test "what a client can be told: wrong key, expired, revoked, another server, no tokens; which kid" {
  token_of turn.test alice --kid A256GCM >"$TC_DIR/good"
  jq --arg key "$(head -c 20 /dev/urandom | base64)" '.key = $key' "$TC_DIR/good" >"$TC_DIR/token"
  run native main
  [ "$status" = 1 ] && [[ $output == *'kid A256GCM was refused (401)'* ]]
  log_has main 'reason=integrity_mismatch'

  jq '.kid = "nobody"' "$TC_DIR/good" >"$TC_DIR/token"
  run native main
  [ "$status" = 1 ] && [[ $output == *'kid nobody was refused (401)'* ]]
  log_has main 'reason=unknown_key'

  run native main --token /nowhere
  [ "$status" = 1 ] && [ "$output" = '/nowhere: cannot be read' ]
  echo x >"$TC_DIR/token"
  run native main
  [ "$status" = 1 ] && [ "$output" = "$TC_DIR/token: there is no token" ]
  jq '.expires_at = 1' "$TC_DIR/good" >"$TC_DIR/token"
  run native main
  [ "$status" = 1 ] && [ "$output" = 'token of kid A256GCM has run out: get a new one' ]

  cp "$TC_DIR/good" "$TC_DIR/token"
  run native main --audience elsewhere
  [ "$status" = 1 ] && [[ $output == *'kid A256GCM is for another server; this one calls itself turn.test-server'* ]]
  run native none
  [ "$status" = 1 ] && [[ $output == *'kid A256GCM is of no use: the server takes no tokens'* ]]

  "$TC_CTL" revoke user turn.test alice --database "host=$TC_DIR/pg/run dbname=turncred user=postgres"
  synced
  run native main
  [ "$status" = 1 ] && [[ $output == *'kid A256GCM was refused (401)'* ]]
  log_has main 'reason=revoked'
}

@test "a token that ran out on the way is refused by the server, one that runs out in use by the own clock" {
  token_of turn.test bob --lifetime 1 >"$TC_DIR/issued"
  jq '.expires_in = 600 | del(.expires_at)' "$TC_DIR/issued" >"$TC_DIR/token"
  sleep 7 # the token's second, and the server's 5
  run native main
  [ "$status" = 1 ] && [[ $output == *'was refused (401)'* ]]
  log_has main 'reason=expired'

  token_of turn.test bob --lifetime 2 >"$TC_DIR/token"
  run native main --seconds 4
  [ "$status" = 1 ] && [[ $output == *'has run out'* ]]
}

@test "OAuth from turncredd, renewed over more than three lifetimes under strict: nothing is lost" {
  key_of native >"$TC_DIR/secret"
  local way
  for way in '' --tcp; do
    # shellcheck disable=SC2086 # no word or one
    run timeout 100 "$TC_DIR/native" --port "$(server_port brief)" --local 127.0.0.1 --audience brief.test-server \
      --issuer "https://127.0.0.1:$(<"$TC_DIR/daemons/main/port")" --client native --secret "$TC_DIR/secret" \
      --ca "$TC_DIR/tls/ca.pem" --seconds 28 $way
    echo "$output"
    [ "$status" = 0 ]
    [[ $output =~ sent\ ([0-9]+),\ came\ back\ ([0-9]+),\ renewed\ ([0-9]+)\ times ]]
    [ "${BASH_REMATCH[1]}" -gt 1000 ] && [ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] && [ "${BASH_REMATCH[3]}" -ge 8 ]
  done
}
