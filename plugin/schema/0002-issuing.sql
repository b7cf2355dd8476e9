-- turncred schema, version 2: programs that issue over HTTPS
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- --- where clients find the servers of a realm --------------------------------------------------

ALTER TABLE turncred.realm ADD COLUMN uris text[] NOT NULL DEFAULT '{}';
ALTER TABLE turncred.realm ADD CONSTRAINT realm_uris_form CHECK
  (array_position(uris, NULL) IS NULL AND cardinality(uris) <= 32
   AND array_to_string(uris, E'\n') ~ E'^((turn|turns|stun|stuns):[^[:cntrl:][:space:]"\\\\]{1,255}(\n|$))*$');
COMMENT ON COLUMN turncred.realm.uris IS
  'TURN URIs (RFC 7065) that issuers hand out; empty: turn:SERVER_NAME over UDP and TCP';

-- --- caller -------------------------------------------------------------------------------------

CREATE TABLE turncred.caller (
  name         text           CONSTRAINT caller_pkey PRIMARY KEY,
  key_sha256   bytea          CONSTRAINT caller_key_once UNIQUE,
  cert_sha256  bytea          CONSTRAINT caller_cert_once UNIQUE,
  cert_subject text           CONSTRAINT caller_subject_once UNIQUE,
  scopes       text[]         NOT NULL,
  realms       text[]         NOT NULL,
  not_after    timestamptz(0),
  created_at   timestamptz    NOT NULL DEFAULT now(),
  created_by   text           NOT NULL DEFAULT session_user,
  CONSTRAINT caller_name_form CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
  CONSTRAINT caller_has_a_proof CHECK (num_nonnulls(key_sha256, cert_sha256, cert_subject) > 0),
  CONSTRAINT caller_key_length CHECK (octet_length(key_sha256) = 32),
  CONSTRAINT caller_cert_length CHECK (octet_length(cert_sha256) = 32),
  CONSTRAINT caller_subject_length CHECK (octet_length(cert_subject) BETWEEN 1 AND 1024),
  CONSTRAINT caller_scopes_known CHECK
    (cardinality(scopes) > 0 AND array_position(scopes, NULL) IS NULL
     AND scopes <@ '{token,exchange,derived,rest,push,revoke,metrics}'::text[]),
  CONSTRAINT caller_realms_form CHECK
    (cardinality(realms) > 0 AND array_position(realms, NULL) IS NULL
     AND octet_length(array_to_string(realms, E'\n')) <= 65536),
  CONSTRAINT caller_not_after_finite CHECK (isfinite(not_after))
);
COMMENT ON TABLE turncred.caller IS 'programs that may ask an issuer for credentials';
COMMENT ON COLUMN turncred.caller.key_sha256 IS 'SHA-256 of the bearer key, which has 256 random bits';
COMMENT ON COLUMN turncred.caller.cert_sha256 IS 'SHA-256 of its client certificate in DER';
COMMENT ON COLUMN turncred.caller.cert_subject IS 'subject of its client certificate as RFC 4514 writes it';
COMMENT ON COLUMN turncred.caller.realms IS 'realms it may ask for; * means all';

CREATE FUNCTION turncred.caller_changed() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('turncred_issuing', '');
  RETURN NULL;
END
$$;
CREATE TRIGGER caller_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON turncred.caller
  FOR EACH STATEMENT EXECUTE FUNCTION turncred.caller_changed();
CREATE TRIGGER realm_uris_changed AFTER INSERT OR DELETE OR UPDATE OF uris, at_rest, kek_id
  ON turncred.realm FOR EACH STATEMENT EXECUTE FUNCTION turncred.caller_changed();

-- --- journals of issuers ------------------------------------------------------------------------
-- An issuer writes what it issues to a journal of its own before it answers, and delivers it here.
-- The number delivered moves in the transaction that writes issue_log: nothing is lost or doubled.

CREATE TABLE turncred.journal (
  stream    uuid        CONSTRAINT journal_pkey PRIMARY KEY,
  instance  text        NOT NULL,
  delivered bigint      NOT NULL DEFAULT 0,
  at        timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT journal_delivered_range CHECK (delivered >= 0)
);
COMMENT ON COLUMN turncred.journal.stream IS 'one journal; a new one is made when an issuer finds none';
COMMENT ON COLUMN turncred.journal.delivered IS 'entries up to this number are in issue_log';

