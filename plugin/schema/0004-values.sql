-- turncred schema, version 4: one spelling of addresses, URIs, origins and names; entries of journals that are set aside
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. Rows that are there already stay: what has another spelling gets
-- the one spelling, and what has none is named in a warning. plugin/base has the same rules in C, and
-- tests/conformance/values.json what both must say.

DO $$
BEGIN
  IF current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION 'this database is in the encoding %, and turncred needs UTF8', current_setting('server_encoding')
      USING ERRCODE = 'feature_not_supported',
            HINT = 'Create a database with ENCODING UTF8 TEMPLATE template0, and move into it with pg_dump.';
  END IF;
END
$$;

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- --- values: null where the value is refused ----------------------------------------------------
-- Patterns are compared in the collation C: no letter but those of ASCII is taken for one of ASCII.

CREATE FUNCTION turncred.address_canonical(p_address text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  canonical text;
BEGIN
  IF p_address COLLATE "C" ~ E'^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(?!$)|$)){4}$' THEN
    RETURN p_address;
  END IF;
  IF p_address COLLATE "C" !~ '^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$' THEN
    RETURN NULL;
  END IF;
  canonical := host(p_address::inet);
  RETURN CASE WHEN canonical LIKE '::ffff:%.%' THEN substr(canonical, 8) ELSE canonical END;
EXCEPTION WHEN invalid_text_representation THEN
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION turncred.address_canonical(text) IS
  'an IPv4 or IPv6 address in its one spelling, IPv4-mapped as IPv4; null: no address alone';

CREATE FUNCTION turncred.host_canonical(p_host text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT
BEGIN ATOMIC
  SELECT CASE
    WHEN p_host COLLATE "C" ~ E'^\\[[^]]*:[^]]*\\]$' THEN
      CASE WHEN a IN ('::', '0.0.0.0') THEN NULL WHEN a LIKE '%:%' THEN '[' || a || ']' ELSE a END
    WHEN p_host COLLATE "C" !~ '^[A-Za-z0-9._-]+$' OR p_host COLLATE "C" ~ E'^\\.|\\.\\.|[^.]{64}'
      OR octet_length(rtrim(p_host, '.')) > 253 THEN NULL
    -- clients read a name that ends in a number as an IPv4 address
    WHEN p_host COLLATE "C" ~ E'(^|\\.)[0-9]+\\.?$' 
      THEN nullif(turncred.address_canonical(p_host), '0.0.0.0')
    ELSE lower(p_host COLLATE "C") END
  FROM turncred.address_canonical(btrim(p_host, '[]')) a;
END;

CREATE FUNCTION turncred.turn_uri_canonical(p_uri text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT
BEGIN ATOMIC
  SELECT lower(m[1] COLLATE "C") || ':' || turncred.host_canonical(m[2]) || coalesce(':' || m[3]::integer, '')
         || coalesce(lower(m[4] COLLATE "C"), '')
  FROM regexp_match(p_uri COLLATE "C",
    E'^(turns?|stuns?):(\\[[^]]*\\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(\\?transport=(?:udp|tcp))?$', 'i') m
  WHERE (m[3] IS NULL OR m[3]::integer BETWEEN 1 AND 65535)
    AND (m[4] IS NULL OR lower(m[1] COLLATE "C") IN ('turn', 'turns'));
END;
COMMENT ON FUNCTION turncred.turn_uri_canonical(text) IS
  'a TURN or STUN URI (RFC 7065, RFC 7064) in its one spelling; null: browsers would refuse it';

CREATE FUNCTION turncred.origin_canonical(p_origin text) RETURNS text
  LANGUAGE sql IMMUTABLE STRICT
BEGIN ATOMIC
  SELECT lower(m[1] COLLATE "C") || '://' || turncred.host_canonical(m[2])
         || CASE WHEN m[3] IS NULL OR m[3]::integer = CASE lower(m[1] COLLATE "C") WHEN 'http' THEN 80
              WHEN 'https' THEN 443 WHEN 'ws' THEN 80 WHEN 'wss' THEN 443 WHEN 'ftp' THEN 21 ELSE 0 END
            THEN '' ELSE ':' || m[3]::integer END
  FROM regexp_match(p_origin COLLATE "C",
    E'^([A-Za-z][A-Za-z0-9+.-]{0,31})://(\\[[^]]*\\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?$') m
  WHERE m[3] IS NULL OR m[3]::integer BETWEEN 1 AND 65535;
END;
COMMENT ON FUNCTION turncred.origin_canonical(text) IS
  'an origin as browsers send it (RFC 6454 section 6.2); null: a pattern, "null", or no origin';

-- What is wrong with the name of a user who is to get a credential; null: nothing. p_wire: it will be part of a USERNAME.
CREATE FUNCTION turncred.user_name_refused(p_name text, p_wire boolean DEFAULT true, p_max integer DEFAULT 508)
  RETURNS text
  LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
  SELECT CASE
    WHEN coalesce(octet_length(p_name), 0) NOT BETWEEN 1 AND p_max THEN format('it must have 1 to %s octets', p_max)
    WHEN p_name COLLATE "C" ~ E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN 'it holds a control character'
    WHEN p_name COLLATE "C" ~ E'[\\u2028-\\u202e\\u2066-\\u2069]' THEN 'it holds a format character'
    WHEN p_wire AND p_name COLLATE "C" ~ E'[ \'"\\\\]'
      THEN 'it holds a blank, quote or backslash, which coturn refuses in a USERNAME'
    WHEN p_wire AND lower(p_name COLLATE "C") LIKE '%union%' AND lower(p_name COLLATE "C") LIKE '%select%'
      THEN 'it holds both "union" and "select", which coturn refuses in a USERNAME as SQL'
    END;
END;
COMMENT ON FUNCTION turncred.user_name_refused(text, boolean, integer) IS
  'why no credential is issued to this name; null: it is fine';

-- --- rows that are there already ----------------------------------------------------------------

UPDATE turncred.realm r SET uris = v.uris, origins = v.origins, listen_addresses = v.listen_addresses
  FROM (SELECT name,
      ARRAY(SELECT coalesce(turncred.turn_uri_canonical(u), u) FROM unnest(uris) WITH ORDINALITY t(u, n) ORDER BY n) AS uris,
      ARRAY(SELECT coalesce(turncred.origin_canonical(o), o) FROM unnest(origins) WITH ORDINALITY t(o, n) ORDER BY n) AS origins,
      ARRAY(SELECT CASE WHEN masklen(a) = 32 * CASE family(a) WHEN 4 THEN 1 ELSE 4 END
              THEN turncred.address_canonical(host(a))::inet ELSE a END
            FROM unnest(listen_addresses) WITH ORDINALITY t(a, n) ORDER BY n) AS listen_addresses
    FROM turncred.realm) v
  WHERE r.name = v.name AND (r.uris, r.origins, r.listen_addresses) IS DISTINCT FROM (v.uris, v.origins, v.listen_addresses);
-- a sealed row is bound to the spelling that it has; servers compare addresses, not their spelling
UPDATE turncred.credential SET client_address = turncred.address_canonical(client_address)
  WHERE md5 IS NOT NULL AND client_address LIKE '::ffff:%.%';

-- Doctor and `schema upgrade` show it, too.
CREATE FUNCTION turncred.unusable_values(p_credentials boolean DEFAULT false) RETURNS TABLE (what text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT format('realm "%s": uri "%s" is no TURN URI and is not handed out', name, u)
    FROM turncred.realm, unnest(uris) u WHERE turncred.turn_uri_canonical(u) IS NULL
  UNION ALL SELECT format('realm "%s": origin "%s" never matches', name, o)
    FROM turncred.realm, unnest(origins) o WHERE turncred.origin_canonical(o) IS NULL
  UNION ALL SELECT format('realm "%s": listening address %s is a network and never matches', name, a)
    FROM turncred.realm, unnest(listen_addresses) a WHERE masklen(a) < CASE family(a) WHEN 4 THEN 32 ELSE 128 END
  UNION ALL SELECT format('realm "%s": no packet is sent to the listening address %s', name, host(a))
    FROM turncred.realm, unnest(listen_addresses) a WHERE host(a) IN ('0.0.0.0', '::')
  UNION ALL (SELECT format('realm "%s": pushed credential %s: %s', realm, to_json(username),
                           turncred.user_name_refused(username))
    FROM turncred.credential WHERE p_credentials AND turncred.user_name_refused(username) IS NOT NULL LIMIT 100);
END;
COMMENT ON FUNCTION turncred.unusable_values(boolean) IS
  'values of realms, and names of pushed credentials, that are older than the rules of version 4 and break them';

DO $$
DECLARE
  bad record;
BEGIN
  FOR bad IN SELECT what FROM turncred.unusable_values(true) LOOP
    RAISE WARNING '%', bad.what USING HINT = 'It stays as it is; change it when you can.';
  END LOOP;
END
$$;

-- --- where values enter: triggers, so that a row from before can still change in other columns ---

-- It comes before realm_check, which compares origins and addresses.
CREATE FUNCTION turncred.realm_canonical() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  i integer;
  one text;
BEGIN
  FOR i IN 1 .. cardinality(NEW.uris) LOOP
    one := turncred.turn_uri_canonical(NEW.uris[i]);
    IF one IS NULL THEN
      RAISE EXCEPTION 'realm "%": uri "%" is no TURN URI (RFC 7065)', NEW.name, NEW.uris[i]
        USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_uris_form',
              HINT = 'Write turn:HOST:PORT?transport=udp, or turns: and tcp; an IPv6 address in brackets.';
    END IF;
    NEW.uris[i] := one;
  END LOOP;
  FOR i IN 1 .. cardinality(NEW.origins) LOOP
    one := turncred.origin_canonical(NEW.origins[i]);
    IF one IS NULL THEN
      RAISE EXCEPTION 'realm "%": "%" is no origin (RFC 6454)', NEW.name, NEW.origins[i]
        USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_origins_form',
              HINT = 'Write SCHEME://HOST or SCHEME://HOST:PORT; patterns are not supported.';
    END IF;
    NEW.origins[i] := one;
  END LOOP;
  FOR i IN 1 .. cardinality(NEW.listen_addresses) LOOP
    IF masklen(NEW.listen_addresses[i]) < (CASE family(NEW.listen_addresses[i]) WHEN 4 THEN 32 ELSE 128 END) THEN
      RAISE EXCEPTION 'realm "%": listening address % is a network', NEW.name, NEW.listen_addresses[i]
        USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_listen_addresses_form',
              HINT = 'Name each address, without a prefix length.';
    END IF;
    IF host(NEW.listen_addresses[i]) IN ('0.0.0.0', '::') THEN
      RAISE EXCEPTION 'realm "%": no packet is sent to the listening address %', NEW.name, host(NEW.listen_addresses[i])
        USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_listen_addresses_form',
              HINT = 'Name each address of the server that the realm is for; none for all of them.';
    END IF;
    NEW.listen_addresses[i] := turncred.address_canonical(host(NEW.listen_addresses[i]))::inet;
  END LOOP;
  RETURN NEW;
END
$$;
CREATE TRIGGER realm_canonical BEFORE INSERT OR UPDATE OF uris, origins, listen_addresses ON turncred.realm
  FOR EACH ROW EXECUTE FUNCTION turncred.realm_canonical();

CREATE FUNCTION turncred.credential_canonical() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  refused text := turncred.user_name_refused(NEW.username);
  address text := turncred.address_canonical(NEW.client_address);
BEGIN
  IF refused IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.username <> OLD.username) THEN
    RAISE EXCEPTION 'username %: %', to_json(NEW.username), refused
      USING ERRCODE = 'check_violation', CONSTRAINT = CASE WHEN refused LIKE '%octets'
        THEN 'credential_username_length' ELSE 'credential_username_characters' END;
  END IF;
  IF NEW.client_address = '' OR (TG_OP = 'UPDATE' AND NEW.client_address = OLD.client_address) THEN
    RETURN NEW;
  END IF;
  -- the sealed octets are bound to the spelling: another one can only be refused
  IF address IS NULL OR (NEW.md5 IS NULL AND address <> NEW.client_address) THEN
    RAISE EXCEPTION 'client_address "%" is no address in its one spelling', NEW.client_address
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_client_address_form',
            HINT = coalesce('Seal the credential for ' || address || '.',
                            'Name one IPv4 or IPv6 address, without port, prefix length and zone id.');
  END IF;
  NEW.client_address := address;
  RETURN NEW;
END
$$;
CREATE TRIGGER credential_canonical BEFORE INSERT OR UPDATE OF username, client_address ON turncred.credential
  FOR EACH ROW WHEN (NEW.client_address <> '' OR turncred.user_name_refused(NEW.username) IS NOT NULL)
  EXECUTE FUNCTION turncred.credential_canonical();

CREATE OR REPLACE FUNCTION turncred.issue_record(p_realm text, p_kind text, p_subject text,
    p_expiry timestamptz, p_kid text DEFAULT '', p_fingerprint text DEFAULT '',
    p_issuer text DEFAULT '', p_caller text DEFAULT '')
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  refused text := turncred.user_name_refused(p_subject, p_kind <> 'token');
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  IF refused IS NOT NULL THEN
    RAISE EXCEPTION 'user %: %', coalesce(to_json(p_subject)::text, 'null'), refused
      USING ERRCODE = 'check_violation', CONSTRAINT = 'issue_log_subject_form';
  END IF;
  PERFORM turncred.subject_lock(p_realm, p_subject, false);
  PERFORM turncred.user_must_be_welcome(p_realm, p_subject);
  INSERT INTO turncred.issue_log (realm, kind, kid, fingerprint, subject, expiry, issuer, caller)
    VALUES (p_realm, p_kind, coalesce(p_kid, ''), coalesce(p_fingerprint, ''), p_subject, p_expiry,
            coalesce(p_issuer, ''), coalesce(p_caller, ''));
END
$$;

-- --- journals: entries that this database refuses for good --------------------------------------

ALTER TABLE turncred.journal ADD COLUMN set_aside bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN turncred.journal.set_aside IS
  'entries that this database refused for good, and that the issuer keeps in its state_dir; turncredd(8) says what to do';
CREATE FUNCTION turncred.journal_set_aside(p_stream uuid, p_count bigint, p_number bigint DEFAULT 0) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  UPDATE turncred.journal SET set_aside = p_count, delivered = greatest(delivered, p_number), at = now()
    WHERE stream = p_stream AND (set_aside <> p_count OR delivered < p_number);
END;
COMMENT ON FUNCTION turncred.journal_set_aside(uuid, bigint, bigint) IS
  'an issuer says how many entries it has set aside, and that it passes over those up to p_number';

-- --- rights -------------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION turncred.address_canonical(text), turncred.host_canonical(text),
  turncred.turn_uri_canonical(text), turncred.origin_canonical(text), turncred.user_name_refused(text, boolean, integer),
  turncred.realm_canonical(), turncred.credential_canonical(), turncred.journal_set_aside(uuid, bigint, bigint),
  turncred.unusable_values(boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.address_canonical(text), turncred.host_canonical(text),
  turncred.turn_uri_canonical(text), turncred.origin_canonical(text), turncred.user_name_refused(text, boolean, integer)
  TO turncred_server, turncred_issuer, turncred_admin;
GRANT EXECUTE ON FUNCTION turncred.journal_set_aside(uuid, bigint, bigint) TO turncred_issuer, turncred_admin;
GRANT EXECUTE ON FUNCTION turncred.unusable_values(boolean) TO turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (4, 'values');

RESET ROLE;
RESET search_path;
