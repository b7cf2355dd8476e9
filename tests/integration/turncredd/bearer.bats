#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# A user's own access token at POST /v1/realms/{realm}/credentials. PyJWT makes the tokens of two issuers.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  local realm
  for realm in turn.test other.test shut.test; do
    realm_add "$realm" "mechanisms='{token,derived,rest,pushed}'" "default_ttl=900"
    key_add "$realm" "d-$realm" derived
    key_add "$realm" "r-$realm" rest
  done
  realm_add pushes.test "mechanisms='{pushed}'"
  realm_add tokens.test "mechanisms='{token}'"
  caller_add edge derived,rest,push '*'
  caller_add asking exchange '*'
  caller_add narrow exchange turn.test
  # a key that turncredctl did not make, in the form of a token
  FOREIGN_KEY=ey.looks-like.a-token
  export FOREIGN_KEY
  sql "INSERT INTO turncred.caller (name, key_sha256, scopes, realms)
       VALUES ('foreign', sha256('$FOREIGN_KEY'), '{derived}', '{turn.test}')"
  mkdir -p "$TC_DIR/jwt"
  portal keys
  server_start main
  issuers
  daemon_start main 'cors_origins = https://app.test' 'subject_credentials = 0' "${ISSUERS[@]}"
  daemon_start tight 'subject_rate = 3' 'subject_credentials = 0' "${ISSUERS[@]}"
  daemon_start capped 'subject_credentials = 3' "${ISSUERS[@]}"
  daemon_start plain
  synced
}
setup() { daemon_ready; }
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

