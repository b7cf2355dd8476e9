-- SPDX-License-Identifier: BSD-3-Clause
-- Values where they enter: the database agrees with plugin/base about every row of tests/conformance/values.json.
BEGIN;
SELECT no_plan();
\set file `cat "$TC_TOP/tests/conformance/values.json"`
CREATE TEMP TABLE v AS SELECT :'file'::jsonb AS v;

SELECT is(turncred.address_canonical(r->>0), r->>1, 'address ' || (r->>0)) FROM v, jsonb_array_elements(v->'addresses') r;
SELECT is(turncred.peer_range_canonical(r->>0), r->>1, 'peers ' || (r->>0)) FROM v, jsonb_array_elements(v->'peers') r;
SELECT is(turncred.turn_uri_canonical(r->>0), r->>1, 'uri ' || (r->>0)) FROM v, jsonb_array_elements(v->'uris') r;
SELECT is(turncred.origin_canonical(r->>0), r->>1, 'origin ' || (r->>0)) FROM v, jsonb_array_elements(v->'origins') r;
SELECT is(turncred.user_name_refused(r->>0, true, 492) IS NULL, (r->>1)::boolean, 'name on the wire ' || left(r->>0, 40))
  FROM v, jsonb_array_elements(v->'names') r;
SELECT is(turncred.user_name_refused(r->>0, false, 492) IS NULL, (r->>2)::boolean, 'name of a subject ' || left(r->>0, 40))
  FROM v, jsonb_array_elements(v->'names') r;

-- rows get the one spelling
INSERT INTO turncred.realm (name, server_name, at_rest, uris, origins, listen_addresses) VALUES ('one', 'x', 'plain',
  '{TURN:Turn.Example.ORG?transport=TCP,"turn:[2001:DB8::1]:3478"}', '{HTTPS://App.Example.ORG:443/,capacitor://localhost}',
  '{::ffff:192.0.2.9,2001:DB8::9}');
SELECT is((SELECT (uris, origins, listen_addresses)::text FROM turncred.realm WHERE name = 'one'),
  '("{turn:turn.example.org?transport=tcp,turn:[2001:db8::1]:3478}","{https://app.example.org,capacitor://localhost}","{192.0.2.9,2001:db8::9}")',
  'a realm gets the one spelling');
SELECT throws_ok($$UPDATE turncred.realm SET uris = '{turn:a,turn://b}' WHERE name = 'one'$$, '23514',
  'realm "one": uri "turn://b" is no TURN URI (RFC 7065)', 'a bad URI is named');
SELECT throws_ok($$UPDATE turncred.realm SET origins = '{https://a/x}' WHERE name = 'one'$$, '23514',
  'realm "one": "https://a/x" is no origin (RFC 6454)', 'a bad origin is named');
SELECT throws_ok($$UPDATE turncred.realm SET listen_addresses = '{10.0.0.0/8}' WHERE name = 'one'$$, '23514',
  'realm "one": listening address 10.0.0.0/8 is a network', 'a network is named');
SELECT throws_ok(format($$UPDATE turncred.realm SET listen_addresses = '{192.0.2.1,%s}' WHERE name = 'one'$$, a), '23514',
  'realm "one": no packet is sent to the listening address ' || a, 'listening address ' || a) FROM unnest('{0.0.0.0,::}'::text[]) a;
UPDATE turncred.realm SET allowed_peers = '{2001:DB8::/32,::ffff:192.0.2.7,192.0.2.7/32,10.0.0.0/8}', denied_peers = '{::FFFF:0:0/96}' WHERE name = 'one';
SELECT is((SELECT (allowed_peers, denied_peers)::text FROM turncred.realm WHERE name = 'one'), '("{2001:db8::/32,192.0.2.7,10.0.0.0/8}",{0.0.0.0/0})',
  'peers get the one spelling, each once, in their order');
SELECT throws_ok(format($$UPDATE turncred.realm SET %s_peers = '{192.0.2.0/24,192.0.2.1/24}' WHERE name = 'one'$$, l), '23514',
  'realm "one": "192.0.2.1/24" is no address and no network of peers', l || ' peers with bits behind the prefix are named') FROM unnest('{allowed,denied}'::text[]) l;
SELECT throws_ok($$UPDATE turncred.realm SET denied_peers = '{NULL}' WHERE name = 'one'$$, '23514', 'realm "one": "null" is no address and no network of peers', 'a null is none');
SELECT throws_ok($$UPDATE turncred.realm SET denied_peers = NULL WHERE name = 'one'$$, '23502', NULL, 'an empty list is {}');
SELECT throws_ok($$UPDATE turncred.realm SET allowed_peers = (SELECT array_agg('10.0.' || i / 256 || '.' || i % 256) FROM generate_series(1, 1025) i) WHERE name = 'one'$$,
  '23514', NULL, '1024 at the most');
