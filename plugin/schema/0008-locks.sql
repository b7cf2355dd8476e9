-- turncred schema, version 8: locks that only the schema's own functions can hold; times that can be read; a role
-- reports for as many instances as it may
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- --- locks --------------------------------------------------------------------------------------
-- Whoever may connect to a database can take any advisory lock, and keep it. A row can be locked only by a role that may
-- change it, which here is the owner alone.

CREATE TABLE turncred.subject_lock (
  bucket integer CONSTRAINT subject_lock_pkey PRIMARY KEY
);
COMMENT ON TABLE turncred.subject_lock IS 'rows to lock: 0 to 1023 for subjects, -1 for maintenance; no role but the owner has a right';
INSERT INTO turncred.subject_lock SELECT generate_series(-1, 1023);
REVOKE ALL ON turncred.subject_lock FROM PUBLIC;

CREATE OR REPLACE FUNCTION turncred.subject_lock(p_realm text, p_subject text, p_exclusive boolean)
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- 1024 locks at most, however many subjects one transaction touches
  slot integer := hashtext(p_realm || '/' || p_subject) & 1023;
BEGIN
  IF p_exclusive THEN
    PERFORM FROM turncred.subject_lock WHERE bucket = slot FOR UPDATE;
  ELSE
    PERFORM FROM turncred.subject_lock WHERE bucket = slot FOR SHARE;
  END IF;
END
$$;

-- The sessions that keep others waiting or could: those that hold a lock beyond reading on a table of this schema.
CREATE FUNCTION turncred.lock_holders() RETURNS text
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(string_agg(DISTINCT format('pid %s (role %s, program "%s")', a.pid, a.usename, a.application_name), ', '),
                  'nobody any more')
    FROM pg_locks l
    JOIN pg_class c ON c.oid = l.relation AND c.relnamespace = 'turncred'::regnamespace
    JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.granted AND l.pid <> pg_backend_pid() AND l.mode NOT IN ('AccessShareLock', 'SIReadLock')
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
END;
COMMENT ON FUNCTION turncred.lock_holders() IS
  'the sessions with a lock on tables of turncred now, for whoever waited in vain; pg_terminate_backend(pid) ends one';

ALTER FUNCTION turncred.revoke(text, text, text, text, timestamptz) RENAME TO revoke_locked;
ALTER FUNCTION turncred.lift(text, text, text) RENAME TO lift_locked;
REVOKE ALL ON FUNCTION turncred.revoke_locked(text, text, text, text, timestamptz),
  turncred.lift_locked(text, text, text) FROM PUBLIC, turncred_admin, turncred_issuer;

CREATE FUNCTION turncred.revoke(p_kind text, p_realm text, p_name text DEFAULT '',
    p_reason text DEFAULT '', p_until timestamptz DEFAULT NULL)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
  RETURN turncred.revoke_locked(p_kind, p_realm, p_name, p_reason, p_until);
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'nothing is revoked: another transaction keeps a lock for more than 5 s: %', turncred.lock_holders()
    USING ERRCODE = 'lock_not_available',
          HINT = 'End that session, SELECT pg_terminate_backend(PID), and revoke again.';
END
$$;
COMMENT ON FUNCTION turncred.revoke(text, text, text, text, timestamptz) IS
  'user (with its unexpired tokens and its pushed credential), token (fingerprint), kid or realm; live sessions end';

CREATE FUNCTION turncred.lift(p_kind text, p_realm text, p_name text DEFAULT '') RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s' AS $$
BEGIN
  RETURN turncred.lift_locked(p_kind, p_realm, p_name);
EXCEPTION WHEN lock_not_available THEN
  RAISE EXCEPTION 'nothing is lifted: another transaction keeps a lock for more than 5 s: %', turncred.lock_holders()
    USING ERRCODE = 'lock_not_available',
          HINT = 'End that session, SELECT pg_terminate_backend(PID), and lift again.';
END
$$;
COMMENT ON FUNCTION turncred.lift(text, text, text) IS
  'ends a revocation; credentials issued before stay dead. true if one was in force';

-- As in version 1, but for the lock, that issue_log keeps what may be unexpired (revoking a user finds its tokens there), and
-- that a change goes only when its transaction was over as long ago: a reader has not seen those of one that stayed open. A
-- heartbeat notes which transactions were over at its time.
CREATE OR REPLACE FUNCTION turncred.maintain_partitions(p_keep_change interval DEFAULT '7 days',
    p_keep_issue_log interval DEFAULT '90 days', p_ahead integer DEFAULT 7)
  RETURNS TABLE (action text, object text)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  t record;
  p record;
  d date;
  today date := (now() AT TIME ZONE 'UTC')::date;
  unexpired interval := make_interval(secs => coalesce((SELECT max(max_ttl) FROM turncred.realm), 0));
  n bigint;
  settled xid8;
  young text;
