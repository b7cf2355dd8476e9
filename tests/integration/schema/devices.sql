-- SPDX-License-Identifier: BSD-3-Clause
-- Pushed credentials whose user id is not their username: a row for each device of a user.
BEGIN;
SELECT no_plan();

INSERT INTO turncred.realm (name, server_name, at_rest) VALUES ('dr', 'turn.dr', 'plain'), ('ds', 'turn.s', 'sealed');
CREATE FUNCTION pg_temp.push(p_user text, p_name text, p_expiry timestamptz DEFAULT NULL, p_realm text DEFAULT 'dr')
  RETURNS xid8 LANGUAGE sql AS $$
  SELECT turncred.credential_push_plain_of(p_realm, p_user, p_name, decode(md5(p_name), 'hex'), p_expiry => p_expiry)
$$;
CREATE FUNCTION pg_temp.names(p_user text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(username, ' ' ORDER BY username) FROM turncred.credential_list WHERE realm = 'dr' AND user_id = p_user
$$;

SELECT isnt(pg_temp.push('alice', 'alice~1'), NULL, 'one device');
SELECT isnt(pg_temp.push('alice', 'alice~2'), NULL, 'another');
SELECT isnt(turncred.credential_push_plain('dr', 'alice', decode(md5('alice'), 'hex')), NULL, 'the one without a device');
SELECT isnt(pg_temp.push('bob', 'bob~1'), NULL, 'somebody else''s');
SELECT is(pg_temp.names('alice'), 'alice alice~1 alice~2', 'the list tells whose they are');
SELECT lives_ok($$SELECT turncred.credential_push_of('ds', 'alice', 'alice~1', decode(repeat('00', 76), 'hex'), 'main')$$, 'sealed');
SELECT is((SELECT user_id FROM turncred.credential WHERE realm = 'dr' AND username = 'alice'), NULL, 'null: as it always was');

-- a username is one user's
SELECT isnt(pg_temp.push('alice', 'alice~1'), NULL, 'replaced by its own user');
SELECT throws_ok($$SELECT pg_temp.push('bob', 'alice~1')$$, 'TC004', NULL, 'not by another');
SELECT throws_ok($$SELECT pg_temp.push('bob', 'alice')$$, 'TC004', NULL, 'nor the one that is nobody''s device');
SELECT throws_ok($$SELECT turncred.credential_push_plain('dr', 'alice~1', decode(md5('x'), 'hex'))$$, 'TC004', NULL,
  'nor by a user of that name');
SELECT throws_ok($$SELECT turncred.credential_push_password('dr', 'alice~1', 'sixteen octets or more')$$, 'TC004', NULL,
  'nor with a password');
SELECT throws_ok($$SELECT turncred.credential_push_recorded('dr', 'alice~1', NULL, NULL, decode(md5('x'), 'hex'), NULL, NULL, '', '', '')$$,
  'TC004', NULL, 'nor by an issuer');
UPDATE turncred.credential SET expiry = now() - interval '1 minute' WHERE username = 'alice~1';
SELECT isnt(pg_temp.push('bob', 'alice~1'), NULL, 'but when it has expired');
SELECT is(pg_temp.names('bob'), 'alice~1 bob~1', 'then it is bob''s');
SELECT turncred.credential_remove('dr', 'alice~1');
SELECT pg_temp.push('alice', 'alice~1');

-- limits: those of the push that made the row
CREATE FUNCTION pg_temp.limited(p_name text, p_bps bigint, p_allocations integer, p_user text DEFAULT NULL) RETURNS xid8 LANGUAGE sql AS $$
  SELECT turncred.credential_push_limited('dr', p_user, p_name, NULL, NULL, decode(md5(p_name), 'hex'), NULL, NULL, '', p_bps,
    p_allocations)
$$;
CREATE FUNCTION pg_temp.limits(p_name text) RETURNS text LANGUAGE sql AS $$
  SELECT max_bps || ' ' || max_allocations FROM turncred.credential_list WHERE realm = 'dr' AND username = p_name
$$;
SELECT isnt(pg_temp.limited('leo', 3000, 2), NULL, 'with limits');
SELECT is(pg_temp.limits('leo'), '3000 2', 'the list tells them');
SELECT isnt(pg_temp.limited('leo', NULL, 5), NULL, 'another push, one limit');
SELECT is(pg_temp.limits('leo'), '0 5', 'has its own');
SELECT turncred.credential_push_plain('dr', 'leo', decode(md5('leo'), 'hex'));
SELECT is(pg_temp.limits('leo'), '0 0', 'the calls of before have none');
SELECT throws_ok($$SELECT pg_temp.limited('leo', 1, 1, 'mia')$$, 'TC004', NULL, 'a username stays one user''s');
SELECT throws_like($$SELECT pg_temp.limited('leo', -1, 0)$$, '%credential_max_bps_range%', 'no negative number');
SELECT throws_like($$SELECT pg_temp.limited('leo', 0, -1)$$, '%credential_max_allocations_range%', 'of either');
SELECT turncred.credential_push_limited('dr', NULL, 'nan', NULL, NULL, decode(md5('x'), 'hex'), NULL, NULL, '', 1, 1, 'issuer1', 'edge');
SELECT is((SELECT count(*) FROM turncred.issue_log WHERE realm = 'dr' AND subject = 'nan' AND kind = 'pushed'), 1::bigint, 'recorded where an issuer says who it is');
DELETE FROM turncred.issue_log WHERE realm = 'dr' AND subject = 'nan';
DELETE FROM turncred.credential WHERE realm = 'dr' AND username IN ('leo', 'nan');

-- constraints
SELECT throws_like(format('SELECT pg_temp.push(%L, %L)', u, 'x'), c, c) FROM (VALUES
  ('', '%credential_user_id_length%'), (repeat('u', 509), '%credential_user_id_length%'),
  ('a b', '%credential_user_id_characters%'), (E'a\u0001', '%credential_user_id_characters%'),
  ('union select', '%credential_user_id_characters%'), ('a"b', '%credential_user_id_characters%')) v(u, c);

-- who issued what, and who is welcome
SELECT turncred.credential_push_recorded_of('dr', 'alice', 'alice~3', NULL, NULL, decode(md5('x'), 'hex'), NULL,
  now() + interval '1 hour', '', 'issuer', 'caller');
SELECT is((SELECT subject FROM turncred.issue_log WHERE realm = 'dr'), 'alice', 'issue_log tells the user');
SELECT turncred.credential_push_recorded_of('dr', NULL, 'carol', NULL, NULL, decode(md5('x'), 'hex'), NULL, NULL, '', '', '');
SELECT is(pg_temp.names('carol'), 'carol', 'without a user id the username is the user');

-- revoked: all devices, and nobody else's
SELECT turncred.revoke('user', 'dr', 'alice');
SELECT is(pg_temp.names('alice'), NULL, 'all devices are gone');
SELECT is(pg_temp.names('bob'), 'bob~1', 'bob''s is not');
SELECT throws_ok($$SELECT pg_temp.push('alice', 'alice~4')$$, 'TC002', NULL, 'a revoked user gets no new device');
SELECT throws_ok($$SELECT pg_temp.push('alice', 'Alice')$$, 'TC002', NULL, 'under whatever username');
SELECT turncred.lift('user', 'dr', 'alice');
SELECT isnt(pg_temp.push('alice', 'alice~4'), NULL, 'lifted');
-- revoking a user whose name is a device's username touches no device
SELECT pg_temp.push('alice', 'mallory');
SELECT turncred.revoke('user', 'dr', 'mallory');
SELECT is(pg_temp.names('alice'), 'alice~4 mallory', 'mallory is not alice');
SELECT turncred.lift('user', 'dr', 'mallory');

-- take back: one device, or its user
SELECT is((SELECT removed FROM turncred.credential_take_back('dr', 'mallory', false)), true, 'one device');
SELECT is(pg_temp.names('alice'), 'alice~4', 'the other stays');
SELECT is((SELECT removed FROM turncred.credential_take_back('dr', 'alice~4', true)), true, 'revoked by the name of a device');
SELECT is(turncred.is_revoked('user', 'dr', 'alice'), true, 'its user is revoked');
SELECT is(turncred.is_revoked('user', 'dr', 'alice~4'), false, 'not the device''s name');
SELECT turncred.credential_take_back('dr', 'nobody', true);
SELECT is(turncred.is_revoked('user', 'dr', 'nobody'), true, 'and without a credential the user of that name');

-- roles
CREATE ROLE d_issuer LOGIN IN ROLE turncred_issuer;
CREATE ROLE d_server LOGIN IN ROLE turncred_server;
SET LOCAL SESSION AUTHORIZATION d_issuer;
SELECT lives_ok($$SELECT turncred.credential_push_plain_of('dr', 'dave', 'dave~1', decode(md5('x'), 'hex'))$$, 'an issuer pushes');
SELECT lives_ok($$SELECT turncred.credentials_remove('dr', 'dave')$$, 'and removes all of a user''s');
SELECT throws_ok($$SELECT turncred.credential_put('dr', 'x', 'y', NULL, NULL, decode(md5('x'), 'hex'), NULL, NULL, '')$$, '42501', NULL, 'inner function');
RESET SESSION AUTHORIZATION;
SET LOCAL SESSION AUTHORIZATION d_server;
SELECT throws_ok($$SELECT turncred.credentials_remove('dr', 'bob')$$, '42501', NULL, 'a server does not');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.names('dave'), NULL, 'removed');

SELECT * FROM finish();
ROLLBACK;
