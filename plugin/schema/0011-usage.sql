-- turncred schema, version 11: who used what: live sessions, ended ones, retention
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. Nothing is recorded until a realm says so (realm.usage).

-- --- a role that sees usage and nothing else: it belongs to the cluster ---------------------------

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'turncred_auditor') THEN
    CREATE ROLE turncred_auditor NOLOGIN;
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN
    NULL; -- made meanwhile for another database
  WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'role % may not create the role turncred_auditor', current_user
      USING ERRCODE = 'insufficient_privilege', HINT = 'As a superuser: CREATE ROLE turncred_auditor NOLOGIN; and try again.';
END
$$;

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- --- what a realm wants to know -------------------------------------------------------------------

ALTER TABLE turncred.realm
  ADD COLUMN usage text NOT NULL DEFAULT 'off',
  ADD COLUMN retention_days integer NOT NULL DEFAULT 30,
  ADD COLUMN usage_salt bytea NOT NULL DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
  ADD CONSTRAINT realm_usage_known CHECK (usage IN ('off', 'totals', 'user', 'address')),
  ADD CONSTRAINT realm_retention_days_range CHECK (retention_days BETWEEN 1 AND 36500),
  ADD CONSTRAINT realm_usage_salt_length CHECK (octet_length(usage_salt) = 32);
COMMENT ON COLUMN turncred.realm.usage IS
  'off: nothing is recorded of sessions; totals: without users; user: with user ids; address: with addresses, too';
COMMENT ON COLUMN turncred.realm.retention_days IS
  'days for which session_log and the subjects of issue_log are kept; turncredctl maintain carries it out';
COMMENT ON COLUMN turncred.realm.usage_salt IS 'key of the hashes that stand for user ids where these are not kept';

-- A user id where it is not kept. turncred.so makes the same.
CREATE FUNCTION turncred.usage_hash(p_salt bytea, p_subject text) RETURNS text
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT left(encode(sha256(p_salt || convert_to(p_subject, 'UTF8')), 'hex'), 32);
END;

-- --- sessions -------------------------------------------------------------------------------------
-- A session is an allocation. Octets and packets are coturn's own counters: whole messages, STUN and ChannelData headers
-- included; peer_ is the side of the peers.

CREATE SEQUENCE turncred.session_event AS bigint;

CREATE TABLE turncred.session_live (
  instance              text        NOT NULL,
  server_start          timestamptz NOT NULL,
  number                bigint      NOT NULL,
  realm                 text        NOT NULL,
  mechanism             text        NOT NULL,
  subject               text,
  subject_hash          text,
  kid                   text        NOT NULL DEFAULT '',
  transport             text        NOT NULL DEFAULT '',
  client_address        text,
  relayed_address       text,
  started_at            timestamptz NOT NULL,
  last_seen             timestamptz NOT NULL,
  received_octets       bigint      NOT NULL DEFAULT 0,
  sent_octets           bigint      NOT NULL DEFAULT 0,
  received_packets      bigint      NOT NULL DEFAULT 0,
  sent_packets          bigint      NOT NULL DEFAULT 0,
  peer_received_octets  bigint      NOT NULL DEFAULT 0,
  peer_sent_octets      bigint      NOT NULL DEFAULT 0,
  peer_received_packets bigint      NOT NULL DEFAULT 0,
  peer_sent_packets     bigint      NOT NULL DEFAULT 0,
  xid                   xid8        NOT NULL DEFAULT pg_current_xact_id(),
  event                 bigint      NOT NULL DEFAULT nextval('turncred.session_event'),
  CONSTRAINT session_live_pkey PRIMARY KEY (instance, server_start, number)
) WITH (fillfactor = 70);
-- counters stand in no index: an update of them alone writes no index
CREATE INDEX session_live_event ON turncred.session_live (xid, event);
CREATE INDEX session_live_subject ON turncred.session_live (realm, subject) WHERE subject IS NOT NULL;
COMMENT ON TABLE turncred.session_live IS 'allocations that live, as their servers last told; deleted when they end';
COMMENT ON COLUMN turncred.session_live.server_start IS 'the life of the server: number is unique in it';
COMMENT ON COLUMN turncred.session_live.subject_hash IS 'of the user id, where the realm does not keep it';

