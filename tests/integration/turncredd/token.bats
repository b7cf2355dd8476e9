#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# POST /oauth2/token: the answers to a portal, and refused callers. PyJWT makes the JWTs.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token}'" "default_ttl=900"
  realm_add twin.test "mechanisms='{token}'" "server_name='twin-server'"
  realm_add twin2.test "mechanisms='{token}'" "server_name='twin-server'"
  realm_add plainer.test "mechanisms='{derived}'"
  key_add turn.test t1
  key_add twin.test t2 token A256CBC-HS512 hkdf-sha256
  key_add twin2.test t3
  caller_add portal token,exchange turn.test,twin.test,twin2.test,plainer.test
  caller_add exchanger exchange turn.test
  caller_add narrow token twin.test
  caller_add certified token turn.test --certificate "$TC_DIR/tls/client.pem"
  mkdir -p "$TC_DIR/jwt"
  portal keys
  server_start main
  issuer portal "$TC_DIR/jwt/jwks.json"
  daemon_start main 'subject_tokens = 0' "${ISSUER[@]}"
  issuer portal "$TC_DIR/jwt/jwks.json" 'realms = turn.test'
  daemon_start open 'cors_origins = https://portal.test https://b.test' "${ISSUER[@]}"
  daemon_start plain
  synced
  wait_for 5 tagged
}
tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag'")" = 3 ]; }
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

