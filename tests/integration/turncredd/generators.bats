#!/usr/bin/env bats
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: redocly, client generators for OpenAPI and oauth4webapi by npm; OpenAPI::Client
# openapi.yaml in other people's hands: without lint, and clients that are generated from it talk to the real daemon. An OAuth
# library, too.

load ../lib
load daemon

setup_file() {
  daemon_up || return 0
  realm_add turn.test "mechanisms='{token,derived,rest,pushed}'"
  key_add turn.test t1
  key_add turn.test d1 derived
  key_add turn.test r1 rest
  caller_add all derived,rest,push,token,revoke turn.test
  server_start main
  daemon_start main
  sed -i "s,^public_url.*,," "$TC_DIR/daemons/main/conf"
  echo "public_url = https://127.0.0.1:$(<"$TC_DIR/daemons/main/port")" >>"$TC_DIR/daemons/main/conf"
  kill -HUP "$(daemon_pid main)"
  synced
  export SPEC=$TC_TOP/plugin/turncredd/openapi.yaml NODE=$TC_BUILD/npm/generators NODE_EXTRA_CA_CERTS=$TC_DIR/tls/ca.pem
  # exact versions and hashes: npm/package-lock.json
  "$TC_TOP/scripts/npm-modules" "$BATS_TEST_DIRNAME/npm" "$NODE" >"$TC_DIR/npm" 2>&1 3>&- 4>&- || true
}
setup() {
  daemon_ready
  [ ! -f "$NODE/missing" ] || skip "npm modules: $(<"$NODE/missing")"
}
teardown() { turncred_check; daemon_check; }
teardown_file() { daemon_down; }

# compile FOLDER: what tsc makes of the generated client, with node's module names
compile() {
  (cd "$NODE" && node_modules/.bin/tsc --outDir "$1/js" --module es2022 --moduleResolution bundler --target es2022 --skipLibCheck \
    --lib es2022,dom,dom.iterable "$1/index.ts")
  echo '{"type": "module"}' >"$1/js/package.json"
  # tsc leaves names of modules without their ending, and node wants it
  node --input-type=module - "$1/js" <<'JS'
import {existsSync, readdirSync, readFileSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
const top = process.argv[2];
for (const name of readdirSync(top, {recursive: true}).filter((name) => name.endsWith('.js'))) {
  const file = join(top, name);
  writeFileSync(file, readFileSync(file, 'utf8').replace(/(from\s+['"])(\.[^'"]*)(['"])/g, (all, head, path, tail) => {
    const there = join(dirname(file), path);
    return existsSync(there + '.js') ? head + path + '.js' + tail : existsSync(join(there, 'index.js')) ? head + path + '/index.js' + tail : all;
  }));
}
JS
}
# What each client hands over lets in
lets_in() { cp "$TC_DIR/made" "$TC_DIR/answer" && probe main --allocate-only; }

@test "redocly has nothing to say" {
  run "$NODE/node_modules/.bin/redocly" lint "$SPEC"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *'description is valid'* && $output != *'You have'* ]]
}

@test "openapi-typescript-codegen: issue, push, remove, and the REST call by GET and POST" {
  rm -rf "$TC_DIR/codegen"
  (cd "$NODE" && node node_modules/openapi-typescript-codegen/bin/index.js --input "$SPEC" --output "$TC_DIR/codegen" --client fetch)
  compile "$TC_DIR/codegen"
  cat >"$TC_DIR/codegen.mjs" <<JS
import {CredentialsService as C, OpenAPI} from '$TC_DIR/codegen/js/index.js';
import {writeFileSync} from 'node:fs';
OpenAPI.BASE = process.env.BASE;
OpenAPI.TOKEN = process.env.KEY;
const made = await C.issueCredential('turn.test', {user: 'sip:gina/2?#@x', kind: 'derived', ttl: 60});
writeFileSync('$TC_DIR/made', JSON.stringify(made));
await C.pushCredential('turn.test', 'gina@x', {password: 'Vb3q-7Lm0p_Xw9Zk2RtY5u', client_address: '::ffff:127.0.0.1'});
if ((await C.removeCredential('turn.test', 'gina@x')).username !== 'gina@x') throw new Error('removed another');
// its forms are multipart/form-data whatever the document says, so the parameters go into the query
const got = [await C.restCall('turn', 'gina'), await C.restCallPost('turn', 'gina', 'turn.test')];
for (const a of got) if (!/^gina:/.test(a.username) || a.ttl < 1) throw new Error(JSON.stringify(a));
JS
  KEY=$(key_of all) BASE=$(url '') node "$TC_DIR/codegen.mjs"
  lets_in
}