BEGIN
  BEGIN -- a forgetting keeps this lock for a moment; behind another maintenance there is nothing to do
    PERFORM FROM turncred.subject_lock WHERE bucket = -1 FOR UPDATE;
  EXCEPTION WHEN lock_not_available THEN
    RETURN;
  END;
  IF p_keep_change < interval '1 hour' OR p_keep_issue_log < interval '1 hour' THEN
    RAISE EXCEPTION 'p_keep_change, p_keep_issue_log: at least one hour'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- readers take it as the newest change, so that dropping older ones is no loss to them
  INSERT INTO turncred.change (kind, name) VALUES ('heartbeat', pg_snapshot_xmin(pg_current_snapshot())::text);
  SELECT c.name::xid8 INTO settled FROM turncred.change c
    WHERE c.kind = 'heartbeat' AND c.name <> '' AND c.at < now() - p_keep_change ORDER BY c.at DESC LIMIT 1;
  -- numbers that this cluster has not given yet are another one's, from before a restore
  young := format('xid >= %L AND xid < pg_snapshot_xmax(pg_current_snapshot())', coalesce(settled, '0'));
  <<tables>>
  FOR t IN SELECT * FROM (VALUES ('change', 'at', p_keep_change),
                                 ('issue_log', 'issued_at', greatest(p_keep_issue_log, unexpired))) v(tab, col, keep)
  LOOP
    BEGIN
      FOR i IN 1 .. p_ahead LOOP
        d := today + i;
        CONTINUE WHEN to_regclass(format('turncred.%I', t.tab || to_char(d, '_YYYYMMDD'))) IS NOT NULL;
        EXECUTE format('SELECT count(*) FROM turncred.%I WHERE %I >= %L AND %I < %L',
          t.tab || '_default', t.col, d || ' 00:00+00', t.col, d + 1 || ' 00:00+00') INTO n;
        CONTINUE WHEN n > 0;
        EXECUTE format('CREATE TABLE turncred.%I PARTITION OF turncred.%I FOR VALUES FROM (%L) TO (%L)',
          t.tab || to_char(d, '_YYYYMMDD'), t.tab, d || ' 00:00+00', d + 1 || ' 00:00+00');
        action := 'create'; object := t.tab || to_char(d, '_YYYYMMDD');
        RETURN NEXT;
      END LOOP;
      FOR p IN SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        WHERE h.inhparent = format('turncred.%I', t.tab)::regclass AND c.relname ~ '_[0-9]{8}$'
      LOOP
        IF (p.day + 1)::timestamp AT TIME ZONE 'UTC' < now() - t.keep THEN
          IF t.tab = 'change' THEN
            EXECUTE format('LOCK TABLE turncred.%I', p.relname); -- and who has written to it is over
            EXECUTE format('SELECT count(*) FROM (SELECT FROM turncred.%I WHERE %s LIMIT 1) one', p.relname, young) INTO n;
            CONTINUE WHEN n > 0;
          END IF;
          EXECUTE format('DROP TABLE turncred.%I', p.relname);
          action := 'drop'; object := p.relname;
          RETURN NEXT;
        END IF;
      END LOOP;
    EXCEPTION WHEN lock_not_available THEN
      -- what was done to this table in this run is undone, rows that were returned say too much
      action := 'busy'; object := t.tab;
      RETURN NEXT;
      CONTINUE tables;
    END;
    EXECUTE format('DELETE FROM turncred.%I WHERE %I < now() - %L::interval AND NOT (%s)',
                   t.tab || '_default', t.col, t.keep, CASE t.tab WHEN 'change' THEN young ELSE 'false' END);
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
      action := 'delete'; object := n || ' rows of ' || t.tab || '_default';
      RETURN NEXT;
    END IF;
  END LOOP;
END
$$;

-- As in version 1, but that pushed credentials from before the end of a revocation go with it: they may have no end, and
-- nothing would keep them out any more.
CREATE OR REPLACE FUNCTION turncred.purge_expired(p_batch integer DEFAULT 500) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n integer;
  m integer;