portal() { /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/portal.py" "$1" "$TC_DIR/jwt" "${@:2}"; }
# token STATUS [NAME=VALUE...]: the form; AS=NAME authenticates with Basic
token() {
  local want=$1 field fields=() auth=()
  shift
  for field in "$@"; do fields+=(--data-urlencode "$field"); done
  if [[ ${AS-} ]]; then
    printf 'user = "%s:%s"\n' "$AS" "$(key_of "$AS")" >"$TC_DIR/basic"
    auth=(-K "$TC_DIR/basic")
  fi
  call "$want" POST /oauth2/token "${auth[@]}" "${fields[@]}" ${ORIGIN:+-H "Origin: $ORIGIN"}
}
GRANT=grant_type=urn:ietf:params:oauth:grant-type:token-exchange
TYPE=subject_token_type=urn:ietf:params:oauth:token-type:access_token
# exchange STATUS [CLAIM=VALUE...]
exchange() {
  local want=$1
  shift
  portal token "$@" >"$TC_DIR/jwt/token"
  token "$want" $GRANT $TYPE audience=turn.test-server scope=stun "subject_token=$(<"$TC_DIR/jwt/token")"
}

# looked: the database has been looked at once more; each look at a change of callers is logged
looked() {
  local before
  before=$(grep -c 'turncredd: callers: ' "$TC_DIR/daemons/plain/log")
  caller_add "looked-$before" token turn.test
  looked_again() { (($(grep -c 'turncredd: callers: ' "$TC_DIR/daemons/plain/log") > before)); }
  wait_for 10 looked_again
}
@test "faults of two realms, two keys that are used up: each is said once, not at each look" {
  local realm
  sql 'REVOKE EXECUTE ON FUNCTION turncred.tag_key_add FROM turncred_issuer'
  for realm in worn1.test worn2.test; do
    realm_add $realm "mechanisms='{token}'"
    "$TC_CTL" key add $realm worn --state published --wait 0 --json >/dev/null
    sql "UPDATE turncred.key SET tokens_reserved = 4294967296, state = 'active' WHERE realm = '$realm'"
  done
  daemon_log_has plain 'key worn1.test/worn: no more tokens'
  daemon_log_has plain 'key worn2.test/worn: no more tokens'
  daemon_log_has plain 'realm worn1.test: the key of subject tags cannot be made: .*permission denied'
  looked && looked && looked
  [ "$(grep -c 'worn1.test/worn: no more tokens' "$TC_DIR/daemons/plain/log")" = 1 ]
  [ "$(grep -c 'worn2.test/worn: no more tokens' "$TC_DIR/daemons/plain/log")" = 1 ]
  [ "$(grep -c 'the key of subject tags cannot be made' "$TC_DIR/daemons/plain/log")" = 1 ]
  # the one that is left is said when the first is mended
  sql "UPDATE turncred.realm SET subject_tag = false WHERE name = 'worn1.test'" "UPDATE turncred.key SET subject_tag = false WHERE realm = 'worn1.test'"
  daemon_log_has plain 'realm worn2.test: the key of subject tags cannot be made: .*permission denied'
  sql 'GRANT EXECUTE ON FUNCTION turncred.tag_key_add TO turncred_issuer'
  worn_tagged() { [ "$(sql "SELECT count(*) FROM turncred.key WHERE use = 'tag' AND realm = 'worn2.test'")" = 1 ]; }
  wait_for 10 worn_tagged
}

@test "client credentials: RFC 7635 appendix B, and the server lets it in" {
  AS=portal token 200 grant_type=client_credentials audience=turn.test-server scope=stun subject=alice
  [ "$(value .token_type)" = pop ]
  [ "$(value .expires_in)" = 900 ]
  [ "$(value .kid)" = t1 ]
  [ "$(value .key | base64 -d | wc -c)" = 20 ]
  value .access_token | base64 -d >"$TC_DIR/octets"
  [ $(($(wc -c <"$TC_DIR/octets"))) = $((2 + 12 + 34 + 16)) ]
  [ "$(header Cache-Control)" = no-store ]
  [ "$(header Pragma)" = no-cache ]
  # no browser takes a token as an RTCIceServer: some throw, others send the kid as an ordinary username
  [ "$(value .iceServers)" = null ]
  [ "$(value '.uris[0]')" = 'turn:turn.test-server?transport=udp' ]
  probe main
  # opened by another implementation
  /usr/bin/python3 "$BATS_TEST_DIRNAME/independent.py" opens_token "$(value .access_token)" "$(value .key)"
}

@test "the request of RFC 7635 itself: aud, alg and token_type; a session key of 32 octets lets in" {
  local ask=(grant_type=client_credentials aud=turn.test-server subject=alice token_type=pop timestamp=1361471629)
  export AS=portal
  token 200 "${ask[@]}" alg=HMAC-SHA-256-128
  [ "$(value .alg)" = HMAC-SHA-256-128 ] && [ "$(value .key | base64 -d | wc -c)" = 32 ]
  probe main
  /usr/bin/python3 "$BATS_TEST_DIRNAME/independent.py" opens_token "$(value .access_token)" "$(value .key)"
  token 200 "${ask[@]}" alg=HMAC-SHA-1
  [ "$(value .alg)" = HMAC-SHA-1 ] && [ "$(value .key | base64 -d | wc -c)" = 20 ]
  token 400 "${ask[@]}" alg=HMAC-SHA-512 && has_error invalid_request 'alg: must be HMAC-SHA-1'
  token 400 "${ask[@]}" token_type=bearer && has_error invalid_request twice
  token 400 grant_type=client_credentials aud=turn.test-server token_type=bearer && has_error invalid_request 'token_type: must be pop'
  token 200 "${ask[@]}" audience=turn.test-server
  token 400 "${ask[@]}" audience=twin-server && has_error invalid_target aud
  token 400 grant_type=implicit aud=turn.test-server && has_error unsupported_grant_type 'from its portal'
  portal token >"$TC_DIR/jwt/token"
  AS=exchanger token 200 $GRANT $TYPE aud=turn.test-server alg=HMAC-SHA-256-128 "subject_token=$(<"$TC_DIR/jwt/token")"
  [ "$(value .key | base64 -d | wc -c)" = 32 ]
  probe main
}

@test "client authentication: Basic, body, certificate; wrong ones get invalid_client" {
  local ask=(grant_type=client_credentials audience=turn.test-server)
  token 200 "${ask[@]}" client_id=portal "client_secret=$(key_of portal)"
  AS= call 200 POST /oauth2/token -d 'grant_type=client_credentials&audience=turn.test-server' --cert "$TC_DIR/tls/client.pem" --key "$TC_DIR/tls/client.key"
  token 401 "${ask[@]}" && has_error invalid_client
  [[ $(header WWW-Authenticate) == Basic* ]]
  token 401 "${ask[@]}" client_id=exchanger "client_secret=$(key_of portal)" && has_error invalid_client
  token 401 "${ask[@]}" client_id=portal client_secret=wrong && has_error invalid_client
  AS=portal token 400 "${ask[@]}" client_id=portal "client_secret=$(key_of portal)" && has_error invalid_request client_secret
  call 401 POST /oauth2/token -H 'Authorization: Basic !!!' -d 'grant_type=client_credentials' && has_error invalid_client
  call 401 POST /oauth2/token --cert "$TC_DIR/tls/stranger.pem" --key "$TC_DIR/tls/stranger.key" -d 'grant_type=client_credentials&audience=turn.test-server'
  has_error invalid_client
}

@test "each documented error of RFC 6749 and 8693, once" {
  export AS=portal
  token 400 audience=turn.test-server && has_error invalid_request grant_type
  token 400 grant_type=password && has_error unsupported_grant_type
  token 400 grant_type=client_credentials && has_error invalid_target audience
  token 400 grant_type=client_credentials audience=nowhere && has_error invalid_target
  token 400 grant_type=client_credentials audience=twin-server && has_error invalid_target several
  token 200 grant_type=client_credentials audience=twin-server realm=twin.test
  token 400 grant_type=client_credentials audience=plainer.test-server && has_error invalid_target token
  token 400 grant_type=client_credentials audience=turn.test-server scope=admin && has_error invalid_scope
  token 400 grant_type=client_credentials audience=turn.test-server audience=x && has_error invalid_request twice
  token 400 grant_type=client_credentials resource=https://turn.test && has_error invalid_target resource
  call 415 POST /oauth2/token -H 'Content-Type: application/json' -d '{}'
  call 405 GET /oauth2/token
  AS=narrow token 400 grant_type=client_credentials audience=turn.test-server && has_error invalid_target
  AS=exchanger token 400 grant_type=client_credentials audience=turn.test-server && has_error unauthorized_client
  portal token >"$TC_DIR/jwt/token"
  token 400 $GRANT audience=turn.test-server && has_error invalid_request subject_token
  token 400 $GRANT subject_token_type=urn:ietf:params:oauth:token-type:saml2 "subject_token=$(<"$TC_DIR/jwt/token")" audience=turn.test-server &&
    has_error invalid_request subject_token_type
  token 400 $GRANT $TYPE "subject_token=$(<"$TC_DIR/jwt/token")" audience=turn.test-server actor_token=x && has_error invalid_request actor_token
  token 400 $GRANT $TYPE "subject_token=$(<"$TC_DIR/jwt/token")" audience=turn.test-server requested_token_type=urn:ietf:params:oauth:token-type:jwt &&
    has_error invalid_request requested_token_type
  DAEMON=plain token 400 $GRANT $TYPE "subject_token=$(<"$TC_DIR/jwt/token")" audience=turn.test-server && has_error unsupported_grant_type
}

@test "token exchange: RSA and EC, and the server lets it in" {
  export AS=exchanger
  exchange 200
  [ "$(value .issued_token_type)" = urn:ietf:params:oauth:token-type:access_token ]
  probe main
  exchange 200 key=ec kid=ec alg=ES256 typ=application/at+jwt 'aud=["x", "https://issuer.test"]' sub=491711234567
  probe main --transport tcp
  wait_for 5 logged
}
logged() { [ "$(sql "SELECT count(*) FROM turncred.issue_log WHERE kind = 'token' AND subject = '491711234567' AND caller = 'exchanger' AND provider = 'portal' AND fingerprint ~ '^[0-9a-f]{32}$'")" = 1 ]; }

@test "subject tokens that are refused: nothing is issued, the daemon lives" {
  local before
  export AS=exchanger
  wait_for 5 all_delivered
  before=$(sql "SELECT count(*) FROM turncred.issue_log")
  exchange 400 exp=-60 && has_error invalid_request expired
  exchange 400 exp= && has_error invalid_request exp
  exchange 400 nbf=60 && has_error invalid_request nbf
  exchange 400 iat=60 && has_error invalid_request iat
  exchange 400 iss=https://evil.test && has_error invalid_request 'iss is "https://evil.test", and this service wants "https://portal.test" .url of .issuer portal..'
  exchange 400 iss=https://portal.test/ && has_error invalid_request 'they differ in the slash at the end'
  exchange 400 iss= && has_error invalid_request iss
  exchange 400 'aud=["https://other.test", "x"]' && has_error invalid_request 'aud is ."https://other.test","x"., and this service wants "https://issuer.test" .audience of .issuer portal..'
  # of what a stranger has written alg, typ and iss alone are repeated
  exchange 400 key=rsa2 aud=https://evil.test && has_error invalid_request 'signature is wrong under the key of its kid .*jwks.$'
  exchange 400 aud= && has_error invalid_request aud
  exchange 400 sub= && has_error invalid_request 'names the user'
  exchange 400 typ=JWT && has_error invalid_request typ
  exchange 400 alg=none && has_error invalid_request algorithm
  exchange 400 alg=HS256 && has_error invalid_request algorithm
  exchange 400 alg=RS512 && has_error invalid_request algorithm
  exchange 400 alg=PS256 && has_error invalid_request algorithm
  exchange 400 key=rsa2 && has_error invalid_request signature
  exchange 400 key=rsa2 kid=rsa2 && has_error invalid_request 'key set'
  exchange 400 kid=ec && has_error invalid_request 'another algorithm'
  exchange 400 key=ec kid=rsa alg=ES256 && has_error invalid_request 'another algorithm'
  exchange 400 key=small kid=small && has_error invalid_request 'key set'
  exchange 400 key=rsa2 kid= && has_error invalid_request 'it names no kid, and its signature is wrong under each of the 1 keys'
  # a key that the token brings along is not looked at
  /usr/bin/python3 "$BATS_TEST_DIRNAME/independent.py" jwt_with_its_key >"$TC_DIR/jwt/token"
  token 400 $GRANT $TYPE audience=turn.test-server "subject_token=$(<"$TC_DIR/jwt/token")" && has_error invalid_request signature
  # cut, changed, rubbish
  portal token >"$TC_DIR/jwt/token"
  for rubbish in x a.b.c .. "$(sed 's/\.[^.]*$//' "$TC_DIR/jwt/token")" "$(sed 's/\.[^.]*$/./' "$TC_DIR/jwt/token")" \
    "$(sed 's/\(\.[^.]*\)\./\1A./' "$TC_DIR/jwt/token")" "$(printf 'e%.0s' {1..9000})"; do
    token 400 $GRANT $TYPE audience=turn.test-server "subject_token=$rubbish" && has_error invalid_request subject_token
  done
  daemon_alive main
  wait_for 5 all_delivered
  [ "$(sql "SELECT count(*) FROM turncred.issue_log")" = "$before" ]
}
all_delivered() { [ "$(curl -s "http://127.0.0.1:$(<"$TC_DIR/daemons/main/monitor")/readyz" | jq .undelivered)" = 0 ]; }

@test "keys of the portal are replaced by a reload" {
  export AS=exchanger
  cp "$TC_DIR/jwt/jwks.json" "$TC_DIR/jwt/kept.json"
  cp "$TC_DIR/jwt/jwks2.json" "$TC_DIR/jwt/jwks.json"
  kill -HUP "$(daemon_pid main)"
  wait_for 5 new_key
  exchange 400
  echo '{"keys": []}' >"$TC_DIR/jwt/jwks.json"
  kill -HUP "$(daemon_pid main)"
  daemon_log_has main 'jwks: .*settings in force stay'
  exchange 200 key=rsa2 kid=rsa2
  cp "$TC_DIR/jwt/kept.json" "$TC_DIR/jwt/jwks.json"
  kill -HUP "$(daemon_pid main)"
  wait_for 5 old_key
}

# set NAME=KID...: the portal's set from now on
set_jwks() {
  portal jwks "$@" >"$TC_DIR/jwt/jwks.json"
  : >"$TC_DIR/daemons/main/log"
  kill -HUP "$(daemon_pid main)"
  daemon_log_has main 'have been read again'
}

@test "all keys that fit a kid are tried, those without a kid too, and a token without kid gets all of its kind" {
  local n twins=() many=()
  export AS=exchanger
  cp "$TC_DIR/jwt/jwks.json" "$TC_DIR/jwt/kept.json"
  set_jwks rsa2=one rsa=one ec=one
  exchange 200 kid=one
  exchange 200 kid=one key=rsa2
  exchange 200 kid=one key=ec alg=ES256
  exchange 400 kid=other && has_error invalid_request 'key set'
  set_jwks rsa2=two rsa=
  exchange 200 kid=whatever
  exchange 200 kid=
  exchange 200 kid= key=rsa2
  exchange 400 kid=two && has_error invalid_request 'signature is wrong'
  for n in {1..8}; do twins+=(rsa2=one); done
  set_jwks "${twins[@]}" rsa=one
  exchange 400 kid=one && has_error invalid_request 'under the first 8 of 9 keys that fit'
  for n in {1..64}; do many+=("ed=e$n"); done
  set_jwks "${many[@]}" rsa=rsa rsa2=rsa2
  daemon_log_has main 'more than 64 usable keys: the last 2 are left out'
  exchange 400 && has_error invalid_request 'key set'
  cp "$TC_DIR/jwt/kept.json" "$TC_DIR/jwt/jwks.json"
  kill -HUP "$(daemon_pid main)"
  wait_for 5 old_key
}

@test "PS256 and EdDSA where they are allowed, and a list with commas" {
  export AS=exchanger DAEMON=modern
  portal jwks rsa=rsa ed=ed ed448=ed448 >"$TC_DIR/jwt/modern.json"
  printf '\xef\xbb\xbf' | cat - "$TC_DIR/jwt/modern.json" >"$TC_DIR/jwt/marked.json"
  issuer portal "$TC_DIR/jwt/marked.json" 'algorithms = PS256,PS512, EdDSA'
  daemon_start modern 'subject_tokens = 0' "${ISSUER[@]}"
  exchange 200 alg=PS256
  exchange 200 alg=PS512
  exchange 200 alg=EdDSA key=ed kid=ed
  exchange 200 alg=EdDSA key=ed448 kid=ed448
  exchange 400 alg=EdDSA key=ed kid=ed448 && has_error invalid_request 'signature is wrong'
  exchange 400 alg=PS384 && has_error invalid_request algorithm
  exchange 400 && has_error invalid_request algorithm
  daemon_stop modern
  "$TC_CTL" server forget issuer-modern
}

@test "a set that is none says which of its faults it has" {
  local conf=$TC_DIR/try.conf want text
  sed "s,^jwks = .*,jwks = $TC_DIR/jwt/bad.json," "$TC_DIR/daemons/main/conf" >"$conf"
  while IFS='|' read -r text want; do
    printf '%s' "$text" >"$TC_DIR/jwt/bad.json"
    run "$TC_DAEMON" --config "$conf" --check
    [ "$status" -eq 2 ] && [[ $output == *"$want"* ]] || { echo "$text: $output" && return 1; }
  done <<'FAULTS'
[{"kty":"RSA"}]|it is a list; a set is {"keys": [...]}
{"kty":"RSA","n":"x","e":"AQAB"}|it is one key; a set is
{"keys":[],"keys":[]}|duplicate object key
{"keys":{}}|it has no list "keys"
{"keys":[|it is not JSON: line 1
|it is not JSON
{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}]}|holds no RSA key
FAULTS
  rm "$TC_DIR/jwt/bad.json"
  run "$TC_DAEMON" --config "$conf" --check
  [[ $output == *'cannot be read: No such file'* ]]
}

new_key() { exchange 200 key=rsa2 kid=rsa2 >/dev/null; }
old_key() { exchange 200 >/dev/null; }

@test "a user exchanges its own token, for the realms of its issuer, from allowed origins alone" {
  local AS=
  export DAEMON=open
  exchange 200
  for realm in twin.test twin2.test plainer.test; do
    token 400 $GRANT $TYPE "realm=$realm" "subject_token=$(<"$TC_DIR/jwt/token")" && has_error invalid_target 'not open to users of the'
  done
  # a caller does not get further than the issuer, nor the issuer's users with a caller further than it
  AS=portal token 400 $GRANT $TYPE realm=twin.test "subject_token=$(<"$TC_DIR/jwt/token")" && has_error invalid_target
  AS=narrow token 400 $GRANT $TYPE realm=turn.test "subject_token=$(<"$TC_DIR/jwt/token")" && has_error unauthorized_client exchange
  ORIGIN=https://portal.test exchange 200
  [ "$(header Access-Control-Allow-Origin)" = https://portal.test ]
  ORIGIN=https://evil.test exchange 403 && has_error origin_not_allowed
  [ -z "$(header Access-Control-Allow-Origin)" ]
  call 204 OPTIONS /oauth2/token -H 'Origin: https://b.test' -H 'Access-Control-Request-Method: POST'
  [ "$(header Access-Control-Allow-Origin)" = https://b.test ]
  [[ $(header Access-Control-Allow-Methods) == *POST* ]]
  [[ $(header Vary) == *Origin* ]]
  call 403 OPTIONS /oauth2/token -H 'Origin: https://portal.test.evil.test' -H 'Access-Control-Request-Method: POST'
}

@test "the same subject has one tag, another has another; revoking a user refuses its tokens" {
  export AS=portal
  local tag
  token 200 grant_type=client_credentials audience=turn.test-server subject=frank && cp "$TC_DIR/answer" "$TC_DIR/one"
  tag=$(value .key | base64 -d | head -c 4 | xxd -p)
  token 200 grant_type=client_credentials audience=turn.test-server subject=frank
  [ "$(value .key | base64 -d | head -c 4 | xxd -p)" = "$tag" ]
  [ "$("$TC_CTL" token issue turn.test frank --database "$TC_ISSUER" --json | jq -r .key | base64 -d | head -c 4 | xxd -p)" = "$tag" ]
  token 200 grant_type=client_credentials audience=turn.test-server subject=grace
  [ "$(value .key | base64 -d | head -c 4 | xxd -p)" != "$tag" ]
  wait_for 5 all_delivered
  "$TC_CTL" revoke user turn.test frank --json
  cp "$TC_DIR/one" "$TC_DIR/answer"
  probe main --expect-error 401
  wait_for 5 refused_now
  has_error access_denied
}
refused_now() { token 403 grant_type=client_credentials audience=turn.test-server subject=frank >/dev/null; }

@test "no JWT, key or token in the log" {
  no_secret_in_log
  ! grep -Ff <(cut -d. -f2 "$TC_DIR/jwt/token") "$TC_DIR"/daemons/*/log
}

@test "all calls and answers are as openapi.yaml says" { openapi; }