@test "@hey-api/openapi-ts: the same" {
  rm -rf "$TC_DIR/hey"
  (cd "$NODE" && node_modules/.bin/openapi-ts -i "$SPEC" -o "$TC_DIR/hey" --client @hey-api/client-fetch)
  compile "$TC_DIR/hey"
  cat >"$TC_DIR/hey.mjs" <<JS
import * as sdk from '$TC_DIR/hey/js/sdk.gen.js';
import {client} from '$TC_DIR/hey/js/client.gen.js';
import {writeFileSync} from 'node:fs';
client.setConfig({baseUrl: process.env.BASE, auth: (a) => a.scheme === 'bearer' ? process.env.KEY : undefined, throwOnError: true});
const path = {realm: 'turn.test'};
const made = await sdk.issueCredential({path, body: {user: 'hans', kind: 'rest', ttl: 60}});
writeFileSync('$TC_DIR/made', JSON.stringify(made.data));
const got = [await sdk.restCall({query: {service: 'turn', username: 'gina'}}),
             await sdk.restCallPost({query: {service: 'turn', username: 'gina'}}),
             await sdk.restCallPost({body: {service: 'turn', username: 'gina', realm: 'turn.test'}})];
for (const a of got) if (!/^gina:/.test(a.data.username)) throw new Error(JSON.stringify(a.data));
const wrong = await sdk.issueCredential({path, body: {user: 'a b'}, throwOnError: false});
if (wrong.response.status !== 400 || !/blank/.test(wrong.error.error_description)) throw new Error(JSON.stringify(wrong.error));
JS
  KEY=$(key_of all) BASE=$(url '') node "$TC_DIR/hey.mjs"
  lets_in
}

@test "OpenAPI::Client (Perl), which checks each request and answer against the document" {
  perl -MOpenAPI::Client -e 1 || skip 'there is no OpenAPI::Client'
  cat >"$TC_DIR/client.pl" <<'PERL'
use strict;
use warnings;
use OpenAPI::Client;
use Mojo::JSON qw(encode_json);
my $client = OpenAPI::Client->new("file://$ENV{SPEC}", base_url => $ENV{BASE});
$client->ua->ca("$ENV{TC_DIR}/tls/ca.pem");
$client->ua->on(start => sub { $_[1]->req->headers->authorization("Bearer $ENV{KEY}") });
sub done { my ($tx, $code) = @_; die encode_json($tx->res->json // {}) . ($tx->error ? $tx->error->{message} : '') if ($tx->res->code // 0) != $code; $tx->res->json }
my $made = done($client->issueCredential({realm => 'turn.test', body => {user => 'ina/2?#', kind => 'derived', ttl => 60}}), 201);
open my $out, '>', "$ENV{TC_DIR}/made" or die; print $out encode_json($made); close $out;
# the document refuses what the server would refuse
for my $user ('a b', "o'brien", "a\tb", 'x\\y') {
  my $tx = $client->issueCredential({realm => 'turn.test', body => {user => $user}});
  die "$user passes the document" if $tx->req->url->host && ($tx->res->code // 0) == 201 || !$tx->error;
}
for my $answer (done($client->restCall({service => 'turn', username => 'gina'}), 200), done($client->restCallPost({service => 'turn', username => 'gina'}), 200)) {
  die encode_json($answer) unless $answer->{username} =~ /^gina:/;
}
die 'set_aside' if done($client->ready, 200)->{set_aside};
PERL
  KEY=$(key_of all) BASE=$(url '') perl "$TC_DIR/client.pl"
  lets_in
}

@test "oauth4webapi: client credentials and their token, once it is told of token_type pop" {
  cat >"$NODE/oauth.mjs" <<JS
import * as oauth from 'oauth4webapi';
import {writeFileSync} from 'node:fs';
const issuer = new URL(process.env.BASE);
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, {algorithm: 'oauth2'}));
const client = {client_id: 'all'}, auth = oauth.ClientSecretBasic(process.env.KEY);
const ask = () => oauth.clientCredentialsGrantRequest(as, client, auth, {scope: 'stun', aud: 'turn.test-server', subject: 'olga', alg: 'HMAC-SHA-256-128'});
let refused;
try { await oauth.processClientCredentialsResponse(as, client, await ask()); } catch (e) { refused = e; }
if (!/token_type/.test(refused?.message)) throw new Error('taken without being told: the manual says otherwise');
const token = await oauth.processClientCredentialsResponse(as, client, await ask(), {recognizedTokenTypes: {pop() {}}});
writeFileSync('$TC_DIR/made', JSON.stringify(token));
JS
  KEY=$(key_of all) BASE=$(url '') node "$NODE/oauth.mjs"
  lets_in
  [ "$(value .alg)" = HMAC-SHA-256-128 ]
}
