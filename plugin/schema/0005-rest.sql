-- turncred schema, version 5: the forms that TURN REST usernames and secrets have
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. They refuse a key whose form they do not know, by name.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE turncred.key ADD COLUMN separator text NOT NULL DEFAULT ':';
ALTER TABLE turncred.key ADD CONSTRAINT key_separator_form CHECK
  (separator = ':' OR (use = 'rest' AND separator ~ '^[!#$%&()*,./;<=>?@[\]^_`{|}~]$'));
COMMENT ON COLUMN turncred.key.separator IS
  'rest: what stands between time and user id; rest-api-separator of coturn';

ALTER TABLE turncred.key DROP CONSTRAINT key_username_format_known;
ALTER TABLE turncred.key ADD CONSTRAINT key_username_format_known CHECK
  (username_format = 'user-id:timestamp' OR (username_format IN ('timestamp:user-id', 'either') AND use = 'rest'));
COMMENT ON COLUMN turncred.key.username_format IS
  'rest: order of time and user id; either: one secret signs both, and where both could be meant the username is refused';

-- A secret that is longer than the block of its hash is used as its hash (RFC 2104 section 2). Here it stands as it
-- is, because SHA-1 is not among PostgreSQL's functions; a sealing program seals the hash.
ALTER TABLE turncred.key DROP CONSTRAINT key_plain_length;
ALTER TABLE turncred.key ADD CONSTRAINT key_plain_length CHECK (CASE
  WHEN use = 'rest' THEN octet_length(plain) BETWEEN 1 AND 1024
  WHEN use IN ('derived', 'tag') OR derivation = 'hkdf-sha256' OR alg = 'A256GCM' THEN octet_length(plain) = 32
  WHEN alg = 'A128GCM' THEN octet_length(plain) = 16
  ELSE octet_length(plain) = 64 END);
ALTER TABLE turncred.key DROP CONSTRAINT key_wrapped_length;
ALTER TABLE turncred.key ADD CONSTRAINT key_wrapped_length CHECK (CASE
  WHEN use = 'rest' THEN octet_length(wrapped) % 8 = 0
    AND octet_length(wrapped) BETWEEN 16 AND CASE WHEN alg IN ('sha384', 'sha512') THEN 136 ELSE 72 END
  WHEN use IN ('derived', 'tag') OR derivation = 'hkdf-sha256' OR alg = 'A256GCM' THEN octet_length(wrapped) = 40
  WHEN alg = 'A128GCM' THEN octet_length(wrapped) = 24
  ELSE octet_length(wrapped) = 72 END);

-- keys of one transaction, too, have an order
ALTER TABLE turncred.key ALTER COLUMN created_at SET DEFAULT clock_timestamp();

CREATE OR REPLACE VIEW turncred.key_list AS
  SELECT realm, kid, use, alg, derivation, username_format, state, not_before, sign_until,
         accept_until, allow_zero_iv, subject_tag, tokens_reserved, created_at,
         wrapped IS NOT NULL AS is_sealed, kek_id, separator
  FROM turncred.key;

DROP FUNCTION turncred.key_add_plain(text, text, text, text, bytea, text, text, text, timestamptz, timestamptz,
  timestamptz);
CREATE FUNCTION turncred.key_add_plain(p_realm text, p_kid text, p_use text, p_alg text, p_key bytea,
    p_derivation text DEFAULT 'none', p_username_format text DEFAULT 'user-id:timestamp',
    p_state text DEFAULT 'active', p_not_before timestamptz DEFAULT NULL,
    p_sign_until timestamptz DEFAULT NULL, p_accept_until timestamptz DEFAULT NULL,
    p_separator text DEFAULT ':')
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  INSERT INTO turncred.key (realm, kid, use, alg, plain, derivation, username_format, state,
                            not_before, sign_until, accept_until, separator)
    VALUES (p_realm, p_kid, p_use, p_alg, p_key, p_derivation, p_username_format, p_state,
            p_not_before, p_sign_until, p_accept_until, p_separator);
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.key_add_plain(text, text, text, text, bytea, text, text, text,
  timestamptz, timestamptz, timestamptz, text) IS 'adds a key to a realm with at_rest plain; raw octets';
REVOKE ALL ON FUNCTION turncred.key_add_plain(text, text, text, text, bytea, text, text, text,
  timestamptz, timestamptz, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.key_add_plain(text, text, text, text, bytea, text, text, text,
  timestamptz, timestamptz, timestamptz, text) TO turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (5, 'rest');

RESET ROLE;
RESET search_path;
