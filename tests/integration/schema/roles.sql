-- SPDX-License-Identifier: BSD-3-Clause
-- What each role may do, and what it must not, tried.
BEGIN;
SELECT no_plan();
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;

DELETE FROM turncred.realm;
INSERT INTO turncred.realm (name, server_name, at_rest) VALUES ('r', 'turn.r', 'plain');
SELECT turncred.key_add_plain('r', s, 'token', 'A128GCM', decode(md5(s), 'hex'), p_state => s)
  FROM unnest('{published,active,retired,disabled}'::text[]) s;
SELECT turncred.credential_push_password('r', 'alice', '0123456789abcdef');
CREATE ROLE t_server LOGIN IN ROLE turncred_server;
CREATE ROLE t_issuer LOGIN IN ROLE turncred_issuer;
CREATE ROLE t_admin LOGIN IN ROLE turncred_admin;
CREATE ROLE t_auditor LOGIN IN ROLE turncred_auditor;
CREATE ROLE t_nobody LOGIN;

CREATE FUNCTION pg_temp.statements() RETURNS TABLE (sql text, server boolean, issuer boolean, admin boolean)
LANGUAGE sql AS $$ VALUES
  ('SELECT * FROM turncred.realm', true, true, true),
  ('SELECT * FROM turncred.key', true, true, true),
  ('SELECT * FROM turncred.credential', true, false, true),
  ('SELECT * FROM turncred.credential_list', false, true, true),
  ('SELECT * FROM turncred.key_list', false, false, true),
  ('SELECT * FROM turncred.revocation', true, true, true),
  ('SELECT * FROM turncred.change', true, true, true),
  ('SELECT * FROM turncred.issue_log', false, false, true),
  ('SELECT * FROM turncred.instance', false, true, true),
  ('SELECT * FROM turncred.migration', true, true, true),
  ('SELECT * FROM turncred.database', true, true, true),
  ('INSERT INTO turncred.realm (name, server_name) VALUES (''x'', ''x'')', false, false, true),
  ('UPDATE turncred.realm SET max_ttl = 7200', false, false, true),
  ('DELETE FROM turncred.realm', false, false, true),
  ('TRUNCATE turncred.realm CASCADE', false, false, false),
  ('INSERT INTO turncred.key (realm, kid, use, alg, plain) VALUES (''r'', ''x'', ''derived'', ''sha256'', decode(repeat(''00'', 32), ''hex''))', false, false, true),
  ('UPDATE turncred.key SET state = ''active''', false, false, true),
  ('DELETE FROM turncred.key', false, false, true),
  ('INSERT INTO turncred.credential (realm, username, md5) VALUES (''r'', ''x'', decode(repeat(''00'', 16), ''hex''))', false, false, true),
  ('UPDATE turncred.credential SET expiry = NULL', false, false, true),
  ('DELETE FROM turncred.credential', false, false, true),
  ('INSERT INTO turncred.revocation (kind, realm, name) VALUES (''user'', ''r'', ''x'')', false, false, true),
  ('DELETE FROM turncred.revocation', false, false, true),
  ('INSERT INTO turncred.change (kind) VALUES (''heartbeat'')', false, false, false),
  ('DELETE FROM turncred.change', false, false, false),
  ('UPDATE turncred.issue_log SET subject = ''x''', false, false, false),
  ('DELETE FROM turncred.issue_log', false, false, false),
  ('INSERT INTO turncred.issue_log (realm, kind, subject) VALUES (''r'', ''derived'', ''x'')', false, false, false),
  ('DELETE FROM turncred.instance', false, false, false),
  ('UPDATE turncred.instance SET progress = ''9''', false, false, false),
  ('UPDATE turncred.migration SET min_program = 9', false, false, false),
  ('UPDATE turncred.database SET id = gen_random_uuid()', false, false, false),
  ('CREATE TABLE turncred.mine ()', false, false, false),
  ('CREATE FUNCTION turncred.mine() RETURNS int LANGUAGE sql AS ''SELECT 1''', false, false, false),
  ('ALTER TABLE turncred.key DISABLE ROW LEVEL SECURITY', false, false, false),
  ('SET LOCAL ROLE turncred_owner', false, false, false),
  ('SELECT turncred.instance_report(''i'', ''server'', '''', ''1'', 0, '''')', true, false, false),
  ('SELECT turncred.instance_report(''i'', ''issuer'', '''', ''1'', 0, '''')', false, true, false),
  ('SELECT turncred.instance_clock(''i'', now())', true, true, false),
  ('SELECT turncred.instance_software(''i'', 9, '''', '''', '''')', true, true, false),
  ('SELECT turncred.instance_stopped(''i'')', true, true, false),
  ('SELECT turncred.instance_advertise(''i'', ''{}'', '''', 1, 1)', true, false, false),
  ('SELECT turncred.servers()', true, true, true),
  ('SELECT turncred.quota_full(''i'')', true, false, false),
  ('SELECT turncred.credential_push_limited(''r'', NULL, ''x'', NULL, NULL, decode(repeat(''00'', 16), ''hex''), NULL, NULL, '''', 1, 1)', false, true, true),
  ('SELECT turncred.credential_put_limited(''r'', ''x'', NULL, NULL, NULL, decode(repeat(''00'', 16), ''hex''), NULL, NULL, '''', 1, 1)', false, false, false),
  ('SELECT turncred.server_drain(''i'', false)', false, false, true),
  ('SELECT turncred.refuse_too_new(9, ''x'')', false, true, true),
  ('SELECT known FROM turncred.instance_known', false, true, true),
  ('SELECT turncred.behind(''1'')', false, true, true),
  ('SELECT turncred.credential_push_password(''r'', ''x'', ''0123456789abcdef'')', false, true, true),
  ('SELECT turncred.credential_push_plain(''r'', ''x'', decode(repeat(''00'', 16), ''hex''))', false, true, true),
  ('SELECT turncred.credential_push(''r'', ''x'', decode(repeat(''00'', 76), ''hex''), ''main'')', false, true, true),
  ('SELECT turncred.credential_remove(''r'', ''alice'')', false, true, true),
  ('SELECT turncred.issue_record(''r'', ''derived'', ''x'', now())', false, true, true),
  ('SELECT turncred.unexpired_tokens(''r'', ''x'')', false, true, true),
  ('SELECT turncred.tokens_reserve(''r'', ''active'', 1)', false, true, true),
  ('SELECT turncred.key_add_plain(''r'', ''x'', ''derived'', ''sha256'', decode(repeat(''00'', 32), ''hex''))', false, false, true),
  ('SELECT turncred.tag_key_add(''r'', NULL, NULL, decode(repeat(''01'', 32), ''hex''))', false, true, true),
  ('SELECT turncred.key_set_state(''r'', ''disabled'', ''active'')', false, false, true),
  ('SELECT turncred.revoke(''user'', ''r'', ''x'')', false, false, true),
  ('SELECT turncred.lift(''user'', ''r'', ''x'')', false, false, true),
  ('SELECT turncred.maintain_partitions()', false, false, true),
  ('SELECT turncred.purge_expired()', false, false, true),
  ('SELECT turncred.instance_forget(''i'')', false, false, true),
  ('SELECT turncred.subject_lock(''r'', ''x'', true)', false, false, false),
  ('SELECT turncred.realm_must_exist(''r'')', false, false, false),
  ('SELECT turncred.revoke_locked(''user'', ''r'', ''x'')', false, false, false),
  ('SELECT turncred.lift_locked(''user'', ''r'', ''x'')', false, false, false),
  ('SELECT turncred.instance_room(''x'', ''server'')', false, false, false),
  ('SELECT turncred.lock_holders()', false, false, true),
  ('SELECT FROM turncred.subject_lock FOR SHARE', false, false, false),
  ('LOCK TABLE turncred.revocation IN ROW SHARE MODE', false, false, true),
  ('LOCK TABLE turncred.credential IN SHARE MODE', false, false, true),
  ('INSERT INTO turncred.reporter VALUES (''x'', 2)', false, false, true),
  ('SELECT * FROM turncred.session_live', false, false, true),
  ('SELECT * FROM turncred.session_log', false, false, true),
  ('SELECT * FROM turncred.session_log_default', false, false, false),
  ('SELECT * FROM turncred.session_journal', false, false, true),
  ('SELECT * FROM turncred.session_live_list', false, false, true),
  ('SELECT * FROM turncred.usage_daily', false, false, true),
  ('SELECT * FROM turncred.session_changes()', false, false, true),
  ('DELETE FROM turncred.session_live', false, false, false),
  ('DELETE FROM turncred.session_log', false, false, false),
  ('UPDATE turncred.session_log SET sent_octets = 0', false, false, false),
  ('SELECT turncred.usage_open(gen_random_uuid(), ''s'')', true, false, false),
  ('SELECT turncred.usage_deliver(''00000000-0000-0000-0000-0000000000aa'', ''[]'')', true, false, false),
  ('SELECT turncred.usage_progress(gen_random_uuid(), 1, ''[]'')', true, false, false),
  ('SELECT turncred.usage_lose(''s'', NULL)', false, false, false),
  ('SELECT turncred.usage_entries(''[]'', 0)', false, false, false),
  ('SELECT turncred.usage_hash(''x'', ''y'')', false, false, false),
  ('SELECT turncred.forgotten(''r'', ''y'')', false, false, false),
  ('SELECT turncred.session_end(''s/1/1'')', false, false, true),
  ('SELECT * FROM turncred.user_forget(''r'', ''x'')', false, false, true),
  ('SELECT * FROM turncred.maintain_usage()', false, false, true)