CREATE TABLE turncred.session_log (
  ended_at              timestamptz NOT NULL,
  started_at            timestamptz NOT NULL,
  realm                 text        NOT NULL,
  mechanism             text        NOT NULL,
  subject               text,
  kid                   text        NOT NULL DEFAULT '',
  transport             text        NOT NULL DEFAULT '',
  client_address        text,
  relayed_address       text,
  instance              text        NOT NULL,
  server_start          timestamptz NOT NULL,
  number                bigint      NOT NULL,
  why                   text        NOT NULL,
  received_octets       bigint      NOT NULL,
  sent_octets           bigint      NOT NULL,
  received_packets      bigint      NOT NULL,
  sent_packets          bigint      NOT NULL,
  peer_received_octets  bigint      NOT NULL,
  peer_sent_octets      bigint      NOT NULL,
  peer_received_packets bigint      NOT NULL,
  peer_sent_packets     bigint      NOT NULL,
  xid                   xid8        NOT NULL DEFAULT pg_current_xact_id(),
  event                 bigint      NOT NULL DEFAULT nextval('turncred.session_event'),
  CONSTRAINT session_log_why_known CHECK
    (why IN ('client', 'expired', 'revoked', 'operator', 'drained', 'lost', 'stopped'))
) PARTITION BY RANGE (ended_at);
CREATE INDEX session_log_event ON turncred.session_log (xid, event);
CREATE INDEX session_log_subject ON turncred.session_log (realm, subject, ended_at) WHERE subject IS NOT NULL;
-- a session that was given up may still tell its end
CREATE INDEX session_log_lost ON turncred.session_log (instance, server_start, number) WHERE why = 'lost';
CREATE TABLE turncred.session_log_default PARTITION OF turncred.session_log DEFAULT;
COMMENT ON TABLE turncred.session_log IS 'allocations that have ended, a row each, written once';
COMMENT ON COLUMN turncred.session_log.why IS
  'client: the client ended it; expired: it was not refreshed, or its credential ran out; revoked: its credential was; '
  'operator: turncredctl session end; stopped: its server was; lost: its server died, the counters are the last it told';

-- Whose a token is stands in issue_log; servers know its fingerprint alone.
CREATE INDEX issue_log_fingerprint ON turncred.issue_log (fingerprint) WHERE fingerprint <> '';

-- The name of a session for people and commands; no digit of it repeats in the cluster.
CREATE FUNCTION turncred.session_name(p_instance text, p_server_start timestamptz, p_number bigint) RETURNS text
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT p_instance || '/' || CASE WHEN isfinite(p_server_start) THEN (extract(epoch FROM p_server_start) * 1000000)::bigint ELSE 0 END
    || '/' || p_number;
END;

-- --- delivery -------------------------------------------------------------------------------------
-- Locks: who changes rows of session_live keeps the rows of session_journal of their servers from before the first one,
-- several in order of stream, since plans visit sessions in any order.

CREATE TABLE turncred.session_journal (
  stream      uuid        CONSTRAINT session_journal_pkey PRIMARY KEY,
  instance    text        NOT NULL,
  delivered   bigint      NOT NULL DEFAULT 0,
  at          timestamptz NOT NULL DEFAULT now(),
  reported_by text        NOT NULL DEFAULT session_user,
  CONSTRAINT session_journal_instance_length CHECK (octet_length(instance) BETWEEN 1 AND 255),
  CONSTRAINT session_journal_instance_characters CHECK (instance !~ '[[:cntrl:]]'),
  CONSTRAINT session_journal_delivered_range CHECK (delivered >= 0)
);
COMMENT ON TABLE turncred.session_journal IS 'a server''s journal of sessions, and the number of its last entry that is in the tables';

-- The number of the last entry delivered. A stream belongs to the role that opened it, an instance to the one that reports.
CREATE FUNCTION turncred.usage_open(p_stream uuid, p_instance text) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM turncred.instance WHERE id = p_instance AND reported_by <> session_user) THEN
    INSERT INTO turncred.session_journal AS j (stream, instance) VALUES (p_stream, p_instance)
      ON CONFLICT (stream) DO UPDATE SET instance = excluded.instance WHERE j.reported_by = excluded.reported_by
      RETURNING j.delivered INTO n;
  END IF;
  IF n IS NULL THEN
    RAISE EXCEPTION 'instance "%" belongs to another database role', p_instance
      USING ERRCODE = 'TC004', HINT = 'Give each server a name of its own, or remove the old row.';
  END IF;
  RETURN n;
