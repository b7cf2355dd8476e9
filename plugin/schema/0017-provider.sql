-- turncred schema, version 17: which identity provider said who a user is
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working, and leave the column empty.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- The functions that record a push have no parameter for the provider: it is that of their transaction.
ALTER TABLE turncred.issue_log ADD COLUMN provider text NOT NULL DEFAULT '';
ALTER TABLE turncred.issue_log ALTER COLUMN provider SET DEFAULT coalesce(current_setting('turncred.provider', true), '');
COMMENT ON COLUMN turncred.issue_log.provider IS
  'the issuer of the access token that the user showed, by the name of its section in turncredd.conf; empty: none was shown. '
  'Functions that record take it from the setting turncred.provider';

-- As in version 2, but for the provider.
-- p_entries: an array of {"q": number, "t": issued, microseconds, "realm", "kind", "kid", "fp",
-- "sub", "exp": seconds, "caller", "provider"}, in order of q.
CREATE OR REPLACE FUNCTION turncred.journal_deliver(p_stream uuid, p_entries jsonb) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  j turncred.journal;
  last bigint;
BEGIN
  SELECT * INTO j FROM turncred.journal WHERE stream = p_stream FOR UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'journal % is not open', p_stream
      USING ERRCODE = 'TC003', HINT = 'SELECT turncred.journal_open(...) first';
  END IF;
  SELECT max((e->>'q')::bigint) INTO last FROM jsonb_array_elements(p_entries) e;
  IF last IS NULL OR last <= j.delivered THEN
    RETURN j.delivered;
  END IF;
  -- first the locks: a user that is being revoked is then either seen below, or finds these rows
  PERFORM turncred.subject_lock(s.realm, s.sub, false) FROM (
    SELECT DISTINCT ON (hashtext((e->>'realm') || '/' || (e->>'sub')) & 1023)
           e->>'realm' AS realm, e->>'sub' AS sub
    FROM jsonb_array_elements(p_entries) e
    ORDER BY hashtext((e->>'realm') || '/' || (e->>'sub')) & 1023) s;
  INSERT INTO turncred.issue_log (issued_at, realm, kind, kid, fingerprint, subject, expiry, issuer,
                                  caller, provider)
    SELECT to_timestamp(t / 1000000.0), realm, kind, coalesce(kid, ''), coalesce(fp, ''), sub,
           to_timestamp(exp), j.instance, coalesce(caller, ''), coalesce(provider, '')
    FROM jsonb_to_recordset(p_entries)
      AS e(q bigint, t bigint, realm text, kind text, kid text, fp text, sub text, exp bigint,
           caller text, provider text)
    WHERE q > j.delivered;
  -- who was revoked meanwhile: its tokens too
  INSERT INTO turncred.revocation AS r (kind, realm, name, revoked_at, until, reason)
    SELECT DISTINCT ON (e.realm, e.fp) 'token', e.realm, e.fp, clock_timestamp(),
           to_timestamp(e.exp) + interval '10 seconds', 'user ' || e.sub
    FROM jsonb_to_recordset(p_entries)
      AS e(q bigint, t bigint, realm text, kind text, fp text, sub text, exp bigint)
    JOIN turncred.revocation u ON u.kind = 'user' AND u.realm = e.realm AND u.name = e.sub
    WHERE e.q > j.delivered AND e.kind = 'token' AND to_timestamp(e.exp) > now() - interval '10 seconds'
      AND to_timestamp(e.t / 1000000.0) <= coalesce(least(u.lifted_at, u.until), 'infinity')
    ON CONFLICT (kind, realm, name) DO UPDATE SET lifted_at = NULL,
      until = greatest(r.until, excluded.until);
  UPDATE turncred.journal SET delivered = last, at = now() WHERE stream = p_stream;
  RETURN last;
END
$$;

INSERT INTO turncred.migration (version, description) VALUES (17, 'provider');

RESET ROLE;
RESET search_path;