$$;

-- '' or the SQLSTATE
CREATE FUNCTION pg_temp.try(p_role text, p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text := '';
BEGIN
  BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', p_role);
    EXECUTE p_sql;
    RAISE EXCEPTION USING ERRCODE = 'TEST0';
  EXCEPTION WHEN OTHERS THEN
    -- TC003: it may ask, and there is no such object
    state := CASE SQLSTATE WHEN 'TEST0' THEN 'done' WHEN 'TC003' THEN 'done' WHEN 'TC004' THEN '42501' ELSE SQLSTATE END;
  END;
  RETURN state;
END
$$;
SELECT is(pg_temp.try(r, sql), CASE WHEN may THEN 'done' ELSE '42501' END, r || CASE WHEN may THEN ' may: ' ELSE ' must not: ' END || left(sql, 110))
  FROM pg_temp.statements(), LATERAL (VALUES ('t_server', server), ('t_issuer', issuer), ('t_admin', admin), ('t_nobody', false)) v(r, may);

-- an auditor sees usage and nothing else
SELECT is(pg_temp.try('t_auditor', sql), CASE WHEN sql ~ 'session_live_list|usage_daily|session_changes' THEN 'done' ELSE '42501' END,
  'an auditor: ' || left(sql, 110)) FROM pg_temp.statements();

-- rows that an issuer sees
SELECT turncred.tag_key_add('r', NULL, NULL, decode(repeat('01', 32), 'hex'));
SET LOCAL SESSION AUTHORIZATION t_issuer;
SELECT results_eq('SELECT kid FROM turncred.key ORDER BY kid', $$VALUES ('active'), ('published'), ('subject-tag')$$, 'an issuer sees the keys it may sign with');
RESET SESSION AUTHORIZATION;
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT is((SELECT count(*) FROM turncred.key), 4::bigint, 'a server sees all but the key of subject tags');
RESET SESSION AUTHORIZATION;

-- a report belongs to the role that made it
CREATE ROLE t_server2 LOGIN IN ROLE turncred_server;
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT lives_ok($$SELECT turncred.instance_report('one', 'server', '', '5', 0, '')$$, 'reports');
SET LOCAL SESSION AUTHORIZATION t_server2;
SELECT throws_ok($$SELECT turncred.instance_report('one', 'server', '', '999999999', 0, '')$$, 'TC004', NULL, 'not for another');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM turncred.behind('5')), 1::bigint, 'behind');
SELECT is((SELECT count(*) FROM turncred.behind('4')), 0::bigint, 'not behind');
SELECT is((SELECT count(*) FROM turncred.behind('5', interval '-1 second')), 0::bigint, 'silent ones may be left out');

