-- turncred schema, version 9: to which peers a realm's sessions may relay
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. Servers of version 8 and older do not look at the lists.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- plugin/base/ip_range.c has the same rule.
CREATE FUNCTION turncred.peer_range_canonical(p_range text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  m text[] := regexp_match(p_range COLLATE "C", '^([0-9A-Fa-f:.]+)(?:/(0|[1-9][0-9]{0,2}))?$');
  address text := turncred.address_canonical(m[1]);
  bits integer := coalesce(m[2]::integer, CASE WHEN m[1] LIKE '%:%' THEN 128 ELSE 32 END);
  most integer := CASE WHEN address LIKE '%:%' THEN 128 ELSE 32 END;
BEGIN
  IF most = 32 AND m[1] LIKE '%:%' THEN
    bits := bits - 96; -- IPv4-mapped
  END IF;
  IF address IS NULL OR bits NOT BETWEEN 0 AND most
     OR host(network((address || '/' || bits)::inet)) <> address THEN
    RETURN NULL;
  END IF;
  RETURN address || CASE WHEN bits = most THEN '' ELSE '/' || bits END;
END
$$;
COMMENT ON FUNCTION turncred.peer_range_canonical(text) IS
  'ADDRESS or ADDRESS/PREFIX in its one spelling, IPv4-mapped as IPv4; null: none, or bits are set behind the prefix';

ALTER TABLE turncred.realm
  ADD COLUMN allowed_peers text[] NOT NULL DEFAULT '{}'
    CONSTRAINT realm_allowed_peers_count CHECK (cardinality(allowed_peers) <= 1024),
  ADD COLUMN denied_peers text[] NOT NULL DEFAULT '{}'
    CONSTRAINT realm_denied_peers_count CHECK (cardinality(denied_peers) <= 1024);
COMMENT ON COLUMN turncred.realm.allowed_peers IS
  'ADDRESS or ADDRESS/PREFIX: the realm''s sessions may relay to these peers alone; empty: to any that is not denied';
COMMENT ON COLUMN turncred.realm.denied_peers IS
  'ADDRESS or ADDRESS/PREFIX: the realm''s sessions may not relay to these peers, even if they are allowed';

CREATE FUNCTION turncred.realm_peers_canonical() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  bad text;
BEGIN
  SELECT p INTO bad FROM unnest(NEW.allowed_peers || NEW.denied_peers) p
    WHERE turncred.peer_range_canonical(p) IS NULL LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'realm "%": "%" is no address and no network of peers', NEW.name, coalesce(bad, 'null')
      USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_peers_form',
            HINT = 'Write ADDRESS or ADDRESS/PREFIX, with no bit set behind the prefix: 192.0.2.0/24, 2001:db8::/32.';
  END IF;
  IF NEW.allowed_peers IS NULL OR NEW.denied_peers IS NULL THEN
    RETURN NEW; -- which the columns refuse
  END IF;
  NEW.allowed_peers := ARRAY(SELECT turncred.peer_range_canonical(p)
    FROM unnest(NEW.allowed_peers) WITH ORDINALITY t(p, n) GROUP BY 1 ORDER BY min(n));
  NEW.denied_peers := ARRAY(SELECT turncred.peer_range_canonical(p)
    FROM unnest(NEW.denied_peers) WITH ORDINALITY t(p, n) GROUP BY 1 ORDER BY min(n));
  RETURN NEW;
END
$$;
CREATE TRIGGER realm_peers_canonical BEFORE INSERT OR UPDATE OF allowed_peers, denied_peers ON turncred.realm
  FOR EACH ROW EXECUTE FUNCTION turncred.realm_peers_canonical();

REVOKE ALL ON FUNCTION turncred.peer_range_canonical(text), turncred.realm_peers_canonical() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.peer_range_canonical(text) TO turncred_server, turncred_issuer, turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (9, 'peers');

RESET ROLE;
RESET search_path;
