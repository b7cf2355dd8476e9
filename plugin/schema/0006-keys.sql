-- turncred schema, version 6: how many keys of a realm servers try; keys that came from elsewhere
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working. Servers of version 5 and older try four keys.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE turncred.realm ADD COLUMN keys_tried integer NOT NULL DEFAULT 16
  CONSTRAINT realm_keys_tried_range CHECK (keys_tried BETWEEN 1 AND 256);
COMMENT ON COLUMN turncred.realm.keys_tried IS
  'derived and rest credentials do not name their key: so many accepted keys of a use are tried, the newest first';

ALTER TABLE turncred.key ADD COLUMN imported boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN turncred.key.imported IS
  'taken over from another server, whose issuers go on signing with it: key rotate leaves it alone';

CREATE INDEX key_tried ON turncred.key (realm, use) WHERE use IN ('derived', 'rest');

-- One key more than servers try would shut out whoever has a credential under the oldest.
CREATE FUNCTION turncred.key_tried_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  tried integer;
  others integer;
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.use = NEW.use AND OLD.state <> 'disabled'
     AND coalesce(OLD.accept_until, 'infinity') > now() THEN
    RETURN NEW; -- it was accepted before
  END IF;
  -- two keys that are added at once: one after the other
  SELECT keys_tried INTO tried FROM turncred.realm WHERE name = NEW.realm FOR NO KEY UPDATE;
  SELECT count(*) INTO others FROM turncred.key k
    WHERE k.realm = NEW.realm AND k.use = NEW.use AND k.use IN ('derived', 'rest') AND k.kid <> NEW.kid
      AND k.state <> 'disabled' AND coalesce(k.accept_until, 'infinity') > now();
  IF others >= tried THEN
    RAISE EXCEPTION 'realm "%": % % keys are accepted, and servers try no more (keys_tried)', NEW.realm, others, NEW.use
      USING ERRCODE = 'check_violation', CONSTRAINT = 'key_tried',
            HINT = 'Raise keys_tried of the realm (realm set --keys-tried), or end another key and what it signed.';
  END IF;
  RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION turncred.key_tried_check() FROM PUBLIC;
CREATE TRIGGER key_tried_check BEFORE INSERT OR UPDATE OF use, state, accept_until ON turncred.key
  FOR EACH ROW WHEN (NEW.use IN ('derived', 'rest') AND NEW.state <> 'disabled')
  EXECUTE FUNCTION turncred.key_tried_check();

CREATE OR REPLACE VIEW turncred.key_list AS
  SELECT realm, kid, use, alg, derivation, username_format, state, not_before, sign_until,
         accept_until, allow_zero_iv, subject_tag, tokens_reserved, created_at,
         wrapped IS NOT NULL AS is_sealed, kek_id, separator, imported
  FROM turncred.key;

INSERT INTO turncred.migration (version, description) VALUES (6, 'keys');

RESET ROLE;
RESET search_path;
