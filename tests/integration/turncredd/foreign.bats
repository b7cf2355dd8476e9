#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign TURN servers fetch their key by mutual TLS (RFC 7635 section 4.1.1) and open tokens with it;
# the authorization server describes itself (RFC 8414).

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  export TURNCRED_DATABASE="host=$TC_DIR/pg/run dbname=turncred user=postgres"
  realm_add turn.test "mechanisms='{token}'"
  key_add turn.test t1
  caller_add portal token,exchange turn.test,alpha.test,beta.test
  caller_add alpha stun-key alpha.test --certificate "$TC_DIR/tls/client.pem"
  caller_add beta stun-key '*' --certificate-subject CN=other,O=Test
  caller_add bearer stun-key alpha.test
  "$TC_CTL" realm add alpha.test --server-name turn.alpha.test --mechanisms token --foreign-caller alpha --json
  "$TC_CTL" realm add beta.test --server-name turn.beta.test --mechanisms token --foreign-caller beta --json
  "$TC_CTL" realm add derived.test --server-name turn.derived.test --mechanisms token --foreign-caller beta --json
  "$TC_CTL" key add alpha.test a1 --accept-until 2099-01-01 --json
  "$TC_CTL" key add beta.test b1 --alg A256CBC-HS512 --accept-until 2099-01-01 --json
  "$TC_CTL" key add derived.test h1 --derivation hkdf-sha256 --accept-until 2099-01-01 --json
  server_start main
  daemon_start main 'public_url = https://issuer.test:8443' "snapshot_file = $TC_DIR/daemons/main/state/snapshot" 'poll_interval = 200ms'
  daemon_start plain -tls_client_ca
  synced
  wait_for 10 tagged
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 4 ]; }
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

as_client() { call "$1" GET "$2" --cert "$TC_DIR/tls/client.pem" --key "$TC_DIR/tls/client.key"; }
as_other() { call "$1" GET "$2" --cert "$TC_DIR/tls/other.pem" --key "$TC_DIR/tls/other.key"; }
at() { echo "/.well-known/stun-key?service=stun&name=$1"; }
token_for() {
  printf 'user = "portal:%s"\n' "$(key_of portal)" >"$TC_DIR/basic"
  call 200 POST /oauth2/token -K "$TC_DIR/basic" -d "grant_type=client_credentials&audience=$1&subject=alice"
}

# A TURN server of somebody else's: knows the URL, its name and its certificate, and cryptography.
foreign_server() { # CERTIFICATE NAME TOKEN-ANSWER
  /usr/bin/python3 "$BATS_TEST_DIRNAME/independent.py" foreign_server "$(<"$TC_DIR/daemons/main/port")" "$@"
}

@test "a foreign server fetches its key and opens what turncredd issued for it: A256GCM, A256CBC-HS512" {
  token_for turn.alpha.test
  cp "$TC_DIR/answer" "$TC_DIR/alpha"
  foreign_server client turn.alpha.test "$TC_DIR/alpha"
  token_for turn.beta.test
  foreign_server other turn.beta.test "$TC_DIR/answer"
  daemon_log_has main 'key a1 of realm alpha.test was told to caller alpha'
}

@test "no server of ours holds such a key: its token opens nothing here" {
  token_for turn.alpha.test
  probe main --expect-error 401
  token_for turn.test-server
  probe main
  [ "$(psql -XqAt "$TC_DATABASE" -c "SELECT string_agg(kid, ' ') FROM turncred.key")" = t1 ]
}

@test "each server's key is for its own caller, by certificate alone" {
  as_client 200 "$(at turn.alpha.test)"
  as_client 404 "$(at turn.beta.test)" && has_error not_found name
  as_other 404 "$(at turn.alpha.test)" && has_error not_found
  as_client 404 "$(at turn.test-server)" && has_error not_found
  as_client 404 "$(at nowhere)"
  CALLER=bearer call 403 GET "$(at turn.alpha.test)" && has_error access_denied certificate
  call 403 GET "$(at turn.alpha.test)"
  CALLER=portal as_client 200 "$(at turn.alpha.test)"
  call 403 GET "$(at turn.alpha.test)" --cert "$TC_DIR/tls/stranger.pem" --key "$TC_DIR/tls/stranger.key"
  DAEMON=plain as_client 403 "$(at turn.alpha.test)"
  # the certificate is right, the scope is not
  "$TC_CTL" caller remove bearer --json
  sql "UPDATE turncred.caller SET scopes = '{token}' WHERE name = 'beta'"
  wait_for 5 as_other_403 && has_error insufficient_scope stun-key
  sql "UPDATE turncred.caller SET scopes = '{stun-key}' WHERE name = 'beta'"
  wait_for 5 as_other_200
}
as_other_403() { as_other 403 "$(at turn.beta.test)" >/dev/null; }
as_other_200() { as_other 200 "$(at turn.beta.test)" >/dev/null; }

