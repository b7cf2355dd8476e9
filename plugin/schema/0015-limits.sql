-- turncred schema, version 15: limits of a key and of a pushed credential
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. A server of before does not look at these limits: they are
-- refused while such a server reports to this database.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE turncred.key
  ADD COLUMN max_bps         bigint  NOT NULL DEFAULT 0,
  ADD COLUMN max_allocations integer NOT NULL DEFAULT 0,
  ADD CONSTRAINT key_max_bps_range CHECK (max_bps >= 0),
  ADD CONSTRAINT key_max_allocations_range CHECK (max_allocations >= 0),
  ADD CONSTRAINT key_tag_limits CHECK (use <> 'tag' OR (max_bps = 0 AND max_allocations = 0));
COMMENT ON COLUMN turncred.key.max_bps IS
  'octets per second of one session that comes with a credential under this key; 0: as the realm has it';
COMMENT ON COLUMN turncred.key.max_allocations IS
  'allocations of one user that come with credentials under this key; 0: as the realm has it';

ALTER TABLE turncred.credential
  ADD COLUMN max_bps         bigint  NOT NULL DEFAULT 0,
  ADD COLUMN max_allocations integer NOT NULL DEFAULT 0,
  ADD CONSTRAINT credential_max_bps_range CHECK (max_bps >= 0),
  ADD CONSTRAINT credential_max_allocations_range CHECK (max_allocations >= 0);
COMMENT ON COLUMN turncred.credential.max_bps IS
  'octets per second of one session that comes with this credential; 0: as the realm has it';
COMMENT ON COLUMN turncred.credential.max_allocations IS
  'a session with this credential is let in while its user has fewer allocations than this; 0: as the realm has it';

CREATE OR REPLACE VIEW turncred.key_list AS
  SELECT realm, kid, use, alg, derivation, username_format, state, not_before, sign_until,
         accept_until, allow_zero_iv, subject_tag, tokens_reserved, created_at,
         wrapped IS NOT NULL AS is_sealed, kek_id, separator, imported, max_bps, max_allocations
  FROM turncred.key;

CREATE OR REPLACE VIEW turncred.credential_list AS
  SELECT realm, username, expiry, client_address, pushed_at, sealed IS NOT NULL AS is_sealed, kek_id,
         coalesce(user_id, username) AS user_id, max_bps, max_allocations
  FROM turncred.credential;

CREATE FUNCTION turncred.limits_too_new() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.refuse_too_new(15, format('a limit of %s "%s"', TG_TABLE_NAME, to_jsonb(NEW) ->> TG_ARGV[0]), '{server}');
  RETURN NEW;
END
$$;
CREATE TRIGGER key_limits_too_new BEFORE INSERT OR UPDATE OF max_bps, max_allocations ON turncred.key
  FOR EACH ROW WHEN (NEW.max_bps > 0 OR NEW.max_allocations > 0) EXECUTE FUNCTION turncred.limits_too_new('kid');
CREATE TRIGGER credential_limits_too_new BEFORE INSERT OR UPDATE OF max_bps, max_allocations ON turncred.credential
  FOR EACH ROW WHEN (NEW.max_bps > 0 OR NEW.max_allocations > 0) EXECUTE FUNCTION turncred.limits_too_new('username');

-- As credential_put of version 7, with limits. Not for programs; the functions below are.
CREATE FUNCTION turncred.credential_put_limited(p_realm text, p_username text, p_user_id text, p_sealed bytea,
    p_kek_id text, p_md5 bytea, p_sha256 bytea, p_expiry timestamptz, p_client_address text, p_max_bps bigint,
    p_max_allocations integer)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  PERFORM turncred.user_must_be_welcome(p_realm, coalesce(p_user_id, p_username));
  INSERT INTO turncred.credential AS c (realm, username, user_id, sealed, kek_id, md5, sha256, expiry, client_address,
                                        max_bps, max_allocations)
    VALUES (p_realm, p_username, p_user_id, p_sealed, p_kek_id, p_md5, p_sha256, p_expiry, coalesce(p_client_address, ''),
            coalesce(p_max_bps, 0), coalesce(p_max_allocations, 0))
  ON CONFLICT (realm, username) DO UPDATE SET user_id = excluded.user_id, sealed = excluded.sealed,
    kek_id = excluded.kek_id, md5 = excluded.md5, sha256 = excluded.sha256, expiry = excluded.expiry,
    client_address = excluded.client_address, max_bps = excluded.max_bps, max_allocations = excluded.max_allocations,
    pushed_at = now()
    WHERE coalesce(c.user_id, c.username) = coalesce(excluded.user_id, excluded.username) OR c.expiry < now();
  IF NOT FOUND THEN
    RAISE EXCEPTION 'username "%" of realm "%" is another user''s', p_username, p_realm
      USING ERRCODE = 'TC004', HINT = 'Choose another username, or remove that credential first.';
  END IF;
  RETURN pg_current_xact_id();
END
$$;

-- A credential that replaces another one has the limits of its own push: none, if that names none.
CREATE OR REPLACE FUNCTION turncred.credential_put(p_realm text, p_username text, p_user_id text, p_sealed bytea,
    p_kek_id text, p_md5 bytea, p_sha256 bytea, p_expiry timestamptz, p_client_address text)
  RETURNS xid8
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT turncred.credential_put_limited(p_realm, p_username, p_user_id, p_sealed, p_kek_id, p_md5, p_sha256, p_expiry,
                                         p_client_address, 0, 0);
END;

CREATE FUNCTION turncred.credential_push_limited(p_realm text, p_user_id text, p_username text, p_sealed bytea,
    p_kek_id text, p_md5 bytea, p_sha256 bytea, p_expiry timestamptz, p_client_address text, p_max_bps bigint,
    p_max_allocations integer, p_issuer text DEFAULT NULL, p_caller text DEFAULT '')
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF p_issuer IS NOT NULL THEN
    PERFORM turncred.issue_record(p_realm, 'pushed', coalesce(p_user_id, p_username), p_expiry, '', '', p_issuer, p_caller);
  END IF;
  RETURN turncred.credential_put_limited(p_realm, p_username, p_user_id, p_sealed, p_kek_id, p_md5, p_sha256, p_expiry,
                                         p_client_address, p_max_bps, p_max_allocations);
END
$$;
COMMENT ON FUNCTION turncred.credential_push_limited(text, text, text, bytea, text, bytea, bytea, timestamptz, text,
  bigint, integer, text, text) IS
  'credential_push_of or credential_push_plain_of with limits (0: as the realm has it), and with p_issuer its issue_log row';

REVOKE ALL ON FUNCTION turncred.limits_too_new(),
  turncred.credential_put_limited(text, text, text, bytea, text, bytea, bytea, timestamptz, text, bigint, integer),
  turncred.credential_push_limited(text, text, text, bytea, text, bytea, bytea, timestamptz, text, bigint, integer, text, text)
  FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  turncred.credential_push_limited(text, text, text, bytea, text, bytea, bytea, timestamptz, text, bigint, integer, text, text)
  TO turncred_issuer, turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (15, 'limits');

RESET ROLE;
RESET search_path;
