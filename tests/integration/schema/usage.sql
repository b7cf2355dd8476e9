-- SPDX-License-Identifier: BSD-3-Clause
-- Who used what: what a realm wants to know, delivery, loss, the cursor, forgetting, retention.
BEGIN;
SELECT no_plan();
DELETE FROM turncred.realm;
INSERT INTO turncred.realm (name, server_name) VALUES ('off', 'turn.o');
INSERT INTO turncred.realm (name, server_name, usage)
  VALUES ('totals', 'turn.t', 'totals'), ('user', 'turn.u', 'user'), ('address', 'turn.a', 'address');
SELECT is((SELECT usage FROM turncred.realm WHERE name = 'off'), 'off', 'nothing is recorded unless a realm says so');
SELECT throws_like($$UPDATE turncred.realm SET usage = 'all'$$, '%realm_usage_known%', 'usage');
SELECT throws_like($$UPDATE turncred.realm SET retention_days = 0$$, '%realm_retention_days_range%', 'retention');

CREATE ROLE t_server LOGIN IN ROLE turncred_server;
CREATE ROLE t_server2 LOGIN IN ROLE turncred_server;
CREATE ROLE t_auditor LOGIN IN ROLE turncred_auditor;
CREATE FUNCTION pg_temp.us(p_at timestamptz) RETURNS bigint LANGUAGE sql AS $$SELECT (extract(epoch FROM p_at) * 1000000)::bigint$$;
CREATE FUNCTION pg_temp.entry(p_q bigint, p_e text, p_n bigint, p_realm text, p_more text DEFAULT '{}', p_life timestamptz DEFAULT '2026-01-01')
  RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('q', p_q, 'e', p_e, 'l', pg_temp.us(p_life), 'n', p_n, 'realm', p_realm, 'm', 'derived', 'sub', 'alice',
    'kid', 'k1', 'tr', 'udp', 'ca', '192.0.2.1:5', 'ra', '192.0.2.9:6', 't', pg_temp.us(now() - interval '1 minute'),
    'u', pg_temp.us(now()), 'why', 'client', 'c', '[1,2,3,4,5,6,7,8]'::jsonb) || p_more::jsonb
$$;
CREATE FUNCTION pg_temp.deliver(VARIADIC p_entries jsonb[]) RETURNS bigint LANGUAGE sql AS $$
  SELECT turncred.usage_deliver('00000000-0000-0000-0000-000000000001', to_jsonb(p_entries))
$$;
GRANT ALL ON ALL FUNCTIONS IN SCHEMA pg_temp TO PUBLIC;
CREATE FUNCTION pg_temp.live() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(number::text, ' ' ORDER BY number) FROM turncred.session_live$$;
CREATE FUNCTION pg_temp.log() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(number || ' ' || why, ', ' ORDER BY number) FROM turncred.session_log$$;

-- opening
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT throws_ok($$SELECT pg_temp.deliver(pg_temp.entry(1, 'start', 1, 'user'))$$, 'TC003', NULL, 'not open yet');
SELECT is(turncred.usage_open('00000000-0000-0000-0000-000000000001', 's1'), 0::bigint, 'a new journal');
SELECT turncred.instance_report('s1', 'server', '', '5', 0, '');
SET LOCAL SESSION AUTHORIZATION t_server2;
SELECT throws_ok($$SELECT turncred.usage_open('00000000-0000-0000-0000-000000000001', 's2')$$, 'TC004', NULL, 'not the journal of another role');
SELECT throws_ok($$SELECT turncred.usage_open('00000000-0000-0000-0000-000000000002', 's1')$$, 'TC004', NULL, 'nor its instance');
SELECT throws_ok($$SELECT turncred.usage_deliver('00000000-0000-0000-0000-000000000001', '[]')$$, 'TC003', NULL, 'nor entries of it');
SELECT is(turncred.usage_progress('00000000-0000-0000-0000-000000000001', 1, '[]'), 0::bigint, 'nor progress');

-- what each realm wants to know
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT is(pg_temp.deliver(pg_temp.entry(1, 'begin', 0, ''), pg_temp.entry(2, 'start', 1, 'off'), pg_temp.entry(3, 'start', 2, 'totals'),
  pg_temp.entry(4, 'start', 3, 'user'), pg_temp.entry(5, 'start', 4, 'address'), pg_temp.entry(6, 'start', 5, 'gone')), 6::bigint, 'starts');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.live(), '2 3 4', 'off and unknown realms have no rows');