BEGIN
  DELETE FROM turncred.credential c USING (
      SELECT realm, username FROM turncred.credential WHERE expiry < now()
      ORDER BY expiry LIMIT p_batch FOR UPDATE SKIP LOCKED) old
    WHERE c.realm = old.realm AND c.username = old.username;
  GET DIAGNOSTICS n = ROW_COUNT;
  -- a revocation that ended is kept while anything else issued before its end could still be valid
  WITH old AS (
      SELECT v.kind, v.realm, v.name, least(v.lifted_at, v.until) AS ended FROM turncred.revocation v
      LEFT JOIN turncred.realm m ON m.name = v.realm
      WHERE least(v.lifted_at, v.until) < now() - CASE v.kind WHEN 'token' THEN interval '0'
              ELSE make_interval(secs => coalesce(m.max_ttl, 31536000) + 310) END
      LIMIT p_batch FOR UPDATE OF v SKIP LOCKED),
    dead AS (DELETE FROM turncred.credential c USING old
      WHERE c.realm = old.realm AND c.pushed_at <= old.ended
        AND (old.kind = 'realm' OR (old.kind = 'user' AND coalesce(c.user_id, c.username) = old.name)))
  DELETE FROM turncred.revocation r USING old
    WHERE r.kind = old.kind AND r.realm = old.realm AND r.name = old.name;
  GET DIAGNOSTICS m = ROW_COUNT;
  RETURN n + m;
END
$$;

-- --- rules across tables, for two transactions at once --------------------------------------------

-- As in version 1, but that realms get listening addresses and origins one after the other, and that a realm is sealed when
-- nobody pushes.
CREATE OR REPLACE FUNCTION turncred.realm_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  other text;
BEGIN
  NEW.updated_at := now();
  IF TG_OP = 'UPDATE' THEN
    IF OLD.name <> NEW.name THEN
      RAISE EXCEPTION 'realm "%": a realm cannot be renamed, its name is part of keys and passwords',
        OLD.name USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_name_fixed',
        HINT = 'Add a new realm and move the users.';
    END IF;
    IF OLD.at_rest = 'plain' AND NEW.at_rest = 'sealed' THEN
      LOCK TABLE turncred.credential IN SHARE ROW EXCLUSIVE MODE; -- whoever adds a key locks the realm
      IF EXISTS (SELECT FROM turncred.key k WHERE k.realm = NEW.name AND k.plain IS NOT NULL)
         OR EXISTS (SELECT FROM turncred.credential c WHERE c.realm = NEW.name AND c.md5 IS NOT NULL) THEN
        RAISE EXCEPTION 'realm "%": keys or credentials are still stored plain', NEW.name
          USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_at_rest_sealed',
                HINT = 'Seal or remove them first.';
      END IF;
    END IF;
  END IF;
  IF (cardinality(NEW.listen_addresses) > 0 OR cardinality(NEW.origins) > 0)
     AND (TG_OP = 'INSERT' OR (OLD.listen_addresses, OLD.origins) IS DISTINCT FROM (NEW.listen_addresses, NEW.origins)) THEN
    PERFORM FROM turncred.subject_lock WHERE bucket = hashtext('realm choices') & 1023 FOR UPDATE;
    SELECT r.name INTO other FROM turncred.realm r
      WHERE r.name <> NEW.name
        AND (r.listen_addresses && NEW.listen_addresses OR r.origins && NEW.origins) LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'realm "%": a listening address or origin already chooses realm "%"',
        NEW.name, other
        USING ERRCODE = 'unique_violation', CONSTRAINT = 'realm_chosen_once',
              HINT = 'Remove it there first: a challenge can name one realm only.';
    END IF;
  END IF;
  RETURN NEW;
END
$$;

-- As in version 1, but that a key is added while nobody else changes the realm.
CREATE OR REPLACE FUNCTION turncred.key_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r record;
BEGIN
  IF TG_OP = 'INSERT' OR OLD.plain IS DISTINCT FROM NEW.plain THEN
    PERFORM FROM turncred.realm WHERE name = NEW.realm FOR NO KEY UPDATE;
  END IF;
  SELECT at_rest, subject_tag INTO r FROM turncred.realm WHERE name = NEW.realm FOR KEY SHARE;
  NEW.subject_tag := coalesce(NEW.subject_tag, r.subject_tag, true);
  IF NEW.plain IS NOT NULL AND r.at_rest = 'sealed' THEN
    RAISE EXCEPTION 'key "%" of realm "%": the realm stores keys sealed only', NEW.kid, NEW.realm
      USING ERRCODE = 'check_violation', CONSTRAINT = 'key_plain_in_plain_realm',
            HINT = 'Add the key with turncredctl, or set at_rest of the realm to plain.';
  END IF;
  RETURN NEW;
END
$$;

-- --- instances ----------------------------------------------------------------------------------
-- Pushes and rotations wait for every instance, so a role must not make up any number of them.

CREATE TABLE turncred.reporter (
  role      text    CONSTRAINT reporter_pkey PRIMARY KEY,
  instances integer NOT NULL,
  CONSTRAINT reporter_instances_range CHECK (instances BETWEEN 0 AND 10000)
);
COMMENT ON TABLE turncred.reporter IS
  'for how many instances a login role may report; a role without a row: 16. With a role for each server, 1 is right';
REVOKE ALL ON turncred.reporter FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON turncred.reporter TO turncred_admin;
-- who reports for more today goes on
INSERT INTO turncred.reporter SELECT reported_by, least(count(*), 10000) FROM turncred.instance
  GROUP BY reported_by HAVING count(*) > 16;

