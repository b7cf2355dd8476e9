-- turncred schema, version 12: servers and issuers that say goodbye
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- --- goodbye ------------------------------------------------------------------------------------

ALTER TABLE turncred.instance ADD COLUMN stopped_at timestamptz;
COMMENT ON COLUMN turncred.instance.stopped_at IS
  'the instance has stopped in an orderly way, and nobody waits for it; null: it runs, or it was killed';

CREATE FUNCTION turncred.instance_stopped(p_id text) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE turncred.instance SET stopped_at = clock_timestamp() WHERE id = p_id AND reported_by = session_user;
  IF FOUND THEN
    PERFORM pg_notify('turncred_issuing', '');
  END IF;
END
$$;
COMMENT ON FUNCTION turncred.instance_stopped(text) IS
  'a server or issuer that stops says so, as its last statement; its next report takes it back';

-- As in version 8, but that a report takes a goodbye back.
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
    schema_version = excluded.schema_version, last_seen = now(), stopped_at = NULL
    WHERE i.kind = excluded.kind AND i.reported_by = excluded.reported_by;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'instance "%" belongs to another kind or database role', p_id
      USING ERRCODE = 'TC004', HINT = 'Give each server a name of its own, or remove the old row.';
  END IF;
END
$$;

-- As in version 8, but that a stopped instance makes way at once, before a silent one.
CREATE OR REPLACE FUNCTION turncred.instance_room(p_id text, p_kind text) RETURNS void
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
      WHERE reported_by = session_user AND (stopped_at IS NOT NULL OR last_seen < now() - interval '1 minute')
      ORDER BY stopped_at IS NULL, last_seen LIMIT 1);
    IF NOT FOUND THEN
      RAISE EXCEPTION 'instance "%": role % reports for % instances already', p_id, session_user, has
        USING ERRCODE = 'TC004',
              HINT = format('Give each server a login role of its own, or INSERT INTO turncred.reporter VALUES (%L, %s).',
                            session_user, has + 1);
    END IF;
  END IF;
END
$$;

-- As in version 1, but without those that have stopped, and with those whose progress is a number that this cluster has not
-- given yet: it is another cluster's, from before a restore.
CREATE OR REPLACE FUNCTION turncred.behind(p_xid xid8, p_silent interval DEFAULT NULL)
  RETURNS TABLE (id text, kind text, progress xid8, last_seen timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT i.id, i.kind, i.progress, i.last_seen FROM turncred.instance i
    WHERE (i.progress <= p_xid OR i.progress > pg_snapshot_xmax(pg_current_snapshot())) AND i.stopped_at IS NULL
      AND (p_silent IS NULL OR i.last_seen > now() - p_silent)
    ORDER BY i.kind DESC, i.id;
END;
COMMENT ON FUNCTION turncred.behind(xid8, interval) IS
  'instances that run and do not yet have the changes of that transaction; p_silent leaves out those not heard of for longer';

-- --- rights -------------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION turncred.instance_stopped(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.instance_stopped(text) TO turncred_server, turncred_issuer;

INSERT INTO turncred.migration (version, description) VALUES (12, 'fleet');

RESET ROLE;
RESET search_path;