SELECT results_eq($$SELECT number, subject, subject_hash IS NULL, client_address, relayed_address FROM turncred.session_live ORDER BY 1$$,
  $$VALUES (2::bigint, NULL::text, false, NULL::text, NULL::text), (3, 'alice', true, NULL, NULL), (4, 'alice', true, '192.0.2.1:5', '192.0.2.9:6')$$,
  'totals has no user, user no address');
SELECT is((SELECT subject_hash FROM turncred.session_live WHERE number = 2),
  (SELECT left(encode(sha256(usage_salt || 'alice'), 'hex'), 32) FROM turncred.realm WHERE name = 'totals'), 'the hash is keyed by the realm');

-- progress
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT is(turncred.usage_progress('00000000-0000-0000-0000-000000000001', pg_temp.us('2026-01-01'),
  jsonb_build_array(jsonb_build_object('n', 3, 't', pg_temp.us(now()), 'ca', '198.51.100.1:1', 'c', '[10,20,30,40,50,60,70,4294967297]'::jsonb),
  jsonb_build_object('n', 99, 't', 1, 'c', '[1,1,1,1,1,1,1,1]'::jsonb))), 1::bigint, 'of a living session');
RESET SESSION AUTHORIZATION;
SELECT results_eq($$SELECT received_octets, peer_sent_packets, client_address, last_seen FROM turncred.session_live WHERE number = 3$$,
  $$VALUES (10::bigint, 4294967297, NULL::text, now())$$, 'counters of 64 bits, and still no address');

-- of several reports of a session the newest holds, in whatever order they come
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT is(turncred.usage_progress('00000000-0000-0000-0000-000000000001', pg_temp.us('2026-01-01'),
  jsonb_build_array(jsonb_build_object('n', 3, 't', pg_temp.us(now()) - 1, 'c', '[9,9,9,9,9,9,9,9]'::jsonb))), 0::bigint,
  'an older report changes nothing');
SELECT turncred.usage_progress('00000000-0000-0000-0000-000000000001', pg_temp.us('2026-01-01'),
  jsonb_build_array(jsonb_build_object('n', 4, 't', pg_temp.us(now()) - 2, 'c', '[1,0,0,0,0,0,0,0]'::jsonb),
    jsonb_build_object('n', 4, 't', pg_temp.us(now()), 'c', '[3,0,0,0,0,0,0,0]'::jsonb),
    jsonb_build_object('n', 4, 't', pg_temp.us(now()) - 1, 'c', '[2,0,0,0,0,0,0,0]'::jsonb)));
RESET SESSION AUTHORIZATION;
SELECT is((SELECT received_octets FROM turncred.session_live WHERE number = 3), 10::bigint, 'nor takes anything back');
SELECT is((SELECT received_octets FROM turncred.session_live WHERE number = 4), 3::bigint, 'the newest of a statement');

-- ends, each once
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT is(pg_temp.deliver(pg_temp.entry(7, 'end', 1, 'off'), pg_temp.entry(8, 'end', 3, 'user'),
  pg_temp.entry(9, 'end', 6, 'user', '{"why": "expired", "sub": "bob"}')), 9::bigint, 'ends, one without a start');
SELECT is(pg_temp.deliver(pg_temp.entry(8, 'end', 3, 'user'), pg_temp.entry(9, 'end', 6, 'user')), 9::bigint, 'twice does no harm');
SELECT is(pg_temp.deliver(pg_temp.entry(9, 'end', 6, 'user'), pg_temp.entry(10, 'end', 2, 'totals')), 10::bigint, 'nor overlapping');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.log(), '2 client, 3 client, 6 expired', 'each once');
SELECT is(pg_temp.live(), '4', 'and no longer alive');
SELECT is((SELECT subject FROM turncred.session_log WHERE number = 2), NULL, 'totals: the log has no user');
SELECT results_eq($$SELECT received_octets, sent_octets, received_packets, sent_packets, peer_received_octets, peer_sent_octets,
  peer_received_packets, peer_sent_packets FROM turncred.session_log WHERE number = 3$$,
  $$VALUES (1::bigint, 2::bigint, 3::bigint, 4::bigint, 5::bigint, 6::bigint, 7::bigint, 8::bigint)$$, 'in their order');

-- a token's user stands in issue_log
INSERT INTO turncred.issue_log (realm, kind, kid, fingerprint, subject, expiry)
  VALUES ('user', 'token', 'k1', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'carol', now() + interval '1 hour');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.deliver(pg_temp.entry(11, 'end', 7, 'user', '{"fp": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sub": "tag:1"}'),
  pg_temp.entry(12, 'end', 8, 'user', '{"fp": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "sub": "tag:2"}'));
