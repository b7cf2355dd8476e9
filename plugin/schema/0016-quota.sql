-- turncred schema, version 16: quota that is counted across servers
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. A server of before counts by itself: the scope is refused while
-- such a server reports to this database.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE turncred.realm
  ADD COLUMN quota_scope text NOT NULL DEFAULT 'server',
  ADD CONSTRAINT realm_quota_scope_known CHECK (quota_scope IN ('server', 'fleet')),
  -- what is counted stands in session_live, which a realm has only if it records usage; totals keeps no names
  ADD CONSTRAINT realm_quota_scope_usage CHECK (quota_scope = 'server' OR usage <> 'off');
COMMENT ON COLUMN turncred.realm.quota_scope IS
  'server: each server counts user_quota by itself; fleet: with the allocations of a user on other servers';

CREATE FUNCTION turncred.quota_scope_too_new() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.refuse_too_new(16, format('the quota scope of realm "%s"', NEW.name), '{server}');
  RETURN NEW;
END
$$;
CREATE TRIGGER realm_quota_scope_too_new BEFORE INSERT OR UPDATE OF quota_scope ON turncred.realm
  FOR EACH ROW WHEN (NEW.quota_scope = 'fleet') EXECUTE FUNCTION turncred.quota_scope_too_new();

-- Sessions of a server that has stopped, or was not heard of for a minute, bar nobody. Nor do those of which the server has
-- not told for longer than any usage_interval, an hour: their end was delivered to a database of which this one is the backup.
CREATE FUNCTION turncred.quota_full(p_instance text) RETURNS TABLE (realm text, who text, elsewhere bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH full_users AS (
    SELECT s.realm, r.usage_salt, s.subject, s.subject_hash, count(*) FILTER (WHERE s.instance <> p_instance) AS elsewhere
      FROM turncred.session_live s
      JOIN turncred.realm r ON r.name = s.realm AND r.quota_scope = 'fleet' AND r.user_quota > 0
      JOIN turncred.instance i ON i.id = s.instance AND i.stopped_at IS NULL AND i.last_seen > now() - interval '1 minute'
      WHERE (s.subject IS NOT NULL OR s.subject_hash IS NOT NULL) AND s.last_seen > now() - interval '2 hours'
      GROUP BY s.realm, r.usage_salt, r.user_quota, s.subject, s.subject_hash
      HAVING count(*) >= r.user_quota AND count(*) FILTER (WHERE s.instance <> p_instance) > 0)
  SELECT f.realm, coalesce(f.subject_hash, turncred.usage_hash(f.usage_salt, f.subject)), f.elsewhere FROM full_users f
  UNION ALL
  -- servers know a token by its fingerprint alone
  SELECT f.realm, l.fingerprint, max(f.elsewhere) FROM full_users f
    JOIN turncred.issue_log l ON l.realm = f.realm AND l.subject = f.subject AND l.kind = 'token' AND l.fingerprint <> ''
      AND (l.expiry IS NULL OR l.expiry > now() - interval '10 seconds')
    GROUP BY f.realm, l.fingerprint;
END;
COMMENT ON FUNCTION turncred.quota_full(text) IS
  'users (the hash of the user id) and tokens (fingerprint) of realms with quota_scope fleet that are at or over user_quota, '
  'and how many of their allocations are on other servers than p_instance';

REVOKE ALL ON FUNCTION turncred.quota_scope_too_new(), turncred.quota_full(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.quota_full(text) TO turncred_server;

INSERT INTO turncred.migration (version, description) VALUES (16, 'quota');

RESET ROLE;
RESET search_path;