END
$$;

-- Moves sessions that nobody will end any more to session_log: those of earlier lives of an instance (p_before), or of an
-- instance that is silent (p_before null).
CREATE FUNCTION turncred.usage_lose(p_instance text, p_before timestamptz) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n bigint;
BEGIN
  WITH gone AS (DELETE FROM turncred.session_live s
      WHERE s.instance = p_instance AND (p_before IS NULL OR s.server_start < p_before) RETURNING s.*)
  INSERT INTO turncred.session_log (ended_at, started_at, realm, mechanism, subject, kid, transport, client_address,
      relayed_address, instance, server_start, number, why, received_octets, sent_octets, received_packets, sent_packets,
      peer_received_octets, peer_sent_octets, peer_received_packets, peer_sent_packets)
    SELECT g.last_seen, g.started_at, g.realm, g.mechanism, g.subject, g.kid, g.transport, g.client_address,
      g.relayed_address, g.instance, g.server_start, g.number, 'lost', g.received_octets, g.sent_octets,
      g.received_packets, g.sent_packets, g.peer_received_octets, g.peer_sent_octets, g.peer_received_packets,
      g.peer_sent_packets
    FROM gone g JOIN turncred.realm r ON r.name = g.realm AND r.usage <> 'off';
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;

-- One entry of a journal as columns. What the realm does not want to know is not there any more.
CREATE FUNCTION turncred.usage_entries(p_entries jsonb, p_after bigint)
  RETURNS TABLE (e text, server_start timestamptz, number bigint, realm text, mechanism text, subject text,
    subject_hash text, kid text, transport text, client_address text, relayed_address text, started_at timestamptz,
    ended_at timestamptz, why text, c bigint[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT x.e, to_timestamp(x.l / 1000000.0), x.n, x.realm, coalesce(x.m, ''),
      CASE WHEN r.usage IN ('user', 'address') THEN w.who END,
      CASE WHEN r.usage = 'totals' THEN coalesce(turncred.usage_hash(r.usage_salt, w.who), x.h) END,
      coalesce(x.kid, ''), coalesce(x.tr, ''),
      CASE WHEN r.usage = 'address' THEN x.ca END, CASE WHEN r.usage = 'address' THEN x.ra END,
      to_timestamp(x.t / 1000000.0), to_timestamp(x.u / 1000000.0), x.why, x.c
    FROM jsonb_to_recordset(p_entries) AS x(q bigint, e text, l bigint, n bigint, realm text, m text, sub text, fp text,
      h text, kid text, tr text, ca text, ra text, t bigint, u bigint, why text, c bigint[])
    JOIN turncred.realm r ON r.name = x.realm AND r.usage <> 'off'
    CROSS JOIN LATERAL (SELECT coalesce((SELECT l.subject FROM turncred.issue_log l
      WHERE x.fp <> '' AND l.fingerprint = x.fp LIMIT 1), x.sub) AS who) w
    WHERE x.q > p_after AND x.e IN ('start', 'end');
END;

-- p_entries: an array in order of q. {"q": number, "e": "begin", "l": start of the server, microseconds}: sessions of its
-- earlier lives are lost. {"q", "e": "start", "l", "n": number of the session, "realm", "m": mechanism, "sub": user id or
-- "h": hash of it, "fp": of a token, "kid", "tr": transport, "ca", "ra": client and relayed address, "t": start,
-- microseconds}. {"q", "e": "end", all of these, "u": end, microseconds, "why", "c": [received octets, sent, received
-- packets, sent, and the same of the peers]}. Returns the number of the last entry delivered.
CREATE FUNCTION turncred.usage_deliver(p_stream uuid, p_entries jsonb) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  j turncred.session_journal;
  last bigint;
  begun bigint;
BEGIN
  SELECT * INTO j FROM turncred.session_journal WHERE stream = p_stream AND reported_by = session_user FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'journal % is not open', p_stream
      USING ERRCODE = 'TC003', HINT = 'SELECT turncred.usage_open(...) first';
  END IF;
  SELECT max((x->>'q')::bigint), max((x->>'l')::bigint) FILTER (WHERE x->>'e' = 'begin' AND (x->>'q')::bigint > j.delivered)
    INTO last, begun FROM jsonb_array_elements(p_entries) x;
  IF last IS NULL OR last <= j.delivered THEN
    RETURN j.delivered;
  END IF;
  INSERT INTO turncred.session_live (instance, server_start, number, realm, mechanism, subject, subject_hash, kid,
      transport, client_address, relayed_address, started_at, last_seen)
    SELECT j.instance, s.server_start, s.number, s.realm, s.mechanism, s.subject, s.subject_hash, s.kid, s.transport,
      s.client_address, s.relayed_address, s.started_at, s.started_at
    FROM turncred.usage_entries(p_entries, j.delivered) s WHERE s.e = 'start'
  ON CONFLICT DO NOTHING;
  -- given up as lost, and there it is
  DELETE FROM turncred.session_log v USING jsonb_to_recordset(p_entries) AS x(q bigint, e text, l bigint, n bigint)
    WHERE x.e = 'end' AND x.q > j.delivered AND v.why = 'lost' AND v.instance = j.instance
      AND v.server_start = to_timestamp(x.l / 1000000.0) AND v.number = x.n;
  -- a user who was forgotten during the session stays so: its row has a hash instead of a user
  WITH gone AS (DELETE FROM turncred.session_live v
      USING jsonb_to_recordset(p_entries) AS x(q bigint, e text, l bigint, n bigint)
      WHERE x.e = 'end' AND x.q > j.delivered AND v.instance = j.instance
        AND v.server_start = to_timestamp(x.l / 1000000.0) AND v.number = x.n
      RETURNING v.server_start, v.number, v.subject_hash)
  INSERT INTO turncred.session_log (ended_at, started_at, realm, mechanism, subject, kid, transport, client_address,
      relayed_address, instance, server_start, number, why, received_octets, sent_octets, received_packets, sent_packets,
      peer_received_octets, peer_sent_octets, peer_received_packets, peer_sent_packets)
    SELECT s.ended_at, s.started_at, s.realm, s.mechanism, CASE WHEN g.subject_hash IS NULL THEN s.subject END, s.kid,
      s.transport, CASE WHEN g.subject_hash IS NULL THEN s.client_address END,
      CASE WHEN g.subject_hash IS NULL THEN s.relayed_address END, j.instance, s.server_start, s.number, s.why, s.c[1],
      s.c[2], s.c[3], s.c[4], s.c[5], s.c[6], s.c[7], s.c[8]
    FROM turncred.usage_entries(p_entries, j.delivered) s LEFT JOIN gone g USING (server_start, number)
    WHERE s.e = 'end';
  IF begun IS NOT NULL THEN
    PERFORM turncred.usage_lose(j.instance, to_timestamp(begun / 1000000.0));
  END IF;
  UPDATE turncred.session_journal SET delivered = last, at = now() WHERE stream = p_stream;
  RETURN last;
END
$$;
COMMENT ON FUNCTION turncred.usage_deliver(uuid, jsonb) IS 'a server delivers starts and ends of sessions, each once';

-- What living sessions have used so far; an older report changes nothing. p_entries: [{"n": number, "t": when, microseconds, "ca": client address, "c"}].
CREATE FUNCTION turncred.usage_progress(p_stream uuid, p_server_start bigint, p_entries jsonb) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT FROM turncred.session_journal WHERE stream = p_stream AND reported_by = session_user FOR UPDATE;
  WITH done AS (UPDATE turncred.session_live v SET last_seen = to_timestamp(x.t / 1000000.0),
      client_address = CASE WHEN v.client_address IS NULL THEN NULL ELSE coalesce(x.ca, v.client_address) END,
      received_octets = x.c[1], sent_octets = x.c[2], received_packets = x.c[3], sent_packets = x.c[4],
      peer_received_octets = x.c[5], peer_sent_octets = x.c[6], peer_received_packets = x.c[7], peer_sent_packets = x.c[8]
    FROM turncred.session_journal j, (SELECT DISTINCT ON (r.n) r.* FROM jsonb_to_recordset(p_entries)
      AS r(n bigint, t bigint, ca text, c bigint[]) ORDER BY r.n, r.t DESC) x
    WHERE j.stream = p_stream AND j.reported_by = session_user AND v.instance = j.instance
      AND v.server_start = to_timestamp(p_server_start / 1000000.0) AND v.number = x.n
      AND v.last_seen <= to_timestamp(x.t / 1000000.0) RETURNING 1)
  SELECT count(*) FROM done;
END;
COMMENT ON FUNCTION turncred.usage_progress(uuid, bigint, jsonb) IS 'a server tells what living sessions have used so far';

-- --- the contract: what an auditor sees -----------------------------------------------------------

CREATE VIEW turncred.session_live_list AS
  SELECT turncred.session_name(instance, server_start, number) AS session, instance, realm, mechanism,
    coalesce(subject, 'hash:' || subject_hash) AS subject, kid, transport, client_address, relayed_address, started_at,
    last_seen, received_octets, sent_octets, received_packets, sent_packets, peer_received_octets, peer_sent_octets,
    peer_received_packets, peer_sent_packets
  FROM turncred.session_live;
COMMENT ON VIEW turncred.session_live_list IS 'allocations that live, as their servers last told';

-- A sum has a value for all rows, also those of a server that somebody has taken over.
CREATE VIEW turncred.usage_daily AS
  SELECT realm, subject, (ended_at AT TIME ZONE 'UTC')::date AS day, count(*) AS sessions,
    coalesce(sum(CASE WHEN isfinite(ended_at) AND isfinite(started_at) THEN extract(epoch FROM ended_at - started_at) END), 0)::bigint
      AS seconds,
    least(sum(received_octets), 9223372036854775807)::bigint AS received_octets,
    least(sum(sent_octets), 9223372036854775807)::bigint AS sent_octets,
    least(sum(peer_received_octets), 9223372036854775807)::bigint AS peer_received_octets,
    least(sum(peer_sent_octets), 9223372036854775807)::bigint AS peer_sent_octets,
    count(*) FILTER (WHERE why = 'lost') AS lost
  FROM turncred.session_log GROUP BY 1, 2, 3;
COMMENT ON VIEW turncred.usage_daily IS 'a user''s sessions of a day (UTC), counted on the day on which they ended';

-- Everything that began or ended behind a cursor and is settled: no transaction that is still open can add to it. The first
-- cursor is '0/0'; the next one is the last row's. A session that began and ended between two calls has its end alone.
CREATE FUNCTION turncred.session_changes(p_since text DEFAULT '0/0', p_limit integer DEFAULT 1000)
  RETURNS TABLE (cursor text, event text, at timestamptz, session text, realm text, mechanism text, subject text,
    kid text, transport text, client_address text, relayed_address text, started_at timestamptz, ended_at timestamptz,
    why text, received_octets bigint, sent_octets bigint, received_packets bigint, sent_packets bigint,
    peer_received_octets bigint, peer_sent_octets bigint, peer_received_packets bigint, peer_sent_packets bigint)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  after_xid xid8 := split_part(p_since, '/', 1)::xid8;
  after_event bigint := split_part(p_since, '/', 2)::bigint;
  settled xid8 := pg_snapshot_xmin(pg_current_snapshot());
BEGIN
  -- a standby may be behind the server that gave the cursor
  IF after_xid >= pg_snapshot_xmax(pg_current_snapshot()) AND NOT pg_is_in_recovery() THEN
    RAISE EXCEPTION 'p_since: the cursor % is another cluster''s, from before a restore', p_since
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Begin with 0/0, and leave out the cursors that you have seen.';
  END IF;
  RETURN QUERY
    SELECT x.xid || '/' || x.event, CASE WHEN x.ended_at IS NULL THEN 'started' ELSE 'ended' END,
      coalesce(x.ended_at, x.started_at), turncred.session_name(x.instance, x.server_start, x.number), x.realm,
      x.mechanism, x.subject, x.kid, x.transport, x.client_address, x.relayed_address, x.started_at, x.ended_at, x.why,
      x.received_octets, x.sent_octets, x.received_packets, x.sent_packets, x.peer_received_octets, x.peer_sent_octets,
      x.peer_received_packets, x.peer_sent_packets
    FROM (
      (SELECT v.xid, v.event, v.instance, v.server_start, v.number, v.realm, v.mechanism, v.subject, v.kid, v.transport,
         v.client_address, v.relayed_address, v.started_at, NULL::timestamptz AS ended_at, NULL::text AS why,
         NULL::bigint AS received_octets, NULL::bigint AS sent_octets, NULL::bigint AS received_packets,
         NULL::bigint AS sent_packets, NULL::bigint AS peer_received_octets, NULL::bigint AS peer_sent_octets,
         NULL::bigint AS peer_received_packets, NULL::bigint AS peer_sent_packets
       FROM turncred.session_live v WHERE (v.xid, v.event) > (after_xid, after_event) AND v.xid < settled
       ORDER BY v.xid, v.event LIMIT p_limit)
      UNION ALL
      (SELECT g.xid, g.event, g.instance, g.server_start, g.number, g.realm, g.mechanism, g.subject, g.kid, g.transport,
         g.client_address, g.relayed_address, g.started_at, g.ended_at, g.why, g.received_octets, g.sent_octets,
         g.received_packets, g.sent_packets, g.peer_received_octets, g.peer_sent_octets, g.peer_received_packets,
         g.peer_sent_packets
       FROM turncred.session_log g WHERE (g.xid, g.event) > (after_xid, after_event) AND g.xid < settled
       ORDER BY g.xid, g.event LIMIT p_limit)) x
    ORDER BY x.xid, x.event LIMIT p_limit;
END
$$;
COMMENT ON FUNCTION turncred.session_changes(text, integer) IS
  'sessions that began or ended behind a cursor, in order; keep the cursor of the last row for the next call';

-- --- ending a session -----------------------------------------------------------------------------

ALTER TABLE turncred.change DROP CONSTRAINT change_kind_known;
ALTER TABLE turncred.change ADD CONSTRAINT change_kind_known CHECK
  (kind IN ('realm', 'key', 'credential', 'revocation', 'bulk', 'heartbeat', 'session')) NOT VALID;

CREATE FUNCTION turncred.session_end(p_session text) RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  whose text;
BEGIN
  SELECT s.realm INTO whose FROM turncred.session_live s
    WHERE turncred.session_name(s.instance, s.server_start, s.number) = p_session
      AND s.instance = regexp_replace(p_session, '/[0-9]+/[0-9]+$', '');
  IF NOT FOUND THEN
    RAISE EXCEPTION 'session "%" does not live', p_session
      USING ERRCODE = 'TC003', HINT = 'turncredctl session list shows the sessions that do.';
  END IF;
  INSERT INTO turncred.change (kind, realm, name) VALUES ('session', whose, p_session);
  PERFORM pg_notify('turncred', '');
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.session_end(text) IS
  'has its server end one session; answers with the transaction to wait for (turncred.behind). Nobody is barred';

-- --- forgetting -----------------------------------------------------------------------------------

-- A user may be called "forgotten:...", too: the column tells.
ALTER TABLE turncred.issue_log ADD COLUMN forgotten boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN turncred.issue_log.forgotten IS 'subject is a hash, in place of a user id that is forgotten';

-- What stands in issue_log instead of a user id that is forgotten. Revoking the user still finds its tokens.
CREATE FUNCTION turncred.forgotten(p_realm text, p_user text) RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT 'forgotten:' || turncred.usage_hash(r.usage_salt, p_user) FROM turncred.realm r WHERE r.name = p_realm;
END;

CREATE FUNCTION turncred.user_forget(p_realm text, p_user text) RETURNS TABLE (object text, rows bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '30s' AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  -- maintenance changes the same tables in another order: one of the two goes first
  PERFORM FROM turncred.subject_lock WHERE bucket = -1 FOR UPDATE;
  PERFORM turncred.subject_lock(p_realm, p_user, true);
  -- no server delivers meanwhile
  PERFORM FROM turncred.session_journal ORDER BY stream FOR UPDATE;
  UPDATE turncred.session_log s SET subject = NULL, client_address = NULL, relayed_address = NULL
    WHERE s.realm = p_realm AND s.subject = p_user;
  GET DIAGNOSTICS rows = ROW_COUNT;
  object := 'session_log';
  RETURN NEXT;
  UPDATE turncred.session_live s SET subject = NULL, client_address = NULL, relayed_address = NULL,
      subject_hash = (SELECT turncred.usage_hash(r.usage_salt, p_user) FROM turncred.realm r WHERE r.name = p_realm)
    WHERE s.realm = p_realm AND s.subject = p_user;
  GET DIAGNOSTICS rows = ROW_COUNT;
  object := 'session_live';
  RETURN NEXT;
  UPDATE turncred.issue_log l SET subject = turncred.forgotten(p_realm, p_user), forgotten = true
    WHERE l.realm = p_realm AND l.subject = p_user AND NOT l.forgotten;
  GET DIAGNOSTICS rows = ROW_COUNT;
  object := 'issue_log';
  RETURN NEXT;
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'nothing is forgotten: another transaction keeps a lock for more than 30 s: %', turncred.lock_holders()
    USING ERRCODE = 'lock_not_available',
          HINT = 'Try again when turncredctl maintain has ended, or end that session: SELECT pg_terminate_backend(PID).';
END
$$;
COMMENT ON FUNCTION turncred.user_forget(text, text) IS
  'removes a user id from session tables and issue_log, where a hash stays by which its tokens can be revoked';

-- As in version 8, but that tokens of a user whose id is forgotten are found, too, and that an end in the past is refused.
CREATE OR REPLACE FUNCTION turncred.revoke(p_kind text, p_realm text, p_name text DEFAULT '',
    p_reason text DEFAULT '', p_until timestamptz DEFAULT NULL)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
  IF p_until::timestamptz(0) <= clock_timestamp() THEN
    RAISE EXCEPTION 'p_until: % is over, so nothing would be revoked', p_until
      USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a time that is to come, or none: then only lift() ends it.';
  END IF;
  IF p_kind = 'user' THEN
    PERFORM turncred.subject_lock(p_realm, p_name, true);
    INSERT INTO turncred.revocation AS r (kind, realm, name, revoked_at, until, reason)
      SELECT DISTINCT ON (l.fingerprint) 'token', l.realm, l.fingerprint, clock_timestamp(),
             l.expiry + interval '10 seconds', 'user ' || p_name
      FROM turncred.issue_log l
      WHERE l.realm = p_realm AND l.subject = turncred.forgotten(p_realm, p_name) AND l.forgotten AND l.kind = 'token'
        AND (l.expiry IS NULL OR l.expiry > now() - interval '10 seconds')
      ORDER BY l.fingerprint, l.expiry DESC NULLS FIRST
    ON CONFLICT (kind, realm, name) DO UPDATE SET lifted_at = NULL, until = greatest(r.until, excluded.until);
  END IF;
  RETURN turncred.revoke_locked(p_kind, p_realm, p_name, p_reason, p_until);
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'nothing is revoked: another transaction keeps a lock for more than 5 s: %', turncred.lock_holders()
    USING ERRCODE = 'lock_not_available',
          HINT = 'End that session, SELECT pg_terminate_backend(PID), and revoke again.';
END
$$;

-- --- retention ------------------------------------------------------------------------------------

-- Makes the next days' partitions of session_log, drops and deletes what is older than its realm keeps, and gives up the
-- sessions of instances that have been silent for longer than any credential lives. May run twice at once.
CREATE FUNCTION turncred.maintain_usage(p_ahead integer DEFAULT 7) RETURNS TABLE (action text, object text)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  p record;
  d date;
  today date := (now() AT TIME ZONE 'UTC')::date;
  keep interval := make_interval(days => coalesce((SELECT max(retention_days) FROM turncred.realm), 30));
  silent interval := make_interval(secs => greatest(3600, coalesce((SELECT max(max_ttl) FROM turncred.realm), 0)));
  n bigint;
BEGIN
  BEGIN -- a forgetting keeps this lock for a moment; behind another maintenance there is nothing to do
    PERFORM FROM turncred.subject_lock WHERE bucket = -1 FOR UPDATE;
  EXCEPTION WHEN lock_not_available THEN
    RETURN;
  END;
  BEGIN -- of servers some of whose sessions go
    PERFORM FROM turncred.session_journal j WHERE EXISTS (SELECT FROM turncred.session_live v
        LEFT JOIN turncred.instance i ON i.id = v.instance LEFT JOIN turncred.realm r ON r.name = v.realm
        WHERE v.instance = j.instance AND (coalesce(i.last_seen, v.last_seen) < now() - silent OR r.name IS NULL))
      ORDER BY j.stream FOR UPDATE;
  EXCEPTION WHEN lock_not_available THEN
    action := 'busy'; object := 'session_journal';
    RETURN NEXT;
    RETURN;
  END;
  action := 'lose';
  FOR p IN SELECT DISTINCT v.instance FROM turncred.session_live v LEFT JOIN turncred.instance i ON i.id = v.instance
    WHERE coalesce(i.last_seen, v.last_seen) < now() - silent
  LOOP
    n := turncred.usage_lose(p.instance, NULL);
    object := format('%s sessions of %s', n, p.instance);
    RETURN NEXT;
  END LOOP;
  DELETE FROM turncred.session_live v WHERE NOT EXISTS (SELECT FROM turncred.realm r WHERE r.name = v.realm);
  BEGIN
    FOR i IN 0 .. p_ahead LOOP
      d := today + i;
      CONTINUE WHEN to_regclass('turncred.session_log' || to_char(d, '_YYYYMMDD')) IS NOT NULL;
      PERFORM FROM turncred.session_log_default
        WHERE ended_at >= d::timestamp AT TIME ZONE 'UTC' AND ended_at < (d + 1)::timestamp AT TIME ZONE 'UTC' LIMIT 1;
      CONTINUE WHEN FOUND;
      EXECUTE format('CREATE TABLE turncred.%I PARTITION OF turncred.session_log FOR VALUES FROM (%L) TO (%L)',
        'session_log' || to_char(d, '_YYYYMMDD'), d || ' 00:00+00', d + 1 || ' 00:00+00');
      action := 'create'; object := 'session_log' || to_char(d, '_YYYYMMDD');
      RETURN NEXT;
    END LOOP;
    FOR p IN SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') AS day FROM pg_inherits h
      JOIN pg_class c ON c.oid = h.inhrelid
      WHERE h.inhparent = 'turncred.session_log'::regclass AND c.relname ~ '_[0-9]{8}$'
    LOOP
      IF (p.day + 1)::timestamp AT TIME ZONE 'UTC' < now() - keep THEN
        EXECUTE format('DROP TABLE turncred.%I', p.relname);
        action := 'drop'; object := p.relname;
        RETURN NEXT;
      END IF;
    END LOOP;
  EXCEPTION WHEN lock_not_available THEN
    action := 'busy'; object := 'session_log';
    RETURN NEXT;
  END;
  DELETE FROM turncred.session_log s WHERE s.ended_at < now() - make_interval(days =>
    coalesce((SELECT r.retention_days FROM turncred.realm r WHERE r.name = s.realm), 30));
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n > 0 THEN
    action := 'delete'; object := n || ' rows of session_log';
    RETURN NEXT;
  END IF;
  UPDATE turncred.issue_log l SET subject = turncred.forgotten(l.realm, l.subject), forgotten = true FROM turncred.realm r
    WHERE r.name = l.realm AND l.issued_at < now() - make_interval(days => r.retention_days)
      AND l.expiry < now() AND NOT l.forgotten;
  GET DIAGNOSTICS n = ROW_COUNT;
  IF n > 0 THEN
    action := 'forget'; object := n || ' subjects of issue_log';
    RETURN NEXT;
  END IF;
END
$$;
COMMENT ON FUNCTION turncred.maintain_usage(integer) IS
  'partitions and retention of session_log, subjects of issue_log; sessions of servers that never came back are lost';

-- --- rights ---------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA turncred TO turncred_auditor;
REVOKE ALL ON turncred.session_live, turncred.session_log, turncred.session_log_default, turncred.session_journal,
  turncred.session_live_list, turncred.usage_daily, turncred.session_event FROM PUBLIC;
GRANT SELECT ON turncred.session_live, turncred.session_log, turncred.session_journal TO turncred_admin;
GRANT SELECT ON turncred.session_live_list, turncred.usage_daily TO turncred_admin, turncred_auditor;
REVOKE ALL ON FUNCTION turncred.usage_hash(bytea, text), turncred.session_name(text, timestamptz, bigint),
  turncred.usage_open(uuid, text), turncred.usage_lose(text, timestamptz), turncred.usage_entries(jsonb, bigint),
  turncred.usage_deliver(uuid, jsonb), turncred.usage_progress(uuid, bigint, jsonb),
  turncred.session_changes(text, integer), turncred.session_end(text), turncred.forgotten(text, text),
  turncred.user_forget(text, text), turncred.maintain_usage(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.session_name(text, timestamptz, bigint) TO turncred_admin, turncred_auditor;
GRANT EXECUTE ON FUNCTION turncred.usage_open(uuid, text), turncred.usage_deliver(uuid, jsonb),
  turncred.usage_progress(uuid, bigint, jsonb) TO turncred_server;
GRANT EXECUTE ON FUNCTION turncred.session_changes(text, integer) TO turncred_admin, turncred_auditor;
GRANT EXECUTE ON FUNCTION turncred.session_end(text), turncred.user_forget(text, text), turncred.maintain_usage(integer)
  TO turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (11, 'usage');

RESET ROLE;
RESET search_path;
