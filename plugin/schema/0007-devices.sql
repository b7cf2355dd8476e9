-- turncred schema, version 7: several pushed credentials of one user, one for each device
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working, but TURN servers of before refuse a sealed credential that has a
-- user id, and take its username for its user where it is plain: upgrade the servers first.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE turncred.credential ADD COLUMN user_id text;
ALTER TABLE turncred.credential ADD CONSTRAINT credential_user_id_length CHECK (octet_length(user_id) BETWEEN 1 AND 508);
ALTER TABLE turncred.credential ADD CONSTRAINT credential_user_id_characters CHECK
  (user_id IS NULL OR coalesce(turncred.user_name_refused(user_id), 'octets') LIKE '%octets');
CREATE INDEX credential_user_id ON turncred.credential (realm, user_id) WHERE user_id IS NOT NULL;
COMMENT ON COLUMN turncred.credential.user_id IS
  'whose credential it is: quota and revocation go by it; null: the username is the user id';
COMMENT ON COLUMN turncred.credential.sealed IS
  'nonce, ciphertext and tag of MD5 and SHA-256 long-term keys, bound to realm, username, expiry, client_address and user_id';

CREATE OR REPLACE VIEW turncred.credential_list AS
  SELECT realm, username, expiry, client_address, pushed_at, sealed IS NOT NULL AS is_sealed, kek_id,
         coalesce(user_id, username) AS user_id
  FROM turncred.credential;

-- Pushes or replaces a credential, sealed or plain. A username is one user's: the row of another user is replaced only
-- when it has expired. Not for programs; the functions below are.
CREATE FUNCTION turncred.credential_put(p_realm text, p_username text, p_user_id text, p_sealed bytea, p_kek_id text,
    p_md5 bytea, p_sha256 bytea, p_expiry timestamptz, p_client_address text)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  PERFORM turncred.user_must_be_welcome(p_realm, coalesce(p_user_id, p_username));
  INSERT INTO turncred.credential AS c (realm, username, user_id, sealed, kek_id, md5, sha256, expiry, client_address)
    VALUES (p_realm, p_username, p_user_id, p_sealed, p_kek_id, p_md5, p_sha256, p_expiry, coalesce(p_client_address, ''))
  ON CONFLICT (realm, username) DO UPDATE SET user_id = excluded.user_id, sealed = excluded.sealed,
    kek_id = excluded.kek_id, md5 = excluded.md5, sha256 = excluded.sha256, expiry = excluded.expiry,
    client_address = excluded.client_address, pushed_at = now()
    WHERE coalesce(c.user_id, c.username) = coalesce(excluded.user_id, excluded.username) OR c.expiry < now();
  IF NOT FOUND THEN
    RAISE EXCEPTION 'username "%" of realm "%" is another user''s', p_username, p_realm
      USING ERRCODE = 'TC004', HINT = 'Choose another username, or remove that credential first.';
  END IF;
  RETURN pg_current_xact_id();
END
$$;

CREATE OR REPLACE FUNCTION turncred.credential_push(p_realm text, p_username text, p_sealed bytea,
    p_kek_id text, p_expiry timestamptz DEFAULT NULL, p_client_address text DEFAULT '')
  RETURNS xid8
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT turncred.credential_put(p_realm, p_username, NULL, p_sealed, p_kek_id, NULL, NULL, p_expiry, p_client_address);
END;

CREATE OR REPLACE FUNCTION turncred.credential_push_plain(p_realm text, p_username text, p_md5 bytea,
    p_sha256 bytea DEFAULT NULL, p_expiry timestamptz DEFAULT NULL,
    p_client_address text DEFAULT '')
  RETURNS xid8
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT turncred.credential_put(p_realm, p_username, NULL, NULL, NULL, p_md5, p_sha256, p_expiry, p_client_address);
END;

CREATE FUNCTION turncred.credential_push_of(p_realm text, p_user_id text, p_username text, p_sealed bytea,
    p_kek_id text, p_expiry timestamptz DEFAULT NULL, p_client_address text DEFAULT '')
  RETURNS xid8
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT turncred.credential_put(p_realm, p_username, p_user_id, p_sealed, p_kek_id, NULL, NULL, p_expiry,
                                 p_client_address);
END;
COMMENT ON FUNCTION turncred.credential_push_of(text, text, text, bytea, text, timestamptz, text) IS
  'credential_push for a user whose user id is not the username: one username for each device';

CREATE FUNCTION turncred.credential_push_plain_of(p_realm text, p_user_id text, p_username text, p_md5 bytea,
    p_sha256 bytea DEFAULT NULL, p_expiry timestamptz DEFAULT NULL, p_client_address text DEFAULT '')
  RETURNS xid8
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT turncred.credential_put(p_realm, p_username, p_user_id, NULL, NULL, p_md5, p_sha256, p_expiry,
                                 p_client_address);
END;
COMMENT ON FUNCTION turncred.credential_push_plain_of(text, text, text, bytea, bytea, timestamptz, text) IS
  'credential_push_plain for a user whose user id is not the username: one username for each device';

CREATE FUNCTION turncred.credential_push_recorded_of(p_realm text, p_user_id text, p_username text, p_sealed bytea,
    p_kek_id text, p_md5 bytea, p_sha256 bytea, p_expiry timestamptz, p_client_address text,
    p_issuer text, p_caller text)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.issue_record(p_realm, 'pushed', coalesce(p_user_id, p_username), p_expiry, '', '', p_issuer, p_caller);
  RETURN turncred.credential_put(p_realm, p_username, p_user_id, p_sealed, p_kek_id, p_md5, p_sha256, p_expiry,
                                 p_client_address);