-- Makes room for one more instance of this role: a row that has been silent for a minute makes way (a container under a new
-- name), a row that reports does not.
CREATE FUNCTION turncred.instance_room(p_id text, p_kind text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  may integer := coalesce((SELECT instances FROM turncred.reporter WHERE role = session_user), 16);
  has integer;
BEGIN
  -- two new instances of one role at once: one after the other
  PERFORM FROM turncred.subject_lock WHERE bucket = hashtext('instance/' || session_user) & 1023 FOR UPDATE;
  SELECT count(*) INTO has FROM turncred.instance WHERE reported_by = session_user;
  IF has >= may THEN
    DELETE FROM turncred.instance WHERE id = (SELECT id FROM turncred.instance
      WHERE reported_by = session_user AND last_seen < now() - interval '1 minute' ORDER BY last_seen LIMIT 1);
    IF NOT FOUND THEN
      RAISE EXCEPTION 'instance "%": role % reports for % instances already', p_id, session_user, has
        USING ERRCODE = 'TC004',
              HINT = format('Give each server a login role of its own, or INSERT INTO turncred.reporter VALUES (%L, %s).',
                            session_user, has + 1);
    END IF;
  END IF;
END
$$;
REVOKE ALL ON FUNCTION turncred.instance_room(text, text) FROM PUBLIC;

-- As in version 1, but that a new instance needs room.
CREATE OR REPLACE FUNCTION turncred.instance_report(p_id text, p_kind text, p_version text, p_progress xid8,
    p_snapshot_age integer, p_database_state text, p_kek_ids text[] DEFAULT '{}',
    p_refused_rows integer DEFAULT 0, p_schema_version integer DEFAULT 1)
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT pg_has_role(session_user, 'turncred_' || p_kind, 'MEMBER') THEN
    RAISE EXCEPTION '% may not report as %', session_user, p_kind
      USING ERRCODE = 'TC004', HINT = format('GRANT turncred_%s TO %I', p_kind, session_user);
  END IF;
  IF NOT EXISTS (SELECT FROM turncred.instance WHERE id = p_id) THEN
    PERFORM turncred.instance_room(p_id, p_kind);
  END IF;
  INSERT INTO turncred.instance AS i (id, kind, version, progress, snapshot_age, database_state,
                                      kek_ids, refused_rows, schema_version)
    VALUES (p_id, p_kind, p_version, p_progress, p_snapshot_age, p_database_state,
            p_kek_ids, p_refused_rows, p_schema_version)
  ON CONFLICT (id) DO UPDATE SET version = excluded.version, progress = excluded.progress,
    snapshot_age = excluded.snapshot_age, database_state = excluded.database_state,
    kek_ids = excluded.kek_ids, refused_rows = excluded.refused_rows,
    schema_version = excluded.schema_version, last_seen = now()
    WHERE i.kind = excluded.kind AND i.reported_by = excluded.reported_by;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'instance "%" belongs to another kind or database role', p_id
      USING ERRCODE = 'TC004', HINT = 'Give each server a name of its own, or remove the old row.';
  END IF;
END
$$;

-- --- times that can be read ---------------------------------------------------------------------
-- A reader makes numbers of them, which an infinite one has not. Rows that have one are mended.

ALTER TABLE turncred.credential ADD CONSTRAINT credential_pushed_at_finite CHECK (isfinite(pushed_at)) NOT VALID;
UPDATE turncred.credential SET pushed_at = now() WHERE NOT isfinite(pushed_at);
ALTER TABLE turncred.credential VALIDATE CONSTRAINT credential_pushed_at_finite;
ALTER TABLE turncred.realm ADD CONSTRAINT realm_times_finite CHECK (isfinite(created_at) AND isfinite(updated_at)) NOT VALID;
UPDATE turncred.realm SET created_at = now() WHERE NOT isfinite(created_at); -- its trigger sets updated_at
ALTER TABLE turncred.key ADD CONSTRAINT key_created_at_finite CHECK (isfinite(created_at)) NOT VALID;
UPDATE turncred.key SET created_at = now() WHERE NOT isfinite(created_at);
ALTER TABLE turncred.caller ADD CONSTRAINT caller_created_at_finite CHECK (isfinite(created_at)) NOT VALID;
UPDATE turncred.caller SET created_at = now() WHERE NOT isfinite(created_at);

-- --- rights -------------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION turncred.lock_holders(), turncred.revoke(text, text, text, text, timestamptz),
  turncred.lift(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.revoke(text, text, text, text, timestamptz), turncred.lift(text, text, text),
  turncred.lock_holders() TO turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (8, 'locks');

RESET ROLE;
RESET search_path;