RESET SESSION AUTHORIZATION;
SELECT is((SELECT string_agg(subject, ' ' ORDER BY number) FROM turncred.session_log WHERE number IN (7, 8)), 'carol tag:2', 'by its fingerprint');

-- a server that comes back has lost its earlier sessions; one that was given up may still tell
SELECT is(turncred.usage_lose('s1', '2025-12-31'), 0::bigint, 'nothing is lost of this life');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.deliver(pg_temp.entry(13, 'start', 9, 'user', '{}', '2026-01-02'), pg_temp.entry(14, 'begin', 0, '', '{}', '2026-01-02'));
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.live(), '9', 'the sessions of the new life go on');
SELECT is((SELECT why FROM turncred.session_log WHERE number = 4), 'lost', 'those of the earlier one are lost');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.deliver(pg_temp.entry(15, 'end', 4, 'address'));
RESET SESSION AUTHORIZATION;
SELECT is((SELECT string_agg(why, ' ') FROM turncred.session_log WHERE number = 4), 'client', 'found after all, and not twice');
UPDATE turncred.instance SET last_seen = now() - interval '2 days' WHERE id = 's1';
SELECT is((SELECT object FROM turncred.maintain_usage() WHERE action = 'lose'), '1 sessions of s1', 'maintenance gives up a silent server');
SELECT is((SELECT why FROM turncred.session_log WHERE number = 9), 'lost', 'as lost');

-- usage of a day
SELECT results_eq($$SELECT subject, sessions, seconds, received_octets, sent_octets, lost FROM turncred.usage_daily
  WHERE realm = 'user' AND subject IN ('bob', 'carol') ORDER BY 1$$,
  $$VALUES ('bob', 1::bigint, 60::bigint, 1::bigint, 2::bigint, 0::bigint), ('carol', 1, 60, 1, 2, 0)$$, 'a user''s day');

-- an auditor sees this and no more; rows of this transaction are not settled
SET LOCAL SESSION AUTHORIZATION t_auditor;
SELECT is((SELECT count(*) FROM turncred.session_live_list), 0::bigint, 'live sessions');
SELECT cmp_ok((SELECT count(*) FROM turncred.usage_daily), '>', 3::bigint, 'days');
SELECT is((SELECT count(*) FROM turncred.session_changes()), 0::bigint, 'no change of an open transaction');
SELECT throws_ok('SELECT * FROM turncred.session_log', '42501', NULL, 'no tables');
RESET SESSION AUTHORIZATION;
UPDATE turncred.session_log SET xid = '3' WHERE number IN (2, 3, 6);
UPDATE turncred.session_log SET xid = '4' WHERE number IN (7, 8);
SET LOCAL SESSION AUTHORIZATION t_auditor;
SELECT is((SELECT count(*) FROM turncred.session_changes()), 5::bigint, 'settled ones');
SELECT is((SELECT count(*) FROM turncred.session_changes('0/0', 2)), 2::bigint, 'in portions');
SELECT is((SELECT count(*) FROM turncred.session_changes((SELECT max(cursor) FROM turncred.session_changes('0/0', 3)))), 2::bigint, 'from a cursor on');
SELECT is((SELECT string_agg(event, ' ') FROM turncred.session_changes('0/0', 2)), 'ended ended', 'what happened');
RESET SESSION AUTHORIZATION;

-- ending one
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.deliver(pg_temp.entry(16, 'start', 10, 'user', '{"sub": "dave"}', '2026-01-02'),
  pg_temp.entry(17, 'start', 11, 'totals', '{"sub": "dave"}', '2026-01-02'));
RESET SESSION AUTHORIZATION;
SELECT throws_ok($$SELECT turncred.session_end('s1/1/1')$$, 'TC003', NULL, 'one that does not live');
SELECT throws_ok($$SELECT turncred.session_end('')$$, 'TC003', NULL, 'nor nothing');
SELECT lives_ok($$SELECT turncred.session_end(session) FROM turncred.session_live_list WHERE subject = 'dave'$$, 'one that does');
SELECT is((SELECT name FROM turncred.change WHERE kind = 'session'), 's1/1767312000000000/10', 'goes through the change feed');
SELECT is((SELECT subject FROM turncred.session_live_list WHERE realm = 'totals'),
  (SELECT 'hash:' || turncred.usage_hash(usage_salt, 'dave') FROM turncred.realm WHERE name = 'totals'), 'the list has the hash');