@test "bad questions, keys that RFC 7635 has no words for" {
  as_client 400 '/.well-known/stun-key?name=turn.alpha.test' && has_error invalid_request service
  as_client 400 '/.well-known/stun-key?service=http&name=turn.alpha.test' && has_error invalid_request service
  as_client 400 '/.well-known/stun-key?service=stun' && has_error invalid_request name
  as_client 404 "$(at turn.alpha.test)&kid=nothing" && has_error not_found kid
  as_client 404 "$(at turn.alpha.test)&kid=t1" && has_error not_found kid
  as_client 404 "$(at turn.alpha.test)&kid=subject-tag" && has_error not_found kid
  as_other 503 "$(at turn.derived.test)" && has_error temporarily_unavailable derivation
  call 405 POST /.well-known/stun-key -d x
  sql "UPDATE turncred.key SET accept_until = NULL WHERE kid = 'b1'"
  wait_for 5 no_end
  sql "UPDATE turncred.key SET state = 'disabled' WHERE kid = 'b1'"
  wait_for 5 no_key
  sql "UPDATE turncred.key SET state = 'active', accept_until = '2099-01-01' WHERE kid = 'b1'"
  wait_for 5 as_other_200
}
no_end() { as_other 503 "$(at turn.beta.test)" >/dev/null && has_error temporarily_unavailable accept-until >/dev/null; }
no_key() { as_other 503 "$(at turn.beta.test)" >/dev/null && has_error temporarily_unavailable 'key add' >/dev/null; }

@test "rotation: the next key is told before it is signed with, the old one is still to be had" {
  "$TC_CTL" key add alpha.test a2 --state published --not-before 2020-01-01 --accept-until 2099-01-01 --json
  wait_for 5 told a2
  token_for turn.alpha.test && [ "$(value .kid)" = a1 ]
  "$TC_CTL" key set alpha.test a2 --state active --json
  wait_for 10 signed_with_a2
  cp "$TC_DIR/answer" "$TC_DIR/alpha2"
  foreign_server client turn.alpha.test "$TC_DIR/alpha2"
  as_client 200 "$(at turn.alpha.test)&kid=a1" && [ "$(value .kid)" = a1 ]
}
told() { as_client 200 "$(at turn.alpha.test)" >/dev/null && [ "$(value .kid)" = "$1" ]; }
signed_with_a2() { token_for turn.alpha.test >/dev/null && [ "$(value .kid)" = a2 ]; }

@test "a realm with keys does not change hands; a caller that owns one is not removed" {
  run "$TC_CTL" realm set alpha.test --foreign-caller beta
  [ "$status" -ne 0 ] && [[ $output == *'belong to those who know them'* ]]
  run "$TC_CTL" realm set turn.test --foreign-caller beta
  [ "$status" -ne 0 ]
  run "$TC_CTL" realm set alpha.test --foreign-caller ''
  [ "$status" -ne 0 ]
  run "$TC_CTL" caller remove alpha
  echo "$output"
  [ "$status" -ne 0 ]
  [ "$("$TC_CTL" realm show alpha.test --json | jq -r .foreign_caller)" = alpha ]
}

@test "the authorization server describes itself" {
  call 200 GET /.well-known/oauth-authorization-server
  [ "$(value .issuer)" = https://issuer.test:8443 ]
  [ "$(value .token_endpoint)" = https://issuer.test:8443/oauth2/token ]
  [ "$(value '.grant_types_supported | join(" ")')" = client_credentials ]
  [ "$(value '.token_endpoint_auth_methods_supported | join(" ")')" = 'client_secret_basic client_secret_post tls_client_auth self_signed_tls_client_auth' ]
  # without an issuer it has no token of users to tell about
  [ "$(value 'has("introspection_endpoint") or has("introspection_endpoint_auth_methods_supported")')" = false ]
  DAEMON=plain call 404 GET /.well-known/oauth-authorization-server && has_error not_found public_url
  issuer portal https://127.0.0.1:1/
  daemon_start open 'public_url = https://issuer.test' "${ISSUER[@]}"
  DAEMON=open call 200 GET /.well-known/oauth-authorization-server
  [ "$(value '.grant_types_supported | join(" ")')" = 'client_credentials urn:ietf:params:oauth:grant-type:token-exchange' ]
  [ "$(value '.token_endpoint_auth_methods_supported | index("none") != null')" = true ]
  [ "$(value .introspection_endpoint)" = https://issuer.test/oauth2/introspect ]
  [ "$(value '.introspection_endpoint_auth_methods_supported | join(" ")')" = 'Bearer tls_client_auth self_signed_tls_client_auth' ]
  # as it says: a key, and no password of a client
  CALLER=portal DAEMON=open call 200 POST /oauth2/introspect -d 'token=x&realm=turn.test' && [ "$(value .active)" = false ]
  printf 'user = "portal:%s"\n' "$(key_of portal)" >"$TC_DIR/basic"
  CALLER='' DAEMON=open call 401 POST /oauth2/introspect -K "$TC_DIR/basic" -d 'token=x&realm=turn.test'
  sed 's,^public_url = .*,public_url = https://issuer.test/path,' "$TC_DIR/daemons/open/conf" >"$TC_DIR/try.conf"
  run "$TC_DAEMON" --config "$TC_DIR/try.conf" --check
  [ "$status" -eq 2 ] && [[ $output == *public_url* ]]
}

@test "the database is away, turncredd was killed: a foreign server still gets its key" {
  wait_for 10 kept
  daemon_kill main
  pg_stop "$TC_DIR/pg"
  daemon_run main
  as_client 200 "$(at turn.alpha.test)"
  token_for turn.alpha.test
  cp "$TC_DIR/answer" "$TC_DIR/alpha3"
  foreign_server client turn.alpha.test "$TC_DIR/alpha3"
  pg_restart
}
kept() {
  [ -s "$TC_DIR/daemons/main/state/callers" ] && [ -s "$TC_DIR/daemons/main/state/reserve" ] &&
    [ "$TC_DIR/daemons/main/state/snapshot" -nt "$TC_DIR/alpha2" ]
}

@test "no secret in the log" { no_secret_in_log; }

@test "all calls and answers are as openapi.yaml says" { openapi; }