CREATE FUNCTION turncred.journal_open(p_stream uuid, p_instance text) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  INSERT INTO turncred.journal AS j (stream, instance) VALUES (p_stream, p_instance)
    ON CONFLICT (stream) DO UPDATE SET instance = excluded.instance
    RETURNING j.delivered;
END;
COMMENT ON FUNCTION turncred.journal_open(uuid, text) IS 'the number of the last entry delivered';

-- p_entries: an array of {"q": number, "t": issued, microseconds, "realm", "kind", "kid", "fp",
-- "sub", "exp": seconds, "caller"}, in order of q.
CREATE FUNCTION turncred.journal_deliver(p_stream uuid, p_entries jsonb) RETURNS bigint
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
                                  caller)
    SELECT to_timestamp(t / 1000000.0), realm, kind, coalesce(kid, ''), coalesce(fp, ''), sub,
           to_timestamp(exp), j.instance, coalesce(caller, '')
    FROM jsonb_to_recordset(p_entries)
      AS e(q bigint, t bigint, realm text, kind text, kid text, fp text, sub text, exp bigint,
           caller text)
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
COMMENT ON FUNCTION turncred.journal_deliver(uuid, jsonb) IS
  'writes entries to issue_log, each once; revokes the tokens of users that were revoked meanwhile';

-- --- pushing and revoking in one step -----------------------------------------------------------

CREATE FUNCTION turncred.credential_push_recorded(p_realm text, p_username text, p_sealed bytea,
    p_kek_id text, p_md5 bytea, p_sha256 bytea, p_expiry timestamptz, p_client_address text,
    p_issuer text, p_caller text)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.issue_record(p_realm, 'pushed', p_username, p_expiry, '', '', p_issuer, p_caller);
  IF p_sealed IS NOT NULL THEN
    RETURN turncred.credential_push(p_realm, p_username, p_sealed, p_kek_id, p_expiry, p_client_address);
  END IF;
  RETURN turncred.credential_push_plain(p_realm, p_username, p_md5, p_sha256, p_expiry, p_client_address);
END
$$;
COMMENT ON FUNCTION turncred.credential_push_recorded(text, text, bytea, text, bytea, bytea,
  timestamptz, text, text, text) IS 'credential_push or credential_push_plain, with its issue_log row';

CREATE FUNCTION turncred.credential_take_back(p_realm text, p_username text, p_revoke boolean,
    p_reason text DEFAULT '')
  RETURNS TABLE (removed boolean, xid xid8)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  removed := turncred.credential_remove(p_realm, p_username);
  IF p_revoke THEN
    PERFORM turncred.revoke('user', p_realm, p_username, p_reason);
    removed := true;
  END IF;
  xid := pg_current_xact_id();
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION turncred.credential_take_back(text, text, boolean, text) IS
  'removes a pushed credential; with p_revoke the user is revoked, and only an administrator lifts that';

-- --- rights -------------------------------------------------------------------------------------

REVOKE ALL ON turncred.caller, turncred.journal FROM PUBLIC;
GRANT SELECT ON turncred.caller TO turncred_issuer, turncred_admin;
GRANT INSERT, UPDATE, DELETE ON turncred.caller TO turncred_admin;
GRANT SELECT ON turncred.journal TO turncred_admin;
REVOKE ALL ON FUNCTION turncred.caller_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION
  turncred.journal_open(uuid, text),
  turncred.journal_deliver(uuid, jsonb),
  turncred.credential_push_recorded(text, text, bytea, text, bytea, bytea, timestamptz, text, text, text),
  turncred.credential_take_back(text, text, boolean, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  turncred.journal_open(uuid, text),
  turncred.journal_deliver(uuid, jsonb),
  turncred.credential_push_recorded(text, text, bytea, text, bytea, bytea, timestamptz, text, text, text),
  turncred.credential_take_back(text, text, boolean, text)
  TO turncred_issuer, turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (2, 'issuing');

RESET ROLE;
RESET search_path;