-- a role does not make up servers: 16 rows without more ado, then only in the place of a silent one
SET LOCAL SESSION AUTHORIZATION t_server2;
SELECT lives_ok(format($$SELECT turncred.instance_report(%L, 'server', '', '1', 0, '')$$, 'made up ' || i), 'report ' || i)
  FROM generate_series(1, 16) i;
SELECT throws_ok($$SELECT turncred.instance_report('made up 17', 'server', '', '1', 0, '')$$, 'TC004', NULL, 'not a 17th');
SELECT lives_ok($$SELECT turncred.instance_report('made up 1', 'server', '', '2', 0, '')$$, 'the first goes on');
RESET SESSION AUTHORIZATION;
UPDATE turncred.instance SET last_seen = now() - interval '61 seconds' WHERE id = 'made up 3';
SET LOCAL SESSION AUTHORIZATION t_server2;
SELECT lives_ok($$SELECT turncred.instance_report('renamed', 'server', '', '1', 0, '')$$, 'in the place of a silent one');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT array_agg(id) FROM turncred.instance WHERE id IN ('renamed', 'made up 3', 'one')), '{one,renamed}'::text[],
  'the silent one is gone, and nobody else''s');
INSERT INTO turncred.reporter VALUES ('t_server2', 17);
SET LOCAL SESSION AUTHORIZATION t_server2;
SELECT lives_ok($$SELECT turncred.instance_report('allowed', 'server', '', '1', 0, '')$$, 'as many as an administrator allows');
RESET SESSION AUTHORIZATION;
DELETE FROM turncred.instance WHERE reported_by = 't_server2';

