-- SPDX-License-Identifier: BSD-3-Clause
-- What the tables refuse, by the name of the constraint that says so.
BEGIN;
SELECT no_plan();

CREATE FUNCTION pg_temp.refuses(p_sql text, p_constraint text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  name text;
BEGIN
  BEGIN
    EXECUTE p_sql;
    RETURN NEXT fail(p_constraint || ' refuses: ' || p_sql);
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS name = CONSTRAINT_NAME;
    RETURN NEXT is(coalesce(nullif(name, ''), SQLERRM), p_constraint, p_constraint || ' refuses: ' || left(p_sql, 120));
  END;
END
$$;

INSERT INTO turncred.realm (name, server_name) VALUES ('sealed', 'turn.sealed');
INSERT INTO turncred.realm (name, server_name, at_rest, origins, listen_addresses)
  VALUES ('plain', 'turn.plain', 'plain', '{https://p.example}', '{192.0.2.1}');

-- realm
SELECT pg_temp.refuses(format('INSERT INTO turncred.realm (name, server_name) VALUES (%L, %L)', n, s), c) FROM (VALUES
  ('', 'x', 'realm_name_length'),
  (repeat('x', 128), 'x', 'realm_name_length'),
  (repeat('ä', 64), 'x', 'realm_name_length'),
  ('a"b', 'x', 'realm_name_characters'),
  ('a/b', 'x', 'realm_name_characters'),
  (E'a\nb', 'x', 'realm_name_characters'),
  ('plain', 'x', 'realm_pkey'),
  ('x', '', 'realm_server_name_length'),
  ('x', repeat('x', 256), 'realm_server_name_length'),
  ('x', 'a b', 'realm_server_name_characters')) v(n, s, c);
SELECT lives_ok(format('INSERT INTO turncred.realm (name, server_name) VALUES (%L, %L)', repeat('x', 127), repeat('x', 255)), 'longest names');
SELECT pg_temp.refuses(format('UPDATE turncred.realm SET %s WHERE name = ''plain''', s), c) FROM (VALUES
  ('mechanisms = ''{}''', 'realm_mechanisms_known'),
  ('mechanisms = ''{password}''', 'realm_mechanisms_known'),
  ('mechanisms = ''{token,NULL}''', 'realm_mechanisms_known'),
  ('mechanisms = ''{{token},{rest}}''', 'realm_mechanisms_known'),
  ('mechanisms = ''{token,token}''', 'realm_mechanisms_once'),
  ('mechanisms = ''{rest,pushed,rest}''', 'realm_mechanisms_once'),
  ('expiry_token = ''never''', 'realm_expiry_token_known'),
  ('expiry_derived = ''''', 'realm_expiry_derived_known'),
  ('expiry_rest = ''Strict''', 'realm_expiry_rest_known'),
  ('expiry_pushed = ''no''', 'realm_expiry_pushed_known'),
  ('grace_seconds = -1', 'realm_grace_seconds_range'),
  ('max_ttl = 0, default_ttl = 0', 'realm_default_ttl_range'),
  ('max_ttl = 31536001', 'realm_max_ttl_range'),
  ('default_ttl = max_ttl + 1', 'realm_default_ttl_range'),
  ('user_quota = -1', 'realm_user_quota_range'),
  ('total_quota = -1', 'realm_total_quota_range'),
  ('max_bps = -1', 'realm_max_bps_range'),
  ('at_rest = ''open''', 'realm_at_rest_known'),
  ('kek_id = ''a b''', 'realm_kek_id_form'),
  ('guest_kids = ''{kid}''', 'realm_guest_kids_form'),
  ('guest_kids = ''{/kid}''', 'realm_guest_kids_form'),
  ('guest_kids = ''{realm/}''', 'realm_guest_kids_form'),
  ('guest_kids = ''{NULL}''', 'realm_guest_kids_form'),
  ('listen_addresses = ''{NULL}''', 'realm_listen_addresses_not_null'),
  ('origins = ''{a b}''', 'realm_origins_form'),
  ('name = ''other''', 'realm_name_fixed')) v(s, c);
SELECT pg_temp.refuses('UPDATE turncred.realm SET origins = ''{https://p.example}'' WHERE name = ''sealed''', 'realm_chosen_once');
SELECT pg_temp.refuses('UPDATE turncred.realm SET listen_addresses = ''{192.0.2.2,192.0.2.1}'' WHERE name = ''sealed''', 'realm_chosen_once');
SELECT lives_ok('UPDATE turncred.realm SET guest_kids = ''{plain/a,plain/b/c}'', origins = ''{https://q.example,https://r.example}'' WHERE name = ''sealed''', 'lists');

-- key
CREATE FUNCTION pg_temp.add(p_kid text, p_use text, p_alg text, p_octets integer, p_derivation text DEFAULT 'none') RETURNS void
LANGUAGE sql AS $$ SELECT turncred.key_add_plain('plain', p_kid, p_use, p_alg,
  decode(substr(repeat(md5(p_kid || p_use || p_alg), 130), 1, 2 * p_octets), 'hex'), p_derivation) $$;
SELECT lives_ok(format('SELECT pg_temp.add(%L, %L, %L, %s, %L)', kid, use, alg, octets, derivation), kid) FROM (VALUES
  ('g256', 'token', 'A256GCM', 32, 'none'), ('g128', 'token', 'A128GCM', 16, 'none'),
  ('cbc', 'token', 'A256CBC-HS512', 64, 'none'), ('hkdf1', 'token', 'A128GCM', 32, 'hkdf-sha256'),
  ('hkdf2', 'token', 'A256CBC-HS512', 32, 'hkdf-sha256'), ('der', 'derived', 'sha256', 32, 'none'),
  ('rest1', 'rest', 'sha1', 1, 'none'), ('rest2', 'rest', 'sha512', 64, 'none'), ('rest3', 'rest', 'sha1', 1024, 'none')) v(kid, use, alg, octets, derivation);
SELECT pg_temp.refuses(format('SELECT pg_temp.add(%L, %L, %L, %s, %L)', kid, use, alg, octets, derivation), c) FROM (VALUES
  ('x', 'token', 'A256GCM', 31, 'none', 'key_plain_length'),
  ('x', 'token', 'A256GCM', 33, 'none', 'key_plain_length'),
  ('x', 'token', 'A256GCM', 0, 'none', 'key_plain_length'),
  ('x', 'token', 'A128GCM', 32, 'none', 'key_plain_length'),
  ('x', 'token', 'A256CBC-HS512', 32, 'none', 'key_plain_length'),
  ('x', 'token', 'A128GCM', 16, 'hkdf-sha256', 'key_plain_length'),
  ('x', 'derived', 'sha256', 16, 'none', 'key_plain_length'),
  ('x', 'rest', 'sha1', 1025, 'none', 'key_plain_length'),
  ('x', 'rest', 'sha1', 0, 'none', 'key_plain_length'),
  ('x', 'token', 'sha1', 32, 'none', 'key_alg_for_use'),
  ('x', 'token', 'HS256', 32, 'none', 'key_alg_for_use'),
  ('x', 'derived', 'sha1', 32, 'none', 'key_alg_for_use'),
  ('x', 'rest', 'md5', 32, 'none', 'key_alg_for_use'),
  ('x', 'derived', 'sha256', 32, 'hkdf-sha256', 'key_derivation_known'),
  ('x', 'token', 'A256GCM', 32, 'hkdf', 'key_derivation_known'),
  ('', 'token', 'A256GCM', 32, 'none', 'key_kid_length'),
  (repeat('x', 509), 'token', 'A256GCM', 32, 'none', 'key_kid_length'),
  ('a b', 'token', 'A256GCM', 32, 'none', 'key_kid_characters'),
  ('a''b', 'token', 'A256GCM', 32, 'none', 'key_kid_characters'),
  ('UnionSelect', 'token', 'A256GCM', 32, 'none', 'key_kid_characters'),
  ('subject-tag', 'token', 'A256GCM', 32, 'none', 'key_tag_kid'),
  ('x', 'tag', 'sha256', 32, 'none', 'key_tag_kid'),
  ('g256', 'token', 'A256GCM', 32, 'none', 'key_pkey')) v(kid, use, alg, octets, derivation, c);
SELECT pg_temp.refuses('SELECT turncred.key_add_plain(''sealed'', ''x'', ''token'', ''A256GCM'', decode(repeat(''ab'', 32), ''hex''))', 'key_plain_in_plain_realm');
SELECT pg_temp.refuses('INSERT INTO turncred.key (realm, kid, use, alg, plain) SELECT realm, ''again'', use, alg, plain FROM turncred.key WHERE kid = ''g256''', 'key_plain_once');
SELECT pg_temp.refuses('UPDATE turncred.realm SET at_rest = ''sealed'' WHERE name = ''plain''', 'realm_at_rest_sealed');
SELECT pg_temp.refuses(format('UPDATE turncred.key SET %s WHERE kid = %L', s, kid), c) FROM (VALUES
  ('username_format = ''timestamp:user-id''', 'g256', 'key_username_format_known'),
  ('username_format = ''user-id''', 'rest1', 'key_username_format_known'),
  ('username_format = ''either''', 'der', 'key_username_format_known'),
  ('separator = ''@''', 'g256', 'key_separator_form'),
  ('separator = ''''', 'rest1', 'key_separator_form'),
  ('separator = ''::''', 'rest1', 'key_separator_form'),
  ('separator = ''1''', 'rest1', 'key_separator_form'),
  ('separator = ''+''', 'rest1', 'key_separator_form'),
  ('separator = ''"''', 'rest1', 'key_separator_form'),
  ('separator = '' ''', 'rest1', 'key_separator_form'),
  ('separator = ''§''', 'rest1', 'key_separator_form'),
  ('allow_zero_iv = true', 'g256', 'key_allow_zero_iv_cbc_only'),
  ('kek_id = ''main''', 'g256', 'key_wrapped_has_kek_id'),
  ('plain = NULL', 'g256', 'key_wrapped_or_plain'),
  ('wrapped = decode(repeat(''00'', 40), ''hex''), kek_id = ''main''', 'g256', 'key_wrapped_or_plain'),
  ('wrapped = decode(repeat(''00'', 39), ''hex''), kek_id = ''main'', plain = NULL', 'g256', 'key_wrapped_length'),
  ('wrapped = decode(repeat(''00'', 40), ''hex''), kek_id = ''../main'', plain = NULL', 'g256', 'key_kek_id_form'),
  ('state = ''gone''', 'g256', 'key_state_known'),
  ('not_before = ''infinity''', 'g256', 'key_windows_finite'),
  ('not_before = now(), accept_until = now() - interval ''1 day''', 'g256', 'key_windows_order'),
  ('sign_until = now(), accept_until = now() - interval ''1 day''', 'g256', 'key_windows_order'),
  ('tokens_reserved = 4294967297', 'g256', 'key_tokens_reserved_range'),
  ('realm = ''nowhere''', 'g256', 'key_realm_fkey')) v(s, kid, c);
SELECT lives_ok('UPDATE turncred.key SET wrapped = decode(repeat(''00'', 72), ''hex''), kek_id = ''main'', plain = NULL WHERE kid = ''cbc''', 'sealed in a plain realm');
SELECT lives_ok(format('UPDATE turncred.key SET username_format = ''either'', separator = %L WHERE kid = ''rest1''', c), 'separator ' || c) FROM regexp_split_to_table('!#$%&()*,./:;<=>?@[]^_`{|}~', '') c;
SELECT lives_ok('UPDATE turncred.key SET allow_zero_iv = true, username_format = username_format WHERE kid = ''cbc''', 'zero IV for CBC');
SELECT pg_temp.refuses('UPDATE turncred.realm SET keys_tried = 0', 'realm_keys_tried_range');
SELECT pg_temp.refuses('UPDATE turncred.realm SET keys_tried = 257', 'realm_keys_tried_range');
SELECT pg_temp.refuses($$UPDATE turncred.realm SET offer_tokens = 'never'$$, 'realm_offer_tokens_known');
UPDATE turncred.realm SET keys_tried = 3 WHERE name = 'plain';
SELECT pg_temp.refuses('SELECT pg_temp.add(''rest4'', ''rest'', ''sha1'', 20)', 'key_tried');
SELECT lives_ok('SELECT pg_temp.add(''der2'', ''derived'', ''sha256'', 32)', 'each use is counted by itself');
SELECT lives_ok('SELECT turncred.key_set_state(''plain'', ''rest1'', ''disabled'')', 'a disabled key is not tried');
SELECT lives_ok('SELECT pg_temp.add(''rest4'', ''rest'', ''sha1'', 20)', 'so another has room');
SELECT pg_temp.refuses('SELECT turncred.key_set_state(''plain'', ''rest1'', ''retired'')', 'key_tried');
SELECT lives_ok('SELECT turncred.key_set_state(''plain'', ''rest2'', ''retired'')', 'a key that is accepted anyway changes');
UPDATE turncred.realm SET keys_tried = 16 WHERE name = 'plain';
SELECT is((SELECT subject_tag FROM turncred.key WHERE kid = 'g256'), true, 'subject_tag comes from the realm');
UPDATE turncred.realm SET subject_tag = false WHERE name = 'plain';
SELECT pg_temp.add('untagged', 'token', 'A256GCM', 32);
SELECT is((SELECT subject_tag FROM turncred.key WHERE kid = 'untagged'), false, 'subject_tag comes from the realm');
SELECT is((SELECT subject_tag FROM turncred.key WHERE kid = 'g256'), true, 'and stays with the key');
SELECT is(turncred.tag_key_add('plain', NULL, NULL, decode(repeat('5a', 32), 'hex')), true, 'a key of subject tags');
SELECT is(turncred.tag_key_add('plain', NULL, NULL, decode(repeat('5b', 32), 'hex')), false, 'one a realm');
SELECT is((SELECT get_byte(plain, 0) FROM turncred.key WHERE use = 'tag'), 90, 'the first one stays');
SELECT is(turncred.tag_key_add('sealed', decode(repeat('00', 40), 'hex'), 'main'), true, 'a sealed one');
SELECT pg_temp.refuses('SELECT turncred.tag_key_add(''sealed'', NULL, NULL, decode(repeat(''5c'', 32), ''hex''))', 'key_plain_in_plain_realm');
DELETE FROM turncred.key WHERE realm = 'sealed';
SELECT pg_temp.refuses('SELECT turncred.tag_key_add(''sealed'', decode(repeat(''00'', 48), ''hex''), ''main'')', 'key_wrapped_length');
SELECT throws_ok('SELECT turncred.tag_key_add(''nowhere'', decode(repeat(''00'', 40), ''hex''), ''main'')', 'TC001', NULL, 'no such realm');
SELECT pg_temp.refuses(format('UPDATE turncred.key SET %s WHERE use = ''tag''', s), c) FROM (VALUES
  ('kid = ''other''', 'key_tag_kid'),
  ('use = ''derived''', 'key_tag_kid'),
  ('alg = ''sha1''', 'key_alg_for_use'),
  ('state = ''disabled''', 'key_tag_always'),
  ('accept_until = now()', 'key_tag_always'),
  ('plain = decode(repeat(''5a'', 16), ''hex'')', 'key_plain_length')) v(s, c);
SELECT is(turncred.tokens_reserve('plain', 'subject-tag', 1), false, 'it signs no tokens');

-- credential
SELECT pg_temp.refuses(format('SELECT turncred.credential_push_plain(%L, %L, decode(repeat(''00'', %s), ''hex''), %L, %L, %L)', r, u, n, s, e, a), c) FROM (VALUES
  ('plain', '', 16, NULL, NULL, '', 'credential_username_length'),
  ('plain', repeat('u', 509), 16, NULL, NULL, '', 'credential_username_length'),
  ('plain', 'a b', 16, NULL, NULL, '', 'credential_username_characters'),
  ('plain', 'a\b', 16, NULL, NULL, '', 'credential_username_characters'),
  ('plain', 'u', 15, NULL, NULL, '', 'credential_md5_length'),
  ('plain', 'u', 16, '\x00', NULL, '', 'credential_sha256_length'),
  ('plain', 'u', 16, NULL, 'infinity', '', 'credential_expiry_finite'),
  ('plain', 'u', 16, NULL, NULL, '192.0.2.0/24', 'credential_client_address_form'),
  ('plain', 'u', 16, NULL, NULL, '192.0.2.0/24', 'credential_client_address_form'),
  ('sealed', 'u', 16, NULL, NULL, '', 'credential_plain_in_plain_realm')) v(r, u, n, s, e, a, c);
INSERT INTO turncred.caller (name, cert_subject, scopes, realms) VALUES ('c', 'CN=c', '{push}', '{plain}');
SELECT turncred.credential_push_password('plain', 'timely', 'a password of 128 bits');
SELECT pg_temp.refuses(format('UPDATE turncred.%s SET %s = %L', t, f, x), c) FROM (VALUES
  ('realm', 'created_at', 'realm_times_finite'),
  ('key', 'created_at', 'key_created_at_finite'),
  ('credential', 'pushed_at', 'credential_pushed_at_finite'),
  ('caller', 'created_at', 'caller_created_at_finite')) v(t, f, c), (VALUES ('infinity'), ('-infinity')) w(x);
DELETE FROM turncred.caller;
DELETE FROM turncred.credential WHERE username = 'timely';
SELECT pg_temp.refuses('SELECT turncred.credential_push_password(''plain'', ''u'', ''short'')', 'credential_password_length');
SELECT pg_temp.refuses('SELECT turncred.credential_push(''plain'', ''u'', ''\x00'', ''main'')', 'credential_sealed_length');
SELECT pg_temp.refuses('SELECT turncred.credential_push(''plain'', ''u'', NULL, ''main'')', 'credential_sealed_has_kek_id');
SELECT lives_ok('SELECT turncred.credential_push(''sealed'', ''u'', decode(repeat(''00'', 76), ''hex''), ''main'')', 'sealed credential');
SELECT lives_ok('SELECT turncred.credential_push_plain(''plain'', ''sip:+49@example.org'', decode(repeat(''00'', 16), ''hex''), NULL, now() + interval ''1.4 s'', ''2001:db8::1'')', 'plain credential');
SELECT is(extract(microseconds FROM expiry)::bigint % 1000000, 0::bigint, 'whole seconds') FROM turncred.credential WHERE realm = 'plain';
SELECT throws_ok('SELECT turncred.credential_push_password(''nowhere'', ''u'', ''0123456789abcdef'')', 'TC001', NULL, 'no such realm');

-- revocation
SELECT pg_temp.refuses(format('INSERT INTO turncred.revocation (kind, realm, name, lifted_at) VALUES (%L, %L, %L, %L)', k, r, n, l), c) FROM (VALUES
  ('key', 'plain', 'x', NULL, 'revocation_kind_known'),
  ('user', '', 'x', NULL, 'revocation_realm_length'),
  ('user', 'plain', '', NULL, 'revocation_name_form'),
  ('realm', 'plain', 'x', NULL, 'revocation_name_form'),
  ('token', 'plain', 'abc', NULL, 'revocation_name_form'),
  ('user', 'plain', 'x', '2000-01-01', 'revocation_lifted_after'),
  ('user', 'plain', 'x', 'infinity', 'revocation_times_finite')) v(k, r, n, l, c);
SELECT throws_ok('SELECT turncred.revoke(''user'', ''nowhere'', ''x'')', 'TC001', NULL, 'no such realm');
SELECT throws_ok('SELECT turncred.key_set_state(''plain'', ''nothing'', ''active'')', 'TC003', NULL, 'no such key');

-- budgets
SELECT is(turncred.tokens_reserve('plain', 'g256', 4294967295), true, 'a budget');
SELECT is(turncred.tokens_reserve('plain', 'g256', 2), false, 'not more than 2^32');
SELECT is(turncred.tokens_reserve('plain', 'g256', 1), true, 'exactly 2^32');
SELECT is(turncred.tokens_reserve('plain', 'der', 1), false, 'tokens only');
SELECT turncred.key_set_state('plain', 'g128', 'retired');
SELECT is(turncred.tokens_reserve('plain', 'g128', 1), false, 'not under a retired key');
SELECT throws_ok('SELECT turncred.tokens_reserve(''plain'', ''g128'', 0)', '22023', NULL, 'at least one');

-- the change feed: one row for each object touched, none for what nobody needs
CREATE FUNCTION pg_temp.changes(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  first bigint := (SELECT coalesce(max(id), 0) FROM turncred.change);
BEGIN
  EXECUTE p_sql;
  RETURN (SELECT string_agg(concat_ws(' ', kind, realm, name), ', ' ORDER BY kind, realm, name) FROM turncred.change WHERE id > first);
END
$$;
SELECT is(pg_temp.changes(s), w, s) FROM (VALUES
  ('UPDATE turncred.key SET tokens_reserved = 1 WHERE kid = ''g256''', NULL),
  ('UPDATE turncred.key SET state = state', NULL),
  ('UPDATE turncred.key SET state = ''retired'', tokens_reserved = 2 WHERE kid = ''g256''', 'key plain g256'),
  ('UPDATE turncred.key SET state = ''active'' WHERE kid IN (''g256'', ''g128'')', 'key plain g128, key plain g256'),
  ('UPDATE turncred.key SET kid = ''renamed'' WHERE kid = ''rest1''', 'key plain renamed, key plain rest1'),
  ('DELETE FROM turncred.key WHERE kid = ''renamed''', 'key plain renamed'),
  ('SELECT turncred.revoke(''kid'', ''plain'', ''der'')', 'revocation plain kid:der'),
  ('SELECT turncred.lift(''kid'', ''plain'', ''der'')', 'revocation plain kid:der'),
  ('SELECT turncred.lift(''kid'', ''plain'', ''der'')', NULL),
  ('INSERT INTO turncred.credential (realm, username, md5) SELECT ''plain'', ''u'' || g, decode(repeat(''00'', 16), ''hex'') FROM generate_series(1, 1001) g', 'bulk  credential'),
  ('UPDATE turncred.credential SET expiry = ''2100-01-01'' WHERE username LIKE ''u%''', 'bulk  credential'),
  ('DELETE FROM turncred.credential WHERE username LIKE ''u_''', 'credential plain u1, credential plain u2, credential plain u3, credential plain u4, credential plain u5, credential plain u6, credential plain u7, credential plain u8, credential plain u9'),
  ('TRUNCATE turncred.revocation', 'bulk  revocation'),
  ('UPDATE turncred.realm SET max_ttl = 4000 WHERE name = ''sealed''', 'realm sealed '),
  ('INSERT INTO turncred.credential SELECT * FROM turncred.credential WHERE false', NULL)) v(s, w);

-- housekeeping
SELECT is(turncred.credential_remove('plain', 'nobody'), false, 'nothing to remove');
INSERT INTO turncred.credential (realm, username, md5, expiry) SELECT 'plain', 'old' || g, decode(repeat('00', 16), 'hex'), now() - interval '1 hour' FROM generate_series(1, 700) g;
SELECT is(turncred.purge_expired(500), 500, 'a batch');
SELECT is(turncred.purge_expired(500), 200, 'the rest');
SELECT is(turncred.purge_expired(500), 0, 'nothing left');
INSERT INTO turncred.revocation (kind, realm, name, revoked_at, lifted_at) VALUES
  ('user', 'plain', 'recent', now() - interval '2 days', now() - interval '86000 seconds'),
  ('user', 'plain', 'long ago', now() - interval '2 days', now() - interval '86800 seconds'),
  ('user', 'plain', 'for good', now() - interval '2 years', NULL);
SELECT is(turncred.purge_expired(), 1, 'a revocation is kept while what it killed could still live');
SELECT results_eq('SELECT name FROM turncred.revocation ORDER BY name', $$VALUES ('for good'), ('recent')$$, 'these are kept');
INSERT INTO turncred.revocation (kind, realm, name, revoked_at, lifted_at) VALUES
  ('realm', 'plain', '', now() - interval '5 days', now() - interval '4 days'), ('user', 'plain', 'eve', now() - interval '5 days', now() - interval '4 days');
INSERT INTO turncred.credential (realm, username, user_id, md5, pushed_at) SELECT 'plain', u || d, nullif(u, 'x'), decode(repeat('00', 16), 'hex'), now() - make_interval(days => d)
  FROM unnest('{x,eve}'::text[]) u, unnest('{3,6}'::integer[]) d;
SELECT turncred.credential_push_plain('plain', 'ended', decode(repeat('00', 16), 'hex'));
SELECT throws_ok($$SELECT turncred.revoke('user', 'plain', 'ended', p_until => now() - interval '1 hour')$$, '22023',
  NULL, 'a revocation that has ended before it begins');
SELECT throws_ok($$SELECT turncred.revoke('realm', 'plain', p_until => '-infinity')$$, '22023', NULL, 'nor for no time at all');
SELECT is(turncred.credential_remove('plain', 'ended'), true, 'and removes nothing');
INSERT INTO turncred.revocation (kind, realm, name, revoked_at, until)
  VALUES ('user', 'plain', 'ended', now() - interval '2 hours', now() - interval '1 hour');
SELECT is(turncred.lift('user', 'plain', 'ended'), false, 'a revocation that has ended is not in force');
SELECT is(turncred.purge_expired(), 2, 'revocations of which nothing is left but pushed credentials without an end');
SELECT results_eq($$SELECT username FROM turncred.credential WHERE username ~ '^(x|eve)[36]$' ORDER BY username$$, $$VALUES ('eve3'), ('x3')$$,
  'with a revocation go the credentials that it kept out');
SELECT isnt_empty('SELECT * FROM turncred.maintain_partitions()', 'partitions are made');
SELECT is_empty('SELECT * FROM turncred.maintain_partitions()', 'once');
SELECT has_table('turncred', ('change_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 day', 'YYYYMMDD'))::name, 'tomorrow''s');
SELECT has_table('turncred', ('issue_log_' || to_char(now() AT TIME ZONE 'UTC' + interval '7 days', 'YYYYMMDD'))::name, 'a week ahead');
CREATE TABLE turncred.change_20200101 PARTITION OF turncred.change FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');
ALTER TABLE turncred.change_20200101 OWNER TO turncred_owner;
INSERT INTO turncred.change (at, kind, name, xid) VALUES ('2020-01-01 12:00', 'heartbeat', '', '5'), ('2020-01-03', 'heartbeat', '4', '5');
SELECT is_empty('SELECT * FROM turncred.maintain_partitions()', 'nothing that may have been open when changes so old were settled');
UPDATE turncred.change SET name = '6' WHERE at = '2020-01-03';
SELECT results_eq('SELECT action, object FROM turncred.maintain_partitions()',
  $$VALUES ('drop', 'change_20200101'), ('delete', '1 rows of change_default')$$, 'old ones go');
SELECT is((SELECT kind FROM turncred.change ORDER BY id DESC LIMIT 1), 'heartbeat', 'the newest change is never an old one');
UPDATE turncred.realm SET max_ttl = 150 * 86400 WHERE name = 'plain';
INSERT INTO turncred.issue_log (issued_at, realm, kind, fingerprint, subject, expiry) VALUES
  (now() - interval '100 days', 'plain', 'token', md5('long'), 'judy', now() + interval '50 days'),
  (now() - interval '160 days', 'plain', 'token', md5('old'), 'judy', now() - interval '10 days');
SELECT results_eq('SELECT action, object FROM turncred.maintain_partitions()',
  $$VALUES ('delete', '1 rows of issue_log_default')$$, 'issue_log keeps what may be unexpired');
SELECT turncred.revoke('user', 'plain', 'judy');
SELECT is((SELECT count(*) FROM turncred.revocation WHERE kind = 'token' AND name = md5('long')), 1::bigint, 'and a revocation finds it');

SELECT * FROM finish();
ROLLBACK;