-- forgetting
INSERT INTO turncred.issue_log (realm, kind, kid, fingerprint, subject, expiry)
  VALUES ('user', 'token', 'k1', 'dddddddddddddddddddddddddddddddd', 'dave', now() + interval '1 hour');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.deliver(pg_temp.entry(18, 'end', 12, 'user', '{"sub": "dave"}', '2026-01-02'));
RESET SESSION AUTHORIZATION;
SELECT results_eq($$SELECT object, rows FROM turncred.user_forget('user', 'dave')$$,
  $$VALUES ('session_log', 1::bigint), ('session_live', 1), ('issue_log', 1)$$, 'a user is forgotten');
SELECT is((SELECT count(*) FROM turncred.session_log WHERE subject = 'dave') + (SELECT count(*) FROM turncred.session_live WHERE subject = 'dave')
  + (SELECT count(*) FROM turncred.issue_log WHERE subject = 'dave'), 0::bigint, 'everywhere');
SELECT is((SELECT count(*) FROM turncred.session_log WHERE number = 12), 1::bigint, 'the session stays');
SELECT throws_ok($$SELECT turncred.user_forget('none', 'dave')$$, 'TC001', NULL, 'no such realm');
SELECT turncred.revoke('user', 'user', 'dave');
SELECT is((SELECT count(*) FROM turncred.revocation WHERE kind = 'token' AND name = 'dddddddddddddddddddddddddddddddd'), 1::bigint,
  'and is revoked with all tokens');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.deliver(pg_temp.entry(19, 'end', 10, 'user', '{"sub": "dave"}', '2026-01-02'));
RESET SESSION AUTHORIZATION;
SELECT results_eq($$SELECT subject, received_octets FROM turncred.session_log WHERE number = 10$$, $$VALUES (NULL::text, 1::bigint)$$,
  'a session that lived while its user was forgotten has no user when it ends');

-- a realm that records less has less from then on
UPDATE turncred.realm SET usage = 'off' WHERE name = 'totals';
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.deliver(pg_temp.entry(20, 'end', 11, 'totals', '{}', '2026-01-02'));
RESET SESSION AUTHORIZATION;
SELECT is((SELECT count(*) FROM turncred.session_log WHERE number = 11), 0::bigint, 'switched off: not recorded');
SELECT is(pg_temp.live(), NULL, 'and not alive');

-- retention
SELECT is((SELECT count(*) FROM pg_inherits WHERE inhparent = 'turncred.session_log'::regclass), 8::bigint,
  'maintenance made partitions, but none for today, whose rows are in the default one');
UPDATE turncred.realm SET retention_days = 2 WHERE name = 'user';
UPDATE turncred.session_log SET ended_at = now() - interval '3 days' WHERE number IN (6, 4);
INSERT INTO turncred.issue_log (issued_at, realm, kind, subject, expiry) VALUES
  (now() - interval '3 days', 'user', 'derived', 'old', now() - interval '2 days'),
  (now() - interval '40 days', 'user', 'derived', 'forgotten:00112233445566778899aabbccddeeff', now() - interval '2 days'),
  (now() - interval '3 days', 'user', 'derived', 'valid', now() + interval '2 days'),
  (now() - interval '3 days', 'address', 'derived', 'kept', now() - interval '2 days');
SELECT turncred.maintain_usage();
SELECT is((SELECT count(*) FROM turncred.session_log WHERE number = 6), 0::bigint, 'a realm keeps what it says');
SELECT is((SELECT count(*) FROM turncred.session_log WHERE number = 4), 1::bigint, 'another one for longer');
SELECT is((SELECT string_agg(left(subject, 9), ' ' ORDER BY subject) FROM turncred.issue_log WHERE issued_at BETWEEN now() - interval '5 days' AND now() - interval '1 day'),
  'forgotten kept valid', 'subjects of issue_log, too, unless their credential still lives');
SELECT is((SELECT subject FROM turncred.issue_log WHERE issued_at < now() - interval '30 days'),
  turncred.forgotten('user', 'forgotten:00112233445566778899aabbccddeeff'), 'even of a user who is called like one that is forgotten');
UPDATE turncred.session_log SET ended_at = now() - interval '31 days' WHERE number = 4;
SELECT turncred.maintain_usage();
SELECT is((SELECT count(*) FROM turncred.issue_log WHERE subject = turncred.forgotten('user', 'old')), 1::bigint, 'forgotten once');
SELECT is((SELECT count(*) FROM turncred.session_log WHERE number = 4), 0::bigint, '30 days by default');
DELETE FROM turncred.realm WHERE name = 'address';

SELECT * FROM finish();
ROLLBACK;
