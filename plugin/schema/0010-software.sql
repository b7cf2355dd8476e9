-- turncred schema, version 10: which software servers and issuers are, and what is too new for them
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. A value that a server of before cannot use is refused while such a
-- server reports to this database.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- --- what an instance says of itself ------------------------------------------------------------

ALTER TABLE turncred.instance
  ADD COLUMN schema_known integer,
  ADD COLUMN host         text NOT NULL DEFAULT '',
  ADD COLUMN series       text NOT NULL DEFAULT '',
  ADD COLUMN abi          text NOT NULL DEFAULT '',
  ADD COLUMN software_at  timestamptz;
COMMENT ON COLUMN turncred.instance.schema_known IS 'the newest schema whose values the instance can use';
COMMENT ON COLUMN turncred.instance.host IS 'the TURN server that has loaded the module, and its version';
COMMENT ON COLUMN turncred.instance.series IS 'version of the patches in that TURN server';
COMMENT ON COLUMN turncred.instance.abi IS 'magic of the interface between TURN server and module';
COMMENT ON COLUMN turncred.instance.software_at IS
  'last_seen of the report that said schema_known, host, series and abi; another one: an older program reports under this id now';

CREATE FUNCTION turncred.instance_software(p_id text, p_schema_known integer, p_host text, p_series text, p_abi text)
  RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  UPDATE turncred.instance SET schema_known = p_schema_known, software_at = last_seen,
      host = regexp_replace(left(coalesce(p_host, ''), 64), '[[:cntrl:]]', '?', 'g'),
      series = regexp_replace(left(coalesce(p_series, ''), 64), '[[:cntrl:]]', '?', 'g'),
      abi = regexp_replace(left(coalesce(p_abi, ''), 64), '[[:cntrl:]]', '?', 'g')
    WHERE id = p_id AND reported_by = session_user;
END;
COMMENT ON FUNCTION turncred.instance_software(text, integer, text, text, text) IS
  'an instance reports what software it is, after instance_report and in the same statement';

-- --- what is too new for whom -------------------------------------------------------------------

-- Version 3 was the last one whose programs did not say what they know.
CREATE VIEW turncred.instance_known AS
  SELECT id, kind, version, last_seen, software_at IS NOT DISTINCT FROM last_seen AS reported,
         CASE WHEN software_at IS NOT DISTINCT FROM last_seen THEN schema_known ELSE 3 END AS known
  FROM turncred.instance;
COMMENT ON VIEW turncred.instance_known IS
  'the newest schema whose values an instance can use; not reported: 3, that of the last programs that did not say it';

CREATE FUNCTION turncred.refuse_too_new(p_needs integer, p_what text, p_kinds text[] DEFAULT '{server,issuer}')
  RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  old text;
BEGIN
  IF coalesce(current_setting('turncred.even_if_old', true), '') = 'on' THEN
    RETURN;
  END IF;
  SELECT string_agg(format('%s "%s" (turncred %s, schema %s%s)', kind, id, coalesce(nullif(version, ''), '?'), known,
                           CASE WHEN NOT reported THEN ' or older' END), ', ' ORDER BY kind DESC, id)
    INTO old FROM turncred.instance_known
    WHERE known < p_needs AND kind = ANY (p_kinds) AND last_seen > now() - interval '1 day';
  IF old IS NOT NULL THEN
    RAISE EXCEPTION '% is too new for %: it needs schema %', p_what, old, p_needs
      USING ERRCODE = 'TC005',
            HINT = 'Upgrade these programs first, or forget those that are gone for good (turncredctl server forget). '
              'To do it all the same: --even-if-old, in SQL: SET turncred.even_if_old = on.';
  END IF;
END
$$;
COMMENT ON FUNCTION turncred.refuse_too_new(integer, text, text[]) IS
  'fails (TC005) with the names of the servers and issuers of the last day that cannot use what schema p_needs brought';

-- Old servers leave out a row whose form they do not know, and try four keys of a use.
CREATE FUNCTION turncred.key_too_new() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  fresh boolean := TG_OP = 'INSERT' OR OLD.state = 'disabled' OR coalesce(OLD.accept_until, 'infinity') <= now();
BEGIN
  IF NEW.separator <> ':' AND (fresh OR OLD.separator <> NEW.separator) THEN
    PERFORM turncred.refuse_too_new(5, format('the separator "%s" of key "%s"', NEW.separator, NEW.kid));
  END IF;
  IF NEW.username_format = 'either' AND (fresh OR OLD.username_format <> NEW.username_format) THEN
    PERFORM turncred.refuse_too_new(5, format('the username format "either" of key "%s"', NEW.kid));
  END IF;
  IF NEW.use = 'rest' AND fresh AND (octet_length(NEW.plain) > 64 OR octet_length(NEW.wrapped) > 72) THEN
    PERFORM turncred.refuse_too_new(5, format('the secret of key "%s", which is longer than 64 octets,', NEW.kid));
  END IF;
  IF NEW.use IN ('derived', 'rest') AND fresh AND (SELECT count(*) >= 4 FROM turncred.key k
      WHERE k.realm = NEW.realm AND k.use = NEW.use AND k.kid <> NEW.kid AND k.state <> 'disabled'
        AND coalesce(k.accept_until, 'infinity') > now()) THEN
    PERFORM turncred.refuse_too_new(6, format('a fifth accepted %s key in realm "%s"', NEW.use, NEW.realm), '{server}');
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER key_too_new BEFORE INSERT OR UPDATE OF separator, username_format, plain, wrapped, use, state, accept_until
  ON turncred.key FOR EACH ROW WHEN (NEW.use IN ('derived', 'rest') AND NEW.state <> 'disabled')
  EXECUTE FUNCTION turncred.key_too_new();

-- Servers before version 9 do not look at the lists of peers.
CREATE FUNCTION turncred.realm_too_new() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF cardinality(NEW.allowed_peers) + cardinality(NEW.denied_peers) > 0 AND (TG_OP = 'INSERT'
      OR (OLD.allowed_peers, OLD.denied_peers) IS DISTINCT FROM (NEW.allowed_peers, NEW.denied_peers)) THEN
    PERFORM turncred.refuse_too_new(9, format('a list of peers of realm "%s"', NEW.name), '{server}');
  END IF;
  RETURN NEW;
END
$$;
-- its name comes behind that of the trigger that brings the lists into their one spelling
CREATE TRIGGER realm_too_new BEFORE INSERT OR UPDATE OF allowed_peers, denied_peers ON turncred.realm
  FOR EACH ROW EXECUTE FUNCTION turncred.realm_too_new();

-- --- rights -------------------------------------------------------------------------------------

REVOKE ALL ON turncred.instance_known FROM PUBLIC;
GRANT SELECT ON turncred.instance_known TO turncred_issuer, turncred_admin;
REVOKE ALL ON FUNCTION turncred.instance_software(text, integer, text, text, text),
  turncred.refuse_too_new(integer, text, text[]), turncred.key_too_new(),
  turncred.realm_too_new() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.instance_software(text, integer, text, text, text) TO turncred_server, turncred_issuer;
GRANT EXECUTE ON FUNCTION turncred.refuse_too_new(integer, text, text[]) TO turncred_issuer, turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (10, 'software');

RESET ROLE;
RESET search_path;