END
$$;
COMMENT ON FUNCTION turncred.credential_push_recorded_of(text, text, text, bytea, text, bytea, bytea,
  timestamptz, text, text, text) IS
  'credential_push_of or credential_push_plain_of, with its issue_log row; the user id may be null';

CREATE OR REPLACE FUNCTION turncred.credential_take_back(p_realm text, p_username text, p_revoke boolean,
    p_reason text DEFAULT '')
  RETURNS TABLE (removed boolean, xid xid8)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  whose text;
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  SELECT c.user_id INTO whose FROM turncred.credential c WHERE c.realm = p_realm AND c.username = p_username;
  -- first the lock of the user, then rows of credentials, as functions that push do
  IF p_revoke THEN
    PERFORM turncred.revoke('user', p_realm, coalesce(whose, p_username), p_reason);
  END IF;
  removed := turncred.credential_remove(p_realm, p_username) OR p_revoke;
  xid := pg_current_xact_id();
  RETURN NEXT;
END
$$;
COMMENT ON FUNCTION turncred.credential_take_back(text, text, boolean, text) IS
  'removes a pushed credential; with p_revoke its user is revoked, and only an administrator lifts that';

-- All credentials of a user, under whatever username
CREATE FUNCTION turncred.credentials_remove(p_realm text, p_user_id text) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  DELETE FROM turncred.credential
    WHERE realm = p_realm AND ((username = p_user_id AND user_id IS NULL) OR user_id = p_user_id);
END;
COMMENT ON FUNCTION turncred.credentials_remove(text, text) IS 'removes the pushed credentials of a user, those of all devices';

CREATE OR REPLACE FUNCTION turncred.revoke(p_kind text, p_realm text, p_name text DEFAULT '',
    p_reason text DEFAULT '', p_until timestamptz DEFAULT NULL)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  IF p_kind = 'user' THEN
    PERFORM turncred.subject_lock(p_realm, p_name, true);
  END IF;
  INSERT INTO turncred.revocation AS r (kind, realm, name, revoked_at, until, reason)
    VALUES (p_kind, p_realm, p_name, clock_timestamp(), p_until, coalesce(p_reason, ''))
  ON CONFLICT (kind, realm, name) DO UPDATE SET revoked_at = excluded.revoked_at,
    until = excluded.until, reason = excluded.reason, revoked_by = excluded.revoked_by,
    lifted_at = NULL;
  IF p_kind = 'user' THEN
    -- servers see only the kid of a token: its fingerprint is revoked
    INSERT INTO turncred.revocation AS r (kind, realm, name, revoked_at, until, reason)
      SELECT DISTINCT ON (l.fingerprint) 'token', l.realm, l.fingerprint, clock_timestamp(),
             l.expiry + interval '10 seconds', 'user ' || p_name
      FROM turncred.issue_log l
      WHERE l.realm = p_realm AND l.subject = p_name AND l.kind = 'token'
        AND (l.expiry IS NULL OR l.expiry > now() - interval '10 seconds')
      ORDER BY l.fingerprint, l.expiry DESC NULLS FIRST
    ON CONFLICT (kind, realm, name) DO UPDATE SET lifted_at = NULL,
      until = greatest(r.until, excluded.until);
    PERFORM turncred.credentials_remove(p_realm, p_name);
  END IF;
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.revoke(text, text, text, text, timestamptz) IS
  'user (with its unexpired tokens and its pushed credentials), token (fingerprint), kid or realm; live sessions end';

CREATE OR REPLACE FUNCTION turncred.lift(p_kind text, p_realm text, p_name text DEFAULT '') RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found_one boolean;
BEGIN
  IF p_kind = 'user' THEN
    PERFORM turncred.subject_lock(p_realm, p_name, true);
    IF turncred.is_revoked('user', p_realm, p_name) THEN
      PERFORM turncred.credentials_remove(p_realm, p_name);
    END IF;
  END IF;
  UPDATE turncred.revocation SET lifted_at = greatest(clock_timestamp(), revoked_at)
    WHERE kind = p_kind AND realm = p_realm AND name = p_name AND lifted_at IS NULL AND (until IS NULL OR until > now());
  found_one := FOUND;
  RETURN found_one;
END
$$;

REVOKE ALL ON FUNCTION
  turncred.credential_put(text, text, text, bytea, text, bytea, bytea, timestamptz, text),
  turncred.credential_push_of(text, text, text, bytea, text, timestamptz, text),
  turncred.credential_push_plain_of(text, text, text, bytea, bytea, timestamptz, text),
  turncred.credential_push_recorded_of(text, text, text, bytea, text, bytea, bytea, timestamptz, text, text, text),
  turncred.credentials_remove(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  turncred.credential_push_of(text, text, text, bytea, text, timestamptz, text),
  turncred.credential_push_plain_of(text, text, text, bytea, bytea, timestamptz, text),
  turncred.credential_push_recorded_of(text, text, text, bytea, text, bytea, bytea, timestamptz, text, text, text),
  turncred.credentials_remove(text, text)
  TO turncred_issuer, turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (7, 'devices');

RESET ROLE;
RESET search_path;
