-- turncred schema, version 13: servers that advertise their URIs, and servers that are drained
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE turncred.instance
  ADD COLUMN uris        text[]  NOT NULL DEFAULT '{}',
  ADD COLUMN region      text    NOT NULL DEFAULT '',
  ADD COLUMN weight      integer NOT NULL DEFAULT 100,
  ADD COLUMN sessions    bigint,
  ADD COLUMN draining_at timestamptz,
  ADD CONSTRAINT instance_uris_count CHECK (cardinality(uris) <= 16),
  ADD CONSTRAINT instance_region_form CHECK (region ~ '^[A-Za-z0-9._-]{0,63}$'),
  ADD CONSTRAINT instance_weight_range CHECK (weight BETWEEN 1 AND 1000);
COMMENT ON COLUMN turncred.instance.uris IS 'what the server advertises of itself, in their one spelling; {}: nothing';
COMMENT ON COLUMN turncred.instance.region IS 'where the server is, in the words of its operator';
COMMENT ON COLUMN turncred.instance.weight IS 'how often it is named, relative to others';
COMMENT ON COLUMN turncred.instance.sessions IS 'allocations that lived at its last report; null: not reported';
COMMENT ON COLUMN turncred.instance.draining_at IS 'an administrator drains it: no new allocations; null: nobody does';

ALTER TABLE turncred.change DROP CONSTRAINT change_kind_known;
ALTER TABLE turncred.change ADD CONSTRAINT change_kind_known CHECK
  (kind IN ('realm', 'key', 'credential', 'revocation', 'bulk', 'heartbeat', 'session', 'server')) NOT VALID;

-- Servers and issuers hear at once of a server that begins or ends to be one that may be named to clients.
CREATE FUNCTION turncred.instance_changed() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  id text := CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END;
BEGIN
  INSERT INTO turncred.change (kind, name) VALUES ('server', id);
  PERFORM pg_notify('turncred', '');
  RETURN NULL;
END
$$;
CREATE TRIGGER instance_changed AFTER UPDATE OF uris, region, weight, draining_at, stopped_at ON turncred.instance
  FOR EACH ROW WHEN (OLD.kind = 'server' AND
    ((OLD.uris, OLD.region, OLD.weight, OLD.draining_at) IS DISTINCT FROM (NEW.uris, NEW.region, NEW.weight, NEW.draining_at)
     OR (NEW.uris <> '{}' AND OLD.stopped_at IS DISTINCT FROM NEW.stopped_at)))
  EXECUTE FUNCTION turncred.instance_changed();
CREATE TRIGGER instance_removed AFTER DELETE ON turncred.instance
  FOR EACH ROW WHEN (OLD.kind = 'server' AND OLD.uris <> '{}') EXECUTE FUNCTION turncred.instance_changed();

-- A server speaks for itself alone: its row belongs to the role that reports for it.
CREATE FUNCTION turncred.instance_advertise(p_id text, p_uris text[], p_region text, p_weight integer, p_sessions bigint)
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  one text;
  canonical text[] := '{}';
BEGIN
  FOREACH one IN ARRAY coalesce(p_uris, '{}') LOOP
    IF turncred.turn_uri_canonical(one) IS NULL THEN
      RAISE EXCEPTION 'instance "%": uri "%" is no TURN URI (RFC 7065)', p_id, one
        USING ERRCODE = 'check_violation', CONSTRAINT = 'instance_uris_form',
              HINT = 'Write turn:HOST[:PORT][?transport=udp|tcp] or the same with turns:.';
    END IF;
    canonical := canonical || turncred.turn_uri_canonical(one);
  END LOOP;
  UPDATE turncred.instance SET uris = canonical, region = coalesce(p_region, ''), weight = coalesce(p_weight, 100),
      sessions = p_sessions
    WHERE id = p_id AND kind = 'server' AND reported_by = session_user;
END
$$;
COMMENT ON FUNCTION turncred.instance_advertise(text, text[], text, integer, bigint) IS
  'a server says by which URIs clients reach it, after instance_report and in the same statement';

CREATE FUNCTION turncred.servers()
  RETURNS TABLE (id text, uris text[], region text, weight integer, draining boolean, silent_ms bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT i.id, i.uris, i.region, i.weight, i.draining_at IS NOT NULL,
         CASE WHEN isfinite(i.last_seen) THEN greatest(0, (extract(epoch FROM now() - i.last_seen) * 1000)::bigint) ELSE 0 END
    FROM turncred.instance i
    WHERE i.kind = 'server' AND i.stopped_at IS NULL AND (i.uris <> '{}' OR i.draining_at IS NOT NULL)
    ORDER BY i.id;
END;
COMMENT ON FUNCTION turncred.servers() IS
  'the servers that have not stopped and that advertise URIs or are drained, and since when nothing was heard of them';

CREATE FUNCTION turncred.server_drain(p_id text, p_drain boolean DEFAULT true) RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF p_drain AND coalesce(current_setting('turncred.even_if_old', true), '') <> 'on'
      AND (SELECT k.known FROM turncred.instance_known k WHERE k.id = p_id AND k.kind = 'server') < 13 THEN
    RAISE EXCEPTION 'server "%" is too old to be drained: it would go on letting clients in', p_id
      USING ERRCODE = 'TC005', HINT = 'Upgrade it first. To have it named to nobody all the same: --even-if-old, in SQL: '
        'SET turncred.even_if_old = on.';
  END IF;
  UPDATE turncred.instance i SET draining_at = CASE WHEN p_drain THEN coalesce(i.draining_at, now()) END
    WHERE i.id = p_id AND i.kind = 'server';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'there is no server "%"', p_id
      USING ERRCODE = 'TC003', HINT = 'turncredctl server list shows all.';
  END IF;
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.server_drain(text, boolean) IS
  'drains a server (false: no longer): no new allocations, not named to clients; stays over restarts';

COMMENT ON COLUMN turncred.session_log.why IS
  'client: the client ended it; expired: it was not refreshed, or its credential ran out; revoked: its credential was; '
  'operator: turncredctl session end; stopped: its server was; drained: its server was stopped after it had been drained; '
  'lost: its server died, the counters are the last it told';

REVOKE ALL ON FUNCTION turncred.instance_changed(), turncred.instance_advertise(text, text[], text, integer, bigint),
  turncred.servers(), turncred.server_drain(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.instance_advertise(text, text[], text, integer, bigint) TO turncred_server;
GRANT EXECUTE ON FUNCTION turncred.servers() TO turncred_server, turncred_issuer, turncred_admin;
GRANT EXECUTE ON FUNCTION turncred.server_drain(text, boolean) TO turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (13, 'servers');

RESET ROLE;
RESET search_path;