SELECT lives_ok($$UPDATE turncred.realm SET allowed_peers = '{}', denied_peers = '{}' WHERE name = 'one'$$, 'an empty list takes the restriction away');
SELECT throws_ok($$INSERT INTO turncred.realm (name, server_name, origins) VALUES ('two', 'x', '{https://app.example.org:443}')$$,
  '23505', NULL, 'two spellings of one origin are one origin');
SELECT turncred.credential_push_plain('one', 'alice', decode(md5('x'), 'hex'), p_client_address => '::ffff:192.0.2.7');
SELECT is((SELECT client_address FROM turncred.credential WHERE username = 'alice'), '192.0.2.7', 'a mapped address is stored as IPv4');
SELECT turncred.credential_push_plain('one', 'alice', decode(md5('x'), 'hex'), p_client_address => '2001:DB8::7');
SELECT is((SELECT client_address FROM turncred.credential WHERE username = 'alice'), '2001:db8::7', 'also when it is replaced');
SELECT throws_ok(format($$SELECT turncred.credential_push('one', 'bob', '\x%s', 'k', NULL, '::ffff:192.0.2.7')$$, repeat('00', 76)),
  '23514', 'client_address "::ffff:192.0.2.7" is no address in its one spelling', 'a sealed row is bound to its spelling');
SELECT throws_ok(format($$SELECT turncred.credential_push_plain('one', 'bob', '\x%s', p_client_address => '%s')$$, repeat('00', 16), a),
  '23514', NULL, 'client_address ' || a) FROM unnest('{192.0.2.0/24,192.0.2.7:5,[::1],fe80::1%eth0,nonsense}'::text[]) a;
SELECT throws_ok(format($$SELECT turncred.credential_push_plain('one', %L, '\x%s')$$, u, repeat('00', 16)), '23514', m, 'username: ' || m)
  FROM (VALUES (U&'a\0085b', U&'username "a\0085b": it holds a control character'), (U&'a\202eb', U&'username "a\202eb": it holds a format character'),
    ('credit-union-select', 'username "credit-union-select": it holds both "union" and "select", which coturn refuses in a USERNAME as SQL'),
    ('a b', 'username "a b": it holds a blank, quote or backslash, which coturn refuses in a USERNAME')) v(u, m);
SELECT lives_ok($$SELECT turncred.issue_record('one', 'token', 'cn=Al, ou=People', now() + interval '1 h', 'k', repeat('a', 32))$$, 'a token is for any name');
SELECT throws_ok($$SELECT turncred.issue_record('one', 'token', E'a\nb', now() + interval '1 h', 'k', repeat('b', 32))$$, '23514',
  'user "a\nb": it holds a control character', 'but no control character');
SELECT throws_ok($$SELECT turncred.issue_record('one', 'derived', 'a b', now() + interval '1 h')$$, '23514', NULL, 'a derived credential is on the wire');

SELECT turncred.journal_open('00000000-0000-4000-8000-000000000001', 'i');
SELECT turncred.journal_set_aside('00000000-0000-4000-8000-000000000001', 3);
SELECT is((SELECT set_aside FROM turncred.journal WHERE instance = 'i'), 3::bigint, 'an issuer says how many entries it has set aside');
SELECT turncred.journal_set_aside('00000000-0000-4000-8000-000000000001', 2, 40), turncred.journal_set_aside('00000000-0000-4000-8000-000000000001', 2, 7);
SELECT is((SELECT (delivered, set_aside)::text FROM turncred.journal WHERE instance = 'i'), '(40,2)', 'and passes over them, never back');

-- whose access token a user showed: named by an entry, or by the transaction's setting, or by nobody
SELECT turncred.journal_open('00000000-0000-4000-8000-000000000017', 'i17');
SELECT turncred.journal_deliver('00000000-0000-4000-8000-000000000017', jsonb_build_array(
  jsonb_build_object('q', 1, 't', 1764000000000000, 'realm', 'any', 'kind', 'derived', 'sub', 'with', 'exp', 1764003600, 'provider', 'idp'),
  jsonb_build_object('q', 2, 't', 1764000000000000, 'realm', 'any', 'kind', 'derived', 'sub', 'without', 'exp', 1764003600)));
INSERT INTO turncred.issue_log (realm, kind, subject) VALUES ('any', 'derived', 'before');
SELECT is(set_config('turncred.provider', 'portal', false), 'portal', 'as a push says it');
INSERT INTO turncred.issue_log (realm, kind, subject) VALUES ('any', 'derived', 'during');
SELECT turncred.journal_deliver('00000000-0000-4000-8000-000000000017', jsonb_build_array(
  jsonb_build_object('q', 3, 't', 1764000000000000, 'realm', 'any', 'kind', 'derived', 'sub', 'older', 'exp', 1764003600)));
SELECT set_config('turncred.provider', '', false);
SELECT results_eq($$SELECT subject || '/' || provider FROM turncred.issue_log WHERE realm = 'any' ORDER BY subject COLLATE "C"$$,
  ARRAY['before/', 'during/portal', 'older/', 'with/idp', 'without/'], 'an entry without a provider has none, whatever the setting');
SELECT * FROM finish();
ROLLBACK;
