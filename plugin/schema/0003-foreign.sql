-- turncred schema, version 3: foreign TURN servers, which fetch their key (RFC 7635 section 4.1.1);
-- instances say what time it is
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- Who knows K can mint under it. So a foreign server has a realm of its own, whose keys are told to one
-- caller and are never loaded by servers of ours.
ALTER TABLE turncred.realm ADD COLUMN foreign_caller text
  CONSTRAINT realm_foreign_caller_fkey REFERENCES turncred.caller ON UPDATE RESTRICT ON DELETE RESTRICT;
COMMENT ON COLUMN turncred.realm.foreign_caller IS
  'the realm is a foreign TURN server''s: this caller may fetch its token keys, and our servers get no key of it';
CREATE INDEX realm_foreign ON turncred.realm (name) WHERE foreign_caller IS NOT NULL;

CREATE FUNCTION turncred.realm_foreign_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF OLD.foreign_caller IS DISTINCT FROM NEW.foreign_caller
     AND EXISTS (SELECT FROM turncred.key k WHERE k.realm = NEW.name) THEN
    RAISE EXCEPTION 'realm "%": it has keys, which belong to those who know them now', NEW.name
      USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_foreign_fixed',
            HINT = 'Remove its keys first: turncredctl key remove.';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER realm_foreign_check BEFORE UPDATE OF foreign_caller ON turncred.realm
  FOR EACH ROW EXECUTE FUNCTION turncred.realm_foreign_check();
CREATE TRIGGER realm_foreign_changed AFTER UPDATE OF foreign_caller ON turncred.realm
  FOR EACH STATEMENT EXECUTE FUNCTION turncred.caller_changed();
REVOKE ALL ON FUNCTION turncred.realm_foreign_check() FROM PUBLIC;

ALTER POLICY key_server ON turncred.key USING
  (use <> 'tag' AND realm NOT IN (SELECT r.name FROM turncred.realm r WHERE r.foreign_caller IS NOT NULL));

ALTER TABLE turncred.caller DROP CONSTRAINT caller_scopes_known;
ALTER TABLE turncred.caller ADD CONSTRAINT caller_scopes_known CHECK
  (cardinality(scopes) > 0 AND array_position(scopes, NULL) IS NULL
   AND scopes <@ '{token,exchange,derived,rest,push,revoke,metrics,stun-key}'::text[]);

-- Every program believes its own clock: expiry, and what a revocation covers, hang on it.
ALTER TABLE turncred.instance ADD COLUMN clock_offset_ms integer;
COMMENT ON COLUMN turncred.instance.clock_offset_ms IS
  'the instance''s clock is so far ahead of the database''s, at its last report; null: not reported';
CREATE FUNCTION turncred.instance_clock(p_id text, p_clock timestamptz) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  UPDATE turncred.instance SET clock_offset_ms =
      least(greatest(extract(epoch FROM p_clock - clock_timestamp()) * 1000, -2000000000), 2000000000)::integer
    WHERE id = p_id AND reported_by = session_user;
END;
COMMENT ON FUNCTION turncred.instance_clock(text, timestamptz) IS 'an instance reports its clock, after instance_report';
REVOKE ALL ON FUNCTION turncred.instance_clock(text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION turncred.instance_clock(text, timestamptz) TO turncred_server, turncred_issuer;

INSERT INTO turncred.migration (version, description) VALUES (3, 'foreign');

RESET ROLE;
RESET search_path;