-- functions with the owner's rights
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE pronamespace = 'turncred'::regnamespace AND prosecdef
  AND (proowner <> 'turncred_owner'::regrole OR proconfig IS NULL OR NOT proconfig @> '{"search_path=pg_catalog, pg_temp"}')$$,
  'every SECURITY DEFINER function has the owner and a fixed search_path with pg_temp last');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
  WHERE pronamespace = 'turncred'::regnamespace AND a.grantee = 0$$, 'nothing is for PUBLIC: functions');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c, aclexplode(coalesce(relacl, acldefault('r', relowner))) a
  WHERE relnamespace = 'turncred'::regnamespace AND relkind IN ('r', 'p', 'v') AND a.grantee = 0$$, 'nothing is for PUBLIC: tables');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'turncred'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
  AND relowner <> 'turncred_owner'::regrole$$, 'all belongs to turncred_owner');
SELECT is((SELECT rolcanlogin OR rolsuper OR rolcreaterole OR rolbypassrls FROM pg_roles WHERE rolname = 'turncred_owner'), false, 'the owner cannot log in');
SELECT is_empty($$SELECT c.conname FROM pg_constraint c WHERE connamespace = 'turncred'::regnamespace AND contype = 'c' AND conname ~ 'check'$$, 'every constraint has a name of its own');

-- no key octets in what an error says
CREATE FUNCTION pg_temp.words(p_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  SET LOCAL SESSION AUTHORIZATION t_admin;
  EXECUTE p_sql;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN SQLERRM || ' ' || detail;
END
$$;
SELECT unalike(pg_temp.words($$SELECT turncred.key_add_plain('r', 'x', 'token', 'A256GCM', decode(repeat('ab', 31), 'hex'))$$), '%abab%', 'key_add_plain');
SELECT unalike(pg_temp.words($$INSERT INTO turncred.key (realm, kid, use, alg, plain) VALUES ('r', 'x', 'token', 'A256GCM', decode(repeat('ab', 31), 'hex'))$$), '%abab%', 'INSERT INTO key');
SELECT unalike(pg_temp.words($$INSERT INTO turncred.credential (realm, username, md5) VALUES ('r', 'a b', decode(repeat('ab', 16), 'hex'))$$), '%abab%', 'INSERT INTO credential');
SELECT unalike(pg_temp.words($$INSERT INTO turncred.key (realm, kid, use, alg, plain) SELECT realm, kid || '2', use, alg, plain FROM turncred.key WHERE kid = 'active'$$), '%' || md5('active') || '%', 'the same key twice');

-- a foreign server's keys: issuers sign with them, no server of ours gets one
INSERT INTO turncred.caller (name, cert_subject, scopes, realms) VALUES ('f', 'CN=f', '{stun-key}', '{f}');
INSERT INTO turncred.realm (name, server_name, at_rest, foreign_caller) VALUES ('f', 'turn.f', 'plain', 'f');
SELECT turncred.key_add_plain('f', 'shared', 'token', 'A128GCM', decode(md5('shared'), 'hex'));
SET LOCAL ROLE t_server;
SELECT is_empty($$SELECT kid FROM turncred.key WHERE realm = 'f'$$, 'a server of ours sees no key of a foreign realm');
SET LOCAL ROLE t_issuer;
SELECT results_eq($$SELECT kid FROM turncred.key WHERE realm = 'f'$$, ARRAY['shared'], 'an issuer does');
RESET ROLE;
SELECT throws_like($$UPDATE turncred.realm SET foreign_caller = NULL WHERE name = 'f'$$, '%belong to those who know them now',
  'a foreign realm with keys does not change hands');
SELECT throws_like($$DELETE FROM turncred.caller WHERE name = 'f'$$, '%realm_foreign_caller_fkey%', 'nor loses its caller');

SELECT * FROM finish();
ROLLBACK;