# portal writes at+jwt; idp writes JWT, names the user in oid, and may have other.test alone
issuers() {
  issuer portal "$TC_DIR/jwt/jwks.json" 'realms = turn.test pushes.test tokens.test'
  ISSUERS=("${ISSUER[@]}" '[issuer idp]' 'url = https://idp.test/' 'audience = api://turn' "jwks = $TC_DIR/jwt/jwks2.json"
    'realms = other.test' 'types = JWT' 'require_claim = scp=turn ver=2' 'user_claim = oid')
}
portal() { /usr/bin/python3 "$TC_TOP/tests/integration/turncredd/portal.py" "$1" "$TC_DIR/jwt" "${@:2}"; }
# bearer STATUS [CLAIM=VALUE...]: a token with these claims; REALM and BODY say what it asks for, OPTIONS are curl's
bearer() {
  local want=$1
  shift
  portal token "$@" >"$TC_DIR/jwt/token"
  with "$want" "$(<"$TC_DIR/jwt/token")"
}
IDP=(iss=https://idp.test/ aud=api://turn typ=JWT key=rsa2 kid=rsa2 scp='openid turn' ver=2 oid=0b2a)
# with STATUS TOKEN
with() {
  printf 'header = "Authorization: Bearer %s"\n' "$2" >"$TC_DIR/bearer"
  call_json "$1" POST "/v1/realms/${REALM-turn.test}/credentials" "${BODY-{\}}" -K "$TC_DIR/bearer" ${OPTIONS-}
}
all_delivered() { [ "$(curl -s "http://127.0.0.1:$(<"$TC_DIR/daemons/main/monitor")/readyz" | jq .undelivered)" = 0 ]; }

@test "a user's token gets a credential of the user's own, and the server lets it in" {
  bearer 201 sub=alice
  [ "$(value .kind)" = derived ] && [ "$(value .ttl)" = 900 ] && [[ $(value .username) == alice:* ]]
  [ "$(value '.iceServers[0].username')" = "$(value .username)" ]
  [ "$(header Cache-Control)" = no-store ]
  probe main
  BODY='{"user": "alice", "ttl": 60}' bearer 201 sub=alice
  [ "$(value .ttl)" = 60 ]
  BODY='{"kind": "rest"}' bearer 201 sub=alice
  probe main
  REALM=other.test bearer 201 "${IDP[@]}"
  [[ $(value .username) == 0b2a:* ]]
  wait_for 5 logged
  [ "$(sql "SELECT DISTINCT provider FROM turncred.issue_log WHERE realm = 'other.test'")" = idp ]
}
logged() { [ "$(sql "SELECT count(*) FROM turncred.issue_log WHERE subject = 'alice' AND caller = '' AND provider = 'portal'")" = 3 ]; }

@test "a pushed one where the realm offers that; a realm that offers tokens alone sends on" {
  REALM=pushes.test bearer 200 sub=paula
  [ "$(value .kind)" = pushed ] && [ "$(value .username)" = paula ]
  [ -n "$(value .password)" ] && [ -n "$(header Link)" ]
  BODY='{"kind": "pushed"}' bearer 200 sub=paula
  probe main
  [ "$(sql "SELECT DISTINCT caller || '/' || provider FROM turncred.issue_log WHERE subject = 'paula'")" = /portal ]
  REALM=tokens.test bearer 400 && has_error invalid_request 'offers none of derived, rest and pushed'
}

@test "Link tells a WHIP client the same servers (RFC 9725 section 4.6)" {
  bearer 201
  /usr/bin/python3 "$BATS_TEST_DIRNAME/link.py" "$TC_DIR/headers" "$TC_DIR/answer"
  CALLER=edge call_json 201 POST /v1/realms/turn.test/credentials '{"user": "bob"}'
  /usr/bin/python3 "$BATS_TEST_DIRNAME/link.py" "$TC_DIR/headers" "$TC_DIR/answer"
  CALLER=edge call_json 200 PUT /v1/realms/turn.test/credentials/bob '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}'
  [ -z "$(header Link)" ] # the caller has the password already
  CALLER=edge call_json 400 POST /v1/realms/turn.test/credentials '{}'
  [ -z "$(header Link)" ]
}

@test "a user gets nothing for another user, no name of its own choice, and no other endpoint" {
  BODY='{"user": "bob"}' bearer 403 sub=alice && has_error access_denied 'access token is of another user'
  BODY='{"username": "phone", "kind": "pushed"}' bearer 400 && has_error invalid_request username
  BODY='{"ttl": 100000000}' bearer 400 && has_error invalid_request ttl
  BODY='{"kind": "pushed", "max_bps": 100000000}' bearer 400 && has_error invalid_request 'limits are set by callers'
  BODY='{"max_allocations": 1}' bearer 400 && has_error invalid_request 'limits are set by callers'
  BODY='{"more": 1}' bearer 400 && has_error invalid_request more
  call_json 401 POST /v1/realms/turn.test/batch '{"requests": [{"user": "alice"}]}' -K "$TC_DIR/bearer"
  call_json 401 PUT /v1/realms/turn.test/credentials/alice '{"password": "Vb3q-7Lm0p_Xw9Zk2RtY5u"}' -K "$TC_DIR/bearer"
  call 401 DELETE /v1/realms/turn.test/credentials/alice -K "$TC_DIR/bearer"
  call 401 GET /metrics -K "$TC_DIR/bearer"
  call 401 GET '/?service=turn&username=alice' -K "$TC_DIR/bearer"
  DAEMON=plain with 401 "$(<"$TC_DIR/jwt/token")" && has_error invalid_token 'no caller has this key'
}

@test "the realms of its issuer alone, whether the realm exists or not" {
  REALM=other.test bearer 403 && has_error insufficient_scope 'users of .issuer portal. may not have this realm'
  [[ $(header WWW-Authenticate) == *insufficient_scope* ]]
  REALM=shut.test bearer 403 && has_error insufficient_scope
  REALM=none.test bearer 403 && has_error insufficient_scope
  REALM=turn.test bearer 403 "${IDP[@]}" && has_error insufficient_scope 'issuer idp'
}

@test "a caller's key is tried first, and what has its form is never a token" {
  CALLER=edge call_json 201 POST /v1/realms/turn.test/credentials '{"user": "bob"}'
  CALLER=edge call_json 400 POST /v1/realms/turn.test/credentials '{}' && has_error invalid_request 'user: is missing'
  with 401 "$(key_of edge | tr a-zA-Z n-za-mN-ZA-M)" && has_error invalid_token 'no caller has this key'
  BODY='{"user": "bob"}' with 201 "$FOREIGN_KEY"
  wait_for 5 all_delivered
  [ "$(sql "SELECT caller || '/' || provider FROM turncred.issue_log WHERE subject = 'bob' ORDER BY issued_at DESC LIMIT 1")" = foreign/ ]
}

@test "each token that is refused says why, and what was expected" {
  local id before
  wait_for 5 all_delivered
  before=$(sql "SELECT count(*) FROM turncred.issue_log")
  refused() { # TEXT CLAIM=VALUE...
    bearer 401 "${@:2}" && has_error invalid_token "$1" || { echo "not: $1" && return 1; }
    [[ $(header WWW-Authenticate) == 'Bearer realm="turncredd", error="invalid_token"' ]]
  }
  refused 'aud is "https://else.test", and this service wants "https://issuer.test" .audience of .issuer portal' aud=https://else.test
  refused 'iss is "https://evil.test", and this service wants "https://portal.test" or "https://idp.test/"' iss=https://evil.test
  refused 'iss is "https://idp.test", and .* "https://idp.test/" .url of .issuer idp.*differ in the slash at the end' iss=https://idp.test
  refused 'iss is missing' iss=
  refused 'typ is "JWT", and this service wants "at.jwt" .types of .issuer portal.*write at.jwt' typ=JWT
  refused 'typ is "at.jwt", and this service wants "JWT"' "${IDP[@]}" typ=at+jwt
  refused 'typ is "logout.jwt"' typ=logout+jwt
  refused 'typ is missing' typ=
  for id in nonce at_hash c_hash; do
    refused "it has the claim $id, so it is an ID token: send the access token" $id=x
    refused "it has the claim $id, so it is an ID token" "${IDP[@]}" $id=x
  done
  refused 'scp is missing, and this service wants "turn" .require_claim of .issuer idp' "${IDP[@]}" scp=
  refused 'scp is "turner openid", and' "${IDP[@]}" scp='turner openid'
  refused 'ver is "1", and this service wants "2"' "${IDP[@]}" ver=1
  refused 'it has expired .exp., [6-9][0-9] s ago' exp=-60 iat=-90
  refused 'not yet valid .nbf.' nbf=600 exp=900
  refused 'alg is "none", and this service wants "RS256 ES256" .algorithms' alg=none
  refused 'alg is "HS256"' alg=HS256
  refused 'signature is wrong under the key of its kid' key=rsa2
  refused 'signature is wrong|key set' "${IDP[@]}" key=rsa kid=rsa2
  refused 'its key is not in the issuer.s key set .jwks.' kid=nobody
  refused 'names the user .sub, user_claim of .issuer portal' sub=
  refused 'names the user .oid' "${IDP[@]}" oid=
  # one issuer's key is no other's
  refused 'key set' "${IDP[@]}" key=rsa kid=rsa
  with 401 ya29.opaque && has_error invalid_token 'opaque tokens, such as Google.s, cannot be checked'
  with 401 a.b.c && has_error invalid_token 'not a JWT'
  BODY='{"user": "a b"}' bearer 403
  bearer 400 sub='a b' && has_error invalid_request user
  wait_for 5 all_delivered
  [ "$(sql "SELECT count(*) FROM turncred.issue_log")" = "$before" ]
}

@test "a caller asks whose a token is, and no credential is made (RFC 7662)" {
  local before
  wait_for 5 all_delivered
  before=$(sql "SELECT count(*) FROM turncred.issue_log")
  introspect 200 turn.test sub=alice
  [ "$(value '[.active, .sub, .iss, .error_description] | tojson')" = '[true,"alice","https://portal.test",null]' ]
  introspect 200 other.test "${IDP[@]}" && [ "$(value .sub)" = 0b2a ]
  inactive 'signature is wrong' turn.test key=rsa2
  inactive 'it has expired .exp.' turn.test exp=-60 iat=-90
  inactive 'aud is "https://else.test"' turn.test aud=https://else.test
  inactive 'has the claim nonce, so it is an ID token' turn.test nonce=x
  inactive 'users of the token.s issuer may not have this realm' shut.test sub=alice
  inactive 'users of the token.s issuer may not have this realm' turn.test "${IDP[@]}"
  # bound to a certificate: the caller has shown another one, or none
  inactive 'client has shown none in TLS' turn.test "cnf={\"x5t#S256\": \"$(thumbprint client)\"}"
  CALLER=edge introspect 403 turn.test sub=alice && has_error insufficient_scope exchange
  CALLER=narrow introspect 403 other.test "${IDP[@]}" && has_error insufficient_scope realm
  CALLER='' introspect 401 turn.test sub=alice
  CALLER=narrow call 400 POST /oauth2/introspect -d realm=turn.test && has_error invalid_request token
  CALLER=narrow call 400 POST /oauth2/introspect -d token=x && has_error invalid_request realm
  DAEMON=plain inactive 'no issuer' turn.test sub=alice
  wait_for 5 all_delivered
  [ "$(sql "SELECT count(*) FROM turncred.issue_log")" = "$before" ]
}
# introspect STATUS REALM [CLAIM=VALUE...]
introspect() {
  portal token "${@:3}" >"$TC_DIR/jwt/token"
  CALLER=${CALLER-asking} call "$1" POST /oauth2/introspect -d "token=$(<"$TC_DIR/jwt/token")&realm=$2"
}
# inactive TEXT REALM [CLAIM=VALUE...]
inactive() {
  introspect 200 "${@:2}"
  [ "$(value '[.active, .sub] | tojson')" = '[false,null]' ] && [[ $(value .error_description) =~ $1 ]] || { cat "$TC_DIR/answer" && return 1; }
}

@test "a token that is bound to a certificate wants that certificate in TLS, and other proofs are refused by name" {
  local own other
  own=$(thumbprint client) other=$(thumbprint other)
  OPTIONS="--cert $TC_DIR/tls/client.pem --key $TC_DIR/tls/client.key" bearer 201 cnf="{\"x5t#S256\": \"$own\"}"
  bearer 401 cnf="{\"x5t#S256\": \"$own\"}" && has_error invalid_token 'client has shown none in TLS'
  OPTIONS="--cert $TC_DIR/tls/client.pem --key $TC_DIR/tls/client.key" bearer 401 cnf="{\"x5t#S256\": \"$other\"}" &&
    has_error invalid_token 'another client certificate'
  # who has signed the certificate is nobody's business (RFC 8705 section 3)
  own=$(thumbprint stranger)
  OPTIONS="--cert $TC_DIR/tls/stranger.pem --key $TC_DIR/tls/stranger.key" bearer 201 cnf="{\"x5t#S256\": \"$own\"}"
  bearer 401 cnf='{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}' &&
    has_error invalid_token 'proof of possession by jkt, and this service checks x5t#S256 .RFC 8705. alone'
  OPTIONS="--cert $TC_DIR/tls/stranger.pem --key $TC_DIR/tls/stranger.key" bearer 401 cnf="{\"x5t#S256\": \"$own\", \"jwk\": {}}" &&
    has_error invalid_token 'by jwk'
  bearer 401 cnf='{}' && has_error invalid_token 'names a proof'
  # the exchange does the same
  call 400 POST /oauth2/token --data-urlencode grant_type=urn:ietf:params:oauth:grant-type:token-exchange -d audience=turn.test-server \
    --data-urlencode subject_token_type=urn:ietf:params:oauth:token-type:access_token \
    --data-urlencode "subject_token=$(portal token 'cnf={"jkt": "x"}')"
  has_error invalid_request 'subject_token: cnf wants a proof of possession by jkt'
}
thumbprint() { openssl x509 -in "$TC_DIR/tls/$1.pem" -outform DER | openssl dgst -sha256 -binary | basenc --base64url | tr -d =; }

@test "pages of allowed origins ask, with the token, and read Link" {
  call 204 OPTIONS /v1/realms/turn.test/credentials -H 'Origin: https://app.test' -H 'Access-Control-Request-Method: POST' \
    -H 'Access-Control-Request-Headers: authorization,content-type'
  [ "$(header Access-Control-Allow-Origin)" = https://app.test ]
  [[ $(header Access-Control-Allow-Headers) == *Authorization*Content-Type* ]] && [[ $(header Access-Control-Allow-Methods) == *POST* ]]
  OPTIONS='-H Origin:https://app.test' bearer 201
  [ "$(header Access-Control-Allow-Origin)" = https://app.test ] && [[ $(header Access-Control-Expose-Headers) == *Link* ]]
  OPTIONS='-H Origin:https://app.test' bearer 401 exp=-60
  [ "$(header Access-Control-Allow-Origin)" = https://app.test ] # the page reads why
  OPTIONS='-H Origin:https://evil.test' bearer 403 && has_error origin_not_allowed
}

@test "rate and cap are the user's own" {
  local n
  export DAEMON=tight
  for n in 1 2 3; do bearer 201 sub=rita; done
  bearer 429 sub=rita && has_error too_many_requests 'too often' && [ -n "$(header Retry-After)" ]
  bearer 201 sub=ralf
  DAEMON=capped
  for n in 1 2 3; do bearer 201 sub=carl; done
  bearer 429 sub=carl && has_error too_many_requests 'as many unexpired credentials'
  [ "$(header Retry-After)" -gt 300 ]
  bearer 201 sub=cora
  # a caller's are not counted as the user's
  CALLER=edge call_json 201 POST /v1/realms/turn.test/credentials '{"user": "carl"}'
  # those that have run out no longer count
  for n in 1 2 3; do BODY='{"ttl": 1}' bearer 201 sub=cilly; done
  wait_for 5 again
}
again() { bearer 201 sub=cilly >/dev/null; }

@test "a revoked user gets no more, whatever its token says" {
  bearer 201 sub=rosa && cp "$TC_DIR/answer" "$TC_DIR/rosa"
  wait_for 5 all_delivered
  "$TC_CTL" revoke user turn.test rosa --json
  wait_for 5 denied
  has_error access_denied revoked
  cp "$TC_DIR/rosa" "$TC_DIR/answer"
  probe main --expect-error 401
}
denied() { bearer 403 sub=rosa >/dev/null; }

@test "no token in the log, all calls and answers are as openapi.yaml says" {
  no_secret_in_log
  run ! grep -Ff <(cut -d. -f2 "$TC_DIR/jwt/token") "$TC_DIR"/daemons/*/log
  openapi
}
