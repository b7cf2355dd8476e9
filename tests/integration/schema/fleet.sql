-- SPDX-License-Identifier: BSD-3-Clause
-- A fleet: who says goodbye is not waited for.
BEGIN;
SELECT no_plan();
DELETE FROM turncred.instance;
CREATE ROLE t_server LOGIN IN ROLE turncred_server;
CREATE ROLE t_server2 LOGIN IN ROLE turncred_server;
CREATE FUNCTION pg_temp.report(p_id text) RETURNS void LANGUAGE sql AS
  $$SELECT turncred.instance_report(p_id, 'server', '', '5', 0, '')$$;
CREATE FUNCTION pg_temp.behind() RETURNS text LANGUAGE sql AS $$SELECT string_agg(id, ' ') FROM turncred.behind('5')$$;
GRANT ALL ON ALL FUNCTIONS IN SCHEMA pg_temp TO PUBLIC;

-- goodbye
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.report('a'), pg_temp.report('b');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.behind(), 'a b', 'both are waited for');
SET LOCAL SESSION AUTHORIZATION t_server2;
SELECT turncred.instance_stopped('a');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.behind(), 'a b', 'nobody says goodbye for another');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT turncred.instance_stopped('a'), turncred.instance_stopped('nobody');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.behind(), 'b', 'who has said goodbye is not waited for');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.report('a');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.behind(), 'a b', 'and is waited for when it reports again');

-- a stopped instance makes way for a new one, before a silent one and without a minute's silence
INSERT INTO turncred.reporter VALUES ('t_server', 2);
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT turncred.instance_stopped('b');
RESET SESSION AUTHORIZATION;
UPDATE turncred.instance SET last_seen = now() - interval '1 hour' WHERE id = 'a';
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT lives_ok($$SELECT pg_temp.report('c')$$, 'a third name');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT string_agg(id, ' ' ORDER BY id) FROM turncred.instance), 'a c', 'in the place of the stopped one');

-- advertising: canonical URIs, of one's own row alone; who may be named
DELETE FROM turncred.reporter WHERE role = 't_server';
DELETE FROM turncred.instance;
DELETE FROM turncred.change;
CREATE FUNCTION pg_temp.advertise(p_id text, p_uri text, p_region text DEFAULT 'eu') RETURNS void LANGUAGE sql AS
  $$SELECT turncred.instance_advertise(p_id, ARRAY[p_uri], p_region, 100, 3)$$;
CREATE FUNCTION pg_temp.named() RETURNS text LANGUAGE sql AS
  $$SELECT string_agg(id || CASE WHEN draining THEN ' drained' ELSE '' END, ', ') FROM turncred.servers()$$;
CREATE FUNCTION pg_temp.told() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM turncred.change WHERE kind = 'server'$$;
GRANT ALL ON ALL FUNCTIONS IN SCHEMA pg_temp TO PUBLIC;
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.report('a'), pg_temp.report('b');
SELECT pg_temp.advertise('a', 'TURN:A.example:3478?transport=UDP'), pg_temp.advertise('b', 'turns:[2001:DB8::1]:443');
SELECT throws_ok($$SELECT pg_temp.advertise('a', 'turn://a.example')$$, '23514', NULL, 'no TURN URI');
SELECT throws_ok($$SELECT pg_temp.advertise('a', 'turn:a.example', 'e u')$$, '23514', NULL, 'no region');
RESET SESSION AUTHORIZATION;
SELECT is((SELECT string_agg(uris[1], ' ' ORDER BY id) FROM turncred.instance), 'turn:a.example:3478?transport=udp turns:[2001:db8::1]:443', 'one spelling');
SELECT is(pg_temp.told(), 2::bigint, 'servers and issuers are told');
SET LOCAL SESSION AUTHORIZATION t_server2;
SELECT pg_temp.advertise('a', 'turn:evil.example');
SELECT is((SELECT uris[1] FROM turncred.servers() WHERE id = 'a'), 'turn:a.example:3478?transport=udp', 'nobody advertises for another');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.report('a'), pg_temp.advertise('a', 'turn:a.example:3478?transport=udp');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.told(), 2::bigint, 'what stays as it was is not told again');
SELECT throws_ok($$SELECT turncred.server_drain('a')$$, 'TC005', NULL, 'a program that would not obey');
UPDATE turncred.instance SET schema_known = 13, software_at = last_seen WHERE id = 'a';
SELECT turncred.server_drain('a');
SELECT is(pg_temp.named(), 'a drained, b', 'drained');
SELECT is(pg_temp.told(), 3::bigint, 'told');
SET LOCAL SESSION AUTHORIZATION t_server;
SELECT pg_temp.report('a'), pg_temp.advertise('a', 'turn:a.example:3478?transport=udp'), turncred.instance_stopped('b');
RESET SESSION AUTHORIZATION;
SELECT is(pg_temp.named(), 'a drained', 'a report does not end it; a stopped one is named no more');
SELECT is(pg_temp.told(), 4::bigint, 'told');
SELECT turncred.server_drain('a', false);
SELECT is(pg_temp.named(), 'a', 'undrained');
SELECT throws_ok($$SELECT turncred.server_drain('nobody')$$, 'TC003', NULL, 'no such server');

SELECT * FROM finish();
ROLLBACK;
