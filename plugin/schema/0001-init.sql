-- turncred schema, version 1
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Run by `turncredctl schema upgrade`, or with `psql -1 -v ON_ERROR_STOP=1 -f`. The file holds no
-- BEGIN: whoever runs it makes the transaction. README.md in this folder is the contract for
-- programs that work on these tables with a SQL client alone.

-- --- roles: they belong to the cluster, so several databases share them ------------------------

DO $$
DECLARE
  r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['turncred_owner', 'turncred_server', 'turncred_issuer', 'turncred_admin']
  LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN', r);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- made meanwhile for another database
      END;
    END IF;
  END LOOP;
  IF NOT pg_has_role(current_user, 'turncred_owner', 'MEMBER') THEN
    EXECUTE format('GRANT turncred_owner TO %I', current_user);
  END IF;
END
$$;

CREATE SCHEMA turncred AUTHORIZATION turncred_owner;
COMMENT ON SCHEMA turncred IS 'TURN credentials: realms, keys, pushed credentials, revocations';

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

-- --- which schema this is -----------------------------------------------------------------------

CREATE TABLE turncred.migration (
  version     integer     CONSTRAINT migration_pkey PRIMARY KEY,
  description text        NOT NULL,
  min_program integer     NOT NULL DEFAULT 1,
  checksum    text,       -- SHA-256 of the file in hex; null when it was run by hand
  applied_at  timestamptz NOT NULL DEFAULT now(),
  applied_by  text        NOT NULL DEFAULT session_user
);
COMMENT ON TABLE turncred.migration IS 'the migrations in force; the highest version is the schema''s';
COMMENT ON COLUMN turncred.migration.min_program IS
  'programs made for this schema version or a newer one still work (expand first, contract later)';

-- One row: who this database is. A restored copy keeps it, a new one gets its own.
CREATE TABLE turncred.database (
  one        boolean     CONSTRAINT database_pkey PRIMARY KEY DEFAULT true,
  id         uuid        NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT database_one_row CHECK (one)
);
INSERT INTO turncred.database DEFAULT VALUES;

-- --- realm --------------------------------------------------------------------------------------

CREATE TABLE turncred.realm (
  name             text        CONSTRAINT realm_pkey PRIMARY KEY,
  server_name      text        NOT NULL,
  mechanisms       text[]      NOT NULL DEFAULT '{token,derived}',
  expiry_token     text        NOT NULL DEFAULT 'strict',
  expiry_derived   text        NOT NULL DEFAULT 'allocate',
  expiry_rest      text        NOT NULL DEFAULT 'allocate',
  expiry_pushed    text        NOT NULL DEFAULT 'allocate',
  grace_seconds    integer     NOT NULL DEFAULT 60,
  max_ttl          integer     NOT NULL DEFAULT 86400,
  default_ttl      integer     NOT NULL DEFAULT 3600,
  user_quota       integer     NOT NULL DEFAULT 0,
  total_quota      integer     NOT NULL DEFAULT 0,
  max_bps          bigint      NOT NULL DEFAULT 0,
  at_rest          text        NOT NULL DEFAULT 'sealed',
  kek_id           text,
  subject_tag      boolean     NOT NULL DEFAULT true,
  bind_address     boolean     NOT NULL DEFAULT false,
  guest_kids       text[]      NOT NULL DEFAULT '{}',
  listen_addresses inet[]      NOT NULL DEFAULT '{}',
  origins          text[]      NOT NULL DEFAULT '{}',
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT realm_name_length CHECK (octet_length(name) BETWEEN 1 AND 127),
  CONSTRAINT realm_name_characters CHECK (name !~ '[[:cntrl:]"\\/]'),
  CONSTRAINT realm_server_name_length CHECK (octet_length(server_name) BETWEEN 1 AND 255),
  CONSTRAINT realm_server_name_characters CHECK (server_name !~ '[[:cntrl:][:space:]"\\]'),
  CONSTRAINT realm_mechanisms_known CHECK
    (cardinality(mechanisms) BETWEEN 1 AND 4 AND array_ndims(mechanisms) = 1
     AND mechanisms <@ '{token,derived,rest,pushed}'::text[]),
  CONSTRAINT realm_mechanisms_once CHECK
    (cardinality(array_positions(mechanisms, 'token')) <= 1
     AND cardinality(array_positions(mechanisms, 'derived')) <= 1
     AND cardinality(array_positions(mechanisms, 'rest')) <= 1
     AND cardinality(array_positions(mechanisms, 'pushed')) <= 1),
  CONSTRAINT realm_expiry_token_known CHECK (expiry_token IN ('strict', 'grace', 'allocate')),
  CONSTRAINT realm_expiry_derived_known CHECK (expiry_derived IN ('strict', 'grace', 'allocate')),
  CONSTRAINT realm_expiry_rest_known CHECK (expiry_rest IN ('strict', 'grace', 'allocate')),
  CONSTRAINT realm_expiry_pushed_known CHECK (expiry_pushed IN ('strict', 'grace', 'allocate')),
  CONSTRAINT realm_grace_seconds_range CHECK (grace_seconds BETWEEN 0 AND 31536000),
  CONSTRAINT realm_max_ttl_range CHECK (max_ttl BETWEEN 1 AND 31536000),
  CONSTRAINT realm_default_ttl_range CHECK (default_ttl BETWEEN 1 AND max_ttl),
  CONSTRAINT realm_user_quota_range CHECK (user_quota >= 0),
  CONSTRAINT realm_total_quota_range CHECK (total_quota >= 0),
  CONSTRAINT realm_max_bps_range CHECK (max_bps >= 0),
  CONSTRAINT realm_at_rest_known CHECK (at_rest IN ('sealed', 'plain')),
  CONSTRAINT realm_kek_id_form CHECK (kek_id ~ '^[A-Za-z0-9._-]{1,64}$'),
  CONSTRAINT realm_guest_kids_form CHECK
    (array_position(guest_kids, NULL) IS NULL
     AND array_to_string(guest_kids, E'\n') ~ E'^([^/\n]+/[^\n]+(\n|$))*$'),
  CONSTRAINT realm_listen_addresses_not_null CHECK (array_position(listen_addresses, NULL) IS NULL),
  CONSTRAINT realm_origins_form CHECK
    (array_position(origins, NULL) IS NULL
     AND array_to_string(origins, E'\n') ~ E'^([^[:cntrl:][:space:]]{1,255}(\n|$))*$')
);
COMMENT ON COLUMN turncred.realm.server_name IS 'name of the TURN server in tokens (their AAD) and in THIRD-PARTY-AUTHORIZATION';
COMMENT ON COLUMN turncred.realm.mechanisms IS 'token, derived, rest, pushed; those without ACCESS-TOKEN are tried in this order';
COMMENT ON COLUMN turncred.realm.expiry_token IS 'strict: the allocation ends at the deadline; grace: grace_seconds later; allocate: looked at when the allocation is made';
COMMENT ON COLUMN turncred.realm.max_ttl IS 'seconds; no credential lives longer';
COMMENT ON COLUMN turncred.realm.user_quota IS 'allocations of one user; 0: as the server is configured';
COMMENT ON COLUMN turncred.realm.max_bps IS 'octets per second of one session; 0: as the server is configured';
COMMENT ON COLUMN turncred.realm.at_rest IS 'plain allows key octets and long-term keys without a key encryption key; README.md says what that costs';
COMMENT ON COLUMN turncred.realm.kek_id IS 'key encryption key that seals new rows of this realm; null: the sealing program''s own';
COMMENT ON COLUMN turncred.realm.bind_address IS 'derived credentials are for one client address: their user id is USER|ADDRESS';
COMMENT ON COLUMN turncred.realm.guest_kids IS 'kids of other realms that are accepted here, each as realm/kid';
COMMENT ON COLUMN turncred.realm.listen_addresses IS 'local addresses whose challenges name this realm';
COMMENT ON COLUMN turncred.realm.origins IS 'ORIGIN values whose challenges name this realm';

-- --- key ----------------------------------------------------------------------------------------

CREATE TABLE turncred.key (
  realm           text           NOT NULL CONSTRAINT key_realm_fkey REFERENCES turncred.realm
                                 ON UPDATE RESTRICT ON DELETE CASCADE,
  kid             text           NOT NULL,
  use             text           NOT NULL,
  alg             text           NOT NULL,
  derivation      text           NOT NULL DEFAULT 'none',
  username_format text           NOT NULL DEFAULT 'user-id:timestamp',
  kek_id          text,
  wrapped         bytea,
  plain           bytea,
  allow_zero_iv   boolean        NOT NULL DEFAULT false,
  subject_tag     boolean        NOT NULL,
  not_before      timestamptz(0),
  sign_until      timestamptz(0),
  accept_until    timestamptz(0),
  state           text           NOT NULL DEFAULT 'active',
  tokens_reserved bigint         NOT NULL DEFAULT 0,
  created_at      timestamptz    NOT NULL DEFAULT now(),
  CONSTRAINT key_pkey PRIMARY KEY (realm, kid),
  CONSTRAINT key_kid_length CHECK (octet_length(kid) BETWEEN 1 AND 508),
  -- what coturn accepts in a USERNAME, and nothing that spoils a log line
  CONSTRAINT key_kid_characters CHECK
    (kid !~ '[[:cntrl:] ''"\\]' AND NOT (lower(kid) LIKE '%union%' AND lower(kid) LIKE '%select%')),
  CONSTRAINT key_use_known CHECK (use IN ('token', 'derived', 'rest', 'tag')),
  -- one a realm, for as long as the realm: under another one every user would look like a new one
  CONSTRAINT key_tag_kid CHECK ((use = 'tag') = (kid = 'subject-tag')),
  CONSTRAINT key_tag_always CHECK
    (use <> 'tag' OR (state = 'active' AND num_nonnulls(not_before, sign_until, accept_until) = 0)),
  CONSTRAINT key_alg_for_use CHECK (CASE use
    WHEN 'token' THEN alg IN ('A256GCM', 'A128GCM', 'A256CBC-HS512')
    WHEN 'derived' THEN alg = 'sha256'
    WHEN 'tag' THEN alg = 'sha256'
    ELSE alg IN ('sha1', 'sha256', 'sha384', 'sha512') END),
  CONSTRAINT key_derivation_known CHECK
    (derivation = 'none' OR (derivation = 'hkdf-sha256' AND use = 'token')),
  CONSTRAINT key_username_format_known CHECK
    (username_format = 'user-id:timestamp' OR (username_format = 'timestamp:user-id' AND use = 'rest')),
  CONSTRAINT key_wrapped_or_plain CHECK (num_nonnulls(wrapped, plain) = 1),
  CONSTRAINT key_wrapped_has_kek_id CHECK ((wrapped IS NULL) = (kek_id IS NULL)),
  CONSTRAINT key_kek_id_form CHECK (kek_id ~ '^[A-Za-z0-9._-]{1,64}$'),
  CONSTRAINT key_wrapped_length CHECK (CASE
    WHEN use = 'rest' THEN octet_length(wrapped) BETWEEN 16 AND 72 AND octet_length(wrapped) % 8 = 0
    WHEN use IN ('derived', 'tag') OR derivation = 'hkdf-sha256' OR alg = 'A256GCM'
      THEN octet_length(wrapped) = 40
    WHEN alg = 'A128GCM' THEN octet_length(wrapped) = 24
    ELSE octet_length(wrapped) = 72 END),
  CONSTRAINT key_plain_length CHECK (CASE
    WHEN use = 'rest' THEN octet_length(plain) BETWEEN 1 AND 64
    WHEN use IN ('derived', 'tag') OR derivation = 'hkdf-sha256' OR alg = 'A256GCM'
      THEN octet_length(plain) = 32
    WHEN alg = 'A128GCM' THEN octet_length(plain) = 16
    ELSE octet_length(plain) = 64 END),
  CONSTRAINT key_allow_zero_iv_cbc_only CHECK (NOT allow_zero_iv OR alg = 'A256CBC-HS512'),
  CONSTRAINT key_windows_finite CHECK
    (isfinite(not_before) AND isfinite(sign_until) AND isfinite(accept_until)),
  CONSTRAINT key_windows_order CHECK
    (not_before < accept_until AND sign_until <= accept_until AND not_before < sign_until),
  CONSTRAINT key_state_known CHECK (state IN ('published', 'active', 'retired', 'disabled')),
  -- RFC 7635 leaves the number open; 96-bit random nonces allow 2^32
  CONSTRAINT key_tokens_reserved_range CHECK (tokens_reserved BETWEEN 0 AND 4294967296)
);
-- One K serves one use and one algorithm, and never both orders of a REST username. Sealed rows
-- cannot be compared here; the sealing program sees to it.
CREATE UNIQUE INDEX key_plain_once ON turncred.key (realm, plain) WHERE plain IS NOT NULL;
COMMENT ON COLUMN turncred.key.wrapped IS 'K, RFC 5649, under a subkey bound to kek_id, realm, kid, use, alg and derivation';
COMMENT ON COLUMN turncred.key.plain IS 'K itself; only in realms with at_rest plain';
COMMENT ON COLUMN turncred.key.use IS 'token, derived, rest: what it verifies; tag: the realm''s key of subject tags, for issuers only';
COMMENT ON COLUMN turncred.key.allow_zero_iv IS 'RFC 7635''s literal CBC form (no nonce, zero IV) is accepted';
COMMENT ON COLUMN turncred.key.subject_tag IS 'tokens under this key carry the tag of their subject, made with the key subject-tag; taken from the realm when the key is added';
COMMENT ON COLUMN turncred.key.not_before IS 'no server accepts it earlier; null: open';
COMMENT ON COLUMN turncred.key.sign_until IS 'no issuer signs with it from then on; null: open';
COMMENT ON COLUMN turncred.key.accept_until IS 'no server accepts it from then on; null: open';
COMMENT ON COLUMN turncred.key.state IS 'published: accepted, not signed with; active: both; retired: accepted until accept_until; disabled: neither';
COMMENT ON COLUMN turncred.key.tokens_reserved IS 'tokens that issuers have reserved under this K, at most 2^32';

-- --- credential (pushed) ------------------------------------------------------------------------

CREATE TABLE turncred.credential (
  realm          text           NOT NULL CONSTRAINT credential_realm_fkey REFERENCES turncred.realm
                                ON UPDATE RESTRICT ON DELETE CASCADE,
  username       text           NOT NULL,
  kek_id         text,
  sealed         bytea,
  md5            bytea,
  sha256         bytea,
  expiry         timestamptz(0),
  client_address text           NOT NULL DEFAULT '',
  pushed_at      timestamptz    NOT NULL DEFAULT now(),
  CONSTRAINT credential_pkey PRIMARY KEY (realm, username),
  CONSTRAINT credential_username_length CHECK (octet_length(username) BETWEEN 1 AND 508),
  CONSTRAINT credential_username_characters CHECK
    (username !~ '[[:cntrl:] ''"\\]'
     AND NOT (lower(username) LIKE '%union%' AND lower(username) LIKE '%select%')),
  CONSTRAINT credential_sealed_or_plain CHECK (num_nonnulls(sealed, md5) = 1),
  CONSTRAINT credential_sealed_has_kek_id CHECK ((sealed IS NULL) = (kek_id IS NULL)),
  CONSTRAINT credential_kek_id_form CHECK (kek_id ~ '^[A-Za-z0-9._-]{1,64}$'),
  CONSTRAINT credential_sealed_length CHECK (octet_length(sealed) = 76),
  CONSTRAINT credential_md5_length CHECK (octet_length(md5) = 16),
  CONSTRAINT credential_sha256_length CHECK
    (sha256 IS NULL OR (octet_length(sha256) = 32 AND md5 IS NOT NULL)),
  CONSTRAINT credential_expiry_finite CHECK (isfinite(expiry)),
  -- one spelling an address: the sealed row is bound to these octets
  CONSTRAINT credential_client_address_form CHECK
    (client_address = '' OR client_address = host(client_address::inet))
);
CREATE INDEX credential_expiry ON turncred.credential (expiry) WHERE expiry IS NOT NULL;
COMMENT ON COLUMN turncred.credential.sealed IS 'nonce, ciphertext and tag of MD5 and SHA-256 long-term keys, bound to realm, username, expiry and client_address';
COMMENT ON COLUMN turncred.credential.md5 IS 'MD5(username:realm:password); only in realms with at_rest plain';
COMMENT ON COLUMN turncred.credential.sha256 IS 'SHA-256(username:realm:password), RFC 8489 18.5.1; null: not known';
COMMENT ON COLUMN turncred.credential.expiry IS 'whole seconds; null: none';
COMMENT ON COLUMN turncred.credential.client_address IS 'the only client address that may use it; empty: any';

-- --- revocation ---------------------------------------------------------------------------------

CREATE TABLE turncred.revocation (
  kind       text           NOT NULL,
  realm      text           NOT NULL,
  name       text           NOT NULL DEFAULT '',
  revoked_at timestamptz    NOT NULL DEFAULT now(),
  until      timestamptz(0),
  reason     text           NOT NULL DEFAULT '',
  revoked_by text           NOT NULL DEFAULT session_user,
  lifted_at  timestamptz,
  CONSTRAINT revocation_pkey PRIMARY KEY (kind, realm, name),
  CONSTRAINT revocation_kind_known CHECK (kind IN ('user', 'token', 'kid', 'realm')),
  CONSTRAINT revocation_realm_length CHECK (octet_length(realm) BETWEEN 1 AND 127),
  CONSTRAINT revocation_name_form CHECK (CASE kind
    WHEN 'realm' THEN name = ''
    WHEN 'token' THEN name ~ '^[0-9a-f]{32}$'
    ELSE octet_length(name) BETWEEN 1 AND 508 END),
  CONSTRAINT revocation_times_finite CHECK
    (isfinite(revoked_at) AND isfinite(until) AND isfinite(lifted_at)),
  CONSTRAINT revocation_lifted_after CHECK (lifted_at >= revoked_at),
  CONSTRAINT revocation_reason_length CHECK (octet_length(reason) <= 1000)
);
COMMENT ON TABLE turncred.revocation IS
  'In force until lifted_at or until. Afterwards what was issued before that time stays dead.';
COMMENT ON COLUMN turncred.revocation.name IS 'user id, token fingerprint (turncredctl token decode shows it), kid, or empty for the realm';

-- --- issue_log ----------------------------------------------------------------------------------

CREATE TABLE turncred.issue_log (
  issued_at   timestamptz    NOT NULL DEFAULT now(),
  realm       text           NOT NULL,
  kind        text           NOT NULL,
  kid         text           NOT NULL DEFAULT '',
  fingerprint text           NOT NULL DEFAULT '',
  subject     text           NOT NULL,
  expiry      timestamptz(0),
  issuer      text           NOT NULL DEFAULT '',
  caller      text           NOT NULL DEFAULT '',
  CONSTRAINT issue_log_kind_known CHECK (kind IN ('token', 'derived', 'rest', 'pushed')),
  CONSTRAINT issue_log_fingerprint_form CHECK (fingerprint ~ '^([0-9a-f]{32})?$'),
  CONSTRAINT issue_log_token_has_fingerprint CHECK (kind <> 'token' OR fingerprint <> ''),
  CONSTRAINT issue_log_expiry_finite CHECK (isfinite(expiry))
) PARTITION BY RANGE (issued_at);
CREATE INDEX issue_log_subject ON turncred.issue_log (realm, subject, expiry);
CREATE TABLE turncred.issue_log_default PARTITION OF turncred.issue_log DEFAULT;
COMMENT ON TABLE turncred.issue_log IS 'who got what when; no secrets';

-- --- instance -----------------------------------------------------------------------------------

CREATE TABLE turncred.instance (
  id             text        CONSTRAINT instance_pkey PRIMARY KEY,
  kind           text        NOT NULL,
  version        text        NOT NULL DEFAULT '',
  schema_version integer     NOT NULL DEFAULT 1,
  progress       xid8        NOT NULL DEFAULT '0',
  kek_ids        text[]      NOT NULL DEFAULT '{}',
  refused_rows   integer     NOT NULL DEFAULT 0,
  snapshot_age   integer     NOT NULL DEFAULT 0,
  database_state text        NOT NULL DEFAULT '',
  started_at     timestamptz NOT NULL DEFAULT now(),
  last_seen      timestamptz NOT NULL DEFAULT now(),
  reported_by    text        NOT NULL DEFAULT session_user,
  CONSTRAINT instance_id_length CHECK (octet_length(id) BETWEEN 1 AND 255),
  CONSTRAINT instance_id_characters CHECK (id !~ '[[:cntrl:]]'),
  CONSTRAINT instance_kind_known CHECK (kind IN ('server', 'issuer'))
);
COMMENT ON COLUMN turncred.instance.progress IS 'every change of a transaction below this one is in force there';
COMMENT ON COLUMN turncred.instance.snapshot_age IS 'seconds since the instance last knew its data to be current';
COMMENT ON COLUMN turncred.instance.kek_ids IS 'key encryption keys that the instance holds';

-- --- change feed --------------------------------------------------------------------------------
-- A number alone loses changes: a smaller one may commit later. Readers therefore go by
-- transaction id: they apply all visible rows with xid >= the xmin of their previous snapshot.

CREATE SEQUENCE turncred.change_id AS bigint;
CREATE TABLE turncred.change (
  id     bigint      NOT NULL DEFAULT nextval('turncred.change_id'),
  xid    xid8        NOT NULL DEFAULT pg_current_xact_id(),
  random uuid        NOT NULL DEFAULT gen_random_uuid(),
  at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind   text        NOT NULL,
  realm  text        NOT NULL DEFAULT '',
  name   text        NOT NULL DEFAULT '',
  CONSTRAINT change_kind_known CHECK
    (kind IN ('realm', 'key', 'credential', 'revocation', 'bulk', 'heartbeat'))
) PARTITION BY RANGE (at);
ALTER SEQUENCE turncred.change_id OWNED BY turncred.change.id;
CREATE INDEX change_xid ON turncred.change (xid);
CREATE INDEX change_id_index ON turncred.change (id);
CREATE TABLE turncred.change_default PARTITION OF turncred.change DEFAULT;
COMMENT ON TABLE turncred.change IS 'what changed, written by triggers; readers look the object up';
COMMENT ON COLUMN turncred.change.random IS 'a reader that no longer finds the last row it applied knows that history was lost';
COMMENT ON COLUMN turncred.change.name IS 'kid, username, kind:name of a revocation; for bulk the table';

-- More rows than this in one statement are one bulk change: readers then load that table anew. A
-- twentieth of the table, so that a batch of some thousand rows is not paid for with millions.
CREATE FUNCTION turncred.change_bulk_limit(p_table regclass) RETURNS integer
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT least(50000, greatest(1000, reltuples / 20))::integer FROM pg_class WHERE oid = p_table;
END;

-- TG_ARGV: expressions for realm and name over a row called r, and (for UPDATE) a column whose
-- changes nobody needs to hear of.
CREATE FUNCTION turncred.change_record() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  touched text;
  lim integer := turncred.change_bulk_limit(TG_RELID);
  n bigint;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO turncred.change (kind, name) VALUES ('bulk', TG_TABLE_NAME);
    PERFORM pg_notify('turncred', '');
    RETURN NULL;
  END IF;
  touched := CASE TG_OP
    WHEN 'INSERT' THEN 'SELECT * FROM new_rows'
    WHEN 'DELETE' THEN 'SELECT * FROM old_rows'
    ELSE '(SELECT * FROM new_rows EXCEPT ALL SELECT * FROM old_rows)'
         ' UNION ALL (SELECT * FROM old_rows EXCEPT ALL SELECT * FROM new_rows)' END;
  IF TG_OP = 'UPDATE' AND TG_NARGS > 2 THEN
    touched := format('SELECT * FROM new_rows n WHERE NOT EXISTS (SELECT FROM old_rows o'
      ' WHERE to_jsonb(o) - %1$L = to_jsonb(n) - %1$L) UNION ALL'
      ' SELECT * FROM old_rows o WHERE NOT EXISTS (SELECT FROM new_rows n'
      ' WHERE to_jsonb(o) - %1$L = to_jsonb(n) - %1$L)', TG_ARGV[2]);
  END IF;
  EXECUTE format('SELECT count(*) FROM (SELECT FROM (%s) r LIMIT %s) few', touched, 2 * lim + 1)
    INTO n;
  IF n = 0 THEN
    RETURN NULL;
  END IF;
  IF n > (CASE TG_OP WHEN 'UPDATE' THEN 2 * lim ELSE lim END) THEN
    INSERT INTO turncred.change (kind, name) VALUES ('bulk', TG_TABLE_NAME);
  ELSE
    EXECUTE format('INSERT INTO turncred.change (kind, realm, name)'
      ' SELECT DISTINCT %L, %s, %s FROM (%s) r', TG_TABLE_NAME, TG_ARGV[0], TG_ARGV[1], touched);
  END IF;
  -- one fixed payload: PostgreSQL sends one notification a transaction
  PERFORM pg_notify('turncred', '');
  RETURN NULL;
END
$$;

DO $$
DECLARE
  t record;
  ev text;
BEGIN
  FOR t IN SELECT * FROM (VALUES
      ('realm', $q$'r.name', ''''''$q$),
      ('key', $q$'r.realm', 'r.kid', 'tokens_reserved'$q$),
      ('credential', $q$'r.realm', 'r.username'$q$),
      ('revocation', $q$'r.realm', 'r.kind || '':'' || r.name'$q$)) v(tab, args)
  LOOP
    FOREACH ev IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
      EXECUTE format('CREATE TRIGGER change_%s AFTER %s ON turncred.%I REFERENCING %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION turncred.change_record(%s)',
        lower(ev), ev, t.tab, CASE ev
          WHEN 'INSERT' THEN 'NEW TABLE AS new_rows'
          WHEN 'DELETE' THEN 'OLD TABLE AS old_rows'
          ELSE 'OLD TABLE AS old_rows NEW TABLE AS new_rows' END, t.args);
    END LOOP;
    EXECUTE format('CREATE TRIGGER change_truncate AFTER TRUNCATE ON turncred.%I'
      ' FOR EACH STATEMENT EXECUTE FUNCTION turncred.change_record()', t.tab);
  END LOOP;
END
$$;

-- --- rules across tables ------------------------------------------------------------------------

CREATE FUNCTION turncred.realm_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  other text;
BEGIN
  NEW.updated_at := now();
  IF TG_OP = 'UPDATE' THEN
    IF OLD.name <> NEW.name THEN
      RAISE EXCEPTION 'realm "%": a realm cannot be renamed, its name is part of keys and passwords',
        OLD.name USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_name_fixed',
        HINT = 'Add a new realm and move the users.';
    END IF;
    IF OLD.at_rest = 'plain' AND NEW.at_rest = 'sealed'
       AND (EXISTS (SELECT FROM turncred.key k WHERE k.realm = NEW.name AND k.plain IS NOT NULL)
            OR EXISTS (SELECT FROM turncred.credential c
                       WHERE c.realm = NEW.name AND c.md5 IS NOT NULL)) THEN
      RAISE EXCEPTION 'realm "%": keys or credentials are still stored plain', NEW.name
        USING ERRCODE = 'check_violation', CONSTRAINT = 'realm_at_rest_sealed',
              HINT = 'Seal or remove them first.';
    END IF;
  END IF;
  IF cardinality(NEW.listen_addresses) > 0 OR cardinality(NEW.origins) > 0 THEN
    SELECT r.name INTO other FROM turncred.realm r
      WHERE r.name <> NEW.name
        AND (r.listen_addresses && NEW.listen_addresses OR r.origins && NEW.origins) LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'realm "%": a listening address or origin already chooses realm "%"',
        NEW.name, other
        USING ERRCODE = 'unique_violation', CONSTRAINT = 'realm_chosen_once',
              HINT = 'Remove it there first: a challenge can name one realm only.';
    END IF;
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER realm_check BEFORE INSERT OR UPDATE ON turncred.realm
  FOR EACH ROW EXECUTE FUNCTION turncred.realm_check();

CREATE FUNCTION turncred.key_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  r record;
BEGIN
  SELECT at_rest, subject_tag INTO r FROM turncred.realm WHERE name = NEW.realm FOR KEY SHARE;
  NEW.subject_tag := coalesce(NEW.subject_tag, r.subject_tag, true);
  IF NEW.plain IS NOT NULL AND r.at_rest = 'sealed' THEN
    RAISE EXCEPTION 'key "%" of realm "%": the realm stores keys sealed only', NEW.kid, NEW.realm
      USING ERRCODE = 'check_violation', CONSTRAINT = 'key_plain_in_plain_realm',
            HINT = 'Add the key with turncredctl, or set at_rest of the realm to plain.';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER key_check BEFORE INSERT OR UPDATE ON turncred.key
  FOR EACH ROW EXECUTE FUNCTION turncred.key_check();

CREATE FUNCTION turncred.credential_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM turncred.realm WHERE name = NEW.realm AND at_rest = 'sealed'
             FOR KEY SHARE) THEN
    RAISE EXCEPTION 'credential of "%" in realm "%": the realm stores credentials sealed only',
      NEW.username, NEW.realm
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_plain_in_plain_realm',
            HINT = 'Push it with turncredctl, or set at_rest of the realm to plain.';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER credential_check BEFORE INSERT OR UPDATE ON turncred.credential
  FOR EACH ROW WHEN (NEW.md5 IS NOT NULL) EXECUTE FUNCTION turncred.credential_check();

-- --- the contract: functions -------------------------------------------------------------------
-- Errors of our own: TC001 no such realm, TC002 revoked, TC003 no such object, TC004 not allowed.

CREATE FUNCTION turncred.realm_must_exist(p_realm text) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF p_realm IS NULL OR NOT EXISTS (SELECT FROM turncred.realm WHERE name = p_realm) THEN
    RAISE EXCEPTION 'realm "%" does not exist', p_realm
      USING ERRCODE = 'TC001', HINT = 'Add it: turncredctl realm add';
  END IF;
END
$$;

CREATE FUNCTION turncred.is_revoked(p_kind text, p_realm text, p_name text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT EXISTS (SELECT FROM turncred.revocation r
    WHERE r.kind = p_kind AND r.realm = p_realm AND r.name = p_name
      AND r.lifted_at IS NULL AND (r.until IS NULL OR r.until > now()));
END;
COMMENT ON FUNCTION turncred.is_revoked(text, text, text) IS 'true while a revocation of this name is in force';

CREATE FUNCTION turncred.user_must_be_welcome(p_realm text, p_user text) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF turncred.is_revoked('user', p_realm, p_user) OR turncred.is_revoked('realm', p_realm, '') THEN
    RAISE EXCEPTION 'user "%" of realm "%" is revoked', p_user, p_realm
      USING ERRCODE = 'TC002', HINT = 'Lift the revocation first: turncred.lift()';
  END IF;
END
$$;

CREATE FUNCTION turncred.credential_push(p_realm text, p_username text, p_sealed bytea,
    p_kek_id text, p_expiry timestamptz DEFAULT NULL, p_client_address text DEFAULT '')
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  PERFORM turncred.user_must_be_welcome(p_realm, p_username);
  INSERT INTO turncred.credential AS c (realm, username, sealed, kek_id, expiry, client_address)
    VALUES (p_realm, p_username, p_sealed, p_kek_id, p_expiry, coalesce(p_client_address, ''))
  ON CONFLICT (realm, username) DO UPDATE SET sealed = excluded.sealed, kek_id = excluded.kek_id,
    md5 = NULL, sha256 = NULL, expiry = excluded.expiry, client_address = excluded.client_address,
    pushed_at = now();
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.credential_push(text, text, bytea, text, timestamptz, text) IS
  'pushes or replaces a sealed credential; answers with the transaction to wait for (turncred.behind)';

CREATE FUNCTION turncred.credential_push_plain(p_realm text, p_username text, p_md5 bytea,
    p_sha256 bytea DEFAULT NULL, p_expiry timestamptz DEFAULT NULL,
    p_client_address text DEFAULT '')
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  PERFORM turncred.user_must_be_welcome(p_realm, p_username);
  INSERT INTO turncred.credential AS c (realm, username, md5, sha256, expiry, client_address)
    VALUES (p_realm, p_username, p_md5, p_sha256, p_expiry, coalesce(p_client_address, ''))
  ON CONFLICT (realm, username) DO UPDATE SET md5 = excluded.md5, sha256 = excluded.sha256,
    sealed = NULL, kek_id = NULL, expiry = excluded.expiry,
    client_address = excluded.client_address, pushed_at = now();
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.credential_push_plain(text, text, bytea, bytea, timestamptz, text) IS
  'the same for a realm with at_rest plain: MD5(username:realm:password), 16 octets';

CREATE FUNCTION turncred.credential_push_password(p_realm text, p_username text, p_password text,
    p_expiry timestamptz DEFAULT NULL, p_client_address text DEFAULT '')
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  whole bytea := convert_to(p_username || ':' || p_realm || ':' || p_password, 'UTF8');
BEGIN
  IF p_password IS NULL OR octet_length(p_password) < 16 THEN
    RAISE EXCEPTION 'the password is shorter than 16 octets'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credential_password_length',
            HINT = 'Use at least 128 random bits: a dump of a plain realm is attacked offline.';
  END IF;
  RETURN turncred.credential_push_plain(p_realm, p_username, decode(md5(whole), 'hex'),
                                        sha256(whole), p_expiry, p_client_address);
END
$$;
COMMENT ON FUNCTION turncred.credential_push_password(text, text, text, timestamptz, text) IS
  'the same from a password, which is not stored; mind log_statement';

CREATE FUNCTION turncred.credential_remove(p_realm text, p_username text) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM turncred.credential WHERE realm = p_realm AND username = p_username;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION turncred.credential_remove(text, text) IS 'true if there was one';

CREATE VIEW turncred.credential_list AS
  SELECT realm, username, expiry, client_address, pushed_at, sealed IS NOT NULL AS is_sealed, kek_id
  FROM turncred.credential;
COMMENT ON VIEW turncred.credential_list IS 'pushed credentials without their secrets';

CREATE VIEW turncred.key_list AS
  SELECT realm, kid, use, alg, derivation, username_format, state, not_before, sign_until,
         accept_until, allow_zero_iv, subject_tag, tokens_reserved, created_at,
         wrapped IS NOT NULL AS is_sealed, kek_id
  FROM turncred.key;
COMMENT ON VIEW turncred.key_list IS 'keys without their octets';

CREATE FUNCTION turncred.key_add_plain(p_realm text, p_kid text, p_use text, p_alg text, p_key bytea,
    p_derivation text DEFAULT 'none', p_username_format text DEFAULT 'user-id:timestamp',
    p_state text DEFAULT 'active', p_not_before timestamptz DEFAULT NULL,
    p_sign_until timestamptz DEFAULT NULL, p_accept_until timestamptz DEFAULT NULL)
  RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  INSERT INTO turncred.key (realm, kid, use, alg, plain, derivation, username_format, state,
                            not_before, sign_until, accept_until)
    VALUES (p_realm, p_kid, p_use, p_alg, p_key, p_derivation, p_username_format, p_state,
            p_not_before, p_sign_until, p_accept_until);
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.key_add_plain(text, text, text, text, bytea, text, text, text,
  timestamptz, timestamptz, timestamptz) IS 'adds a key to a realm with at_rest plain; raw octets';

-- Issuers make it when they first need it. Whoever comes second uses the one that is there.
CREATE FUNCTION turncred.tag_key_add(p_realm text, p_wrapped bytea, p_kek_id text,
    p_plain bytea DEFAULT NULL)
  RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  INSERT INTO turncred.key (realm, kid, use, alg, wrapped, kek_id, plain)
    VALUES (p_realm, 'subject-tag', 'tag', 'sha256', p_wrapped, p_kek_id, p_plain)
  ON CONFLICT (realm, kid) DO NOTHING;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION turncred.tag_key_add(text, bytea, text, bytea) IS
  'adds the realm''s key of subject tags, sealed or plain; false: there is one already, which stays';

CREATE FUNCTION turncred.key_set_state(p_realm text, p_kid text, p_state text) RETURNS xid8
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  UPDATE turncred.key SET state = p_state WHERE realm = p_realm AND kid = p_kid;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'key "%" of realm "%" does not exist', p_kid, p_realm USING ERRCODE = 'TC003';
  END IF;
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.key_set_state(text, text, text) IS 'published, active, retired or disabled';

-- Serialises revoking a user with issuing to it: else a token could slip between.
CREATE FUNCTION turncred.subject_lock(p_realm text, p_subject text, p_exclusive boolean)
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- 1024 locks at most, however many subjects one transaction touches
  bucket integer := hashtext(p_realm || '/' || p_subject) & 1023;
BEGIN
  IF p_exclusive THEN
    PERFORM pg_advisory_xact_lock(1953853027, bucket);
  ELSE
    PERFORM pg_advisory_xact_lock_shared(1953853027, bucket);
  END IF;
END
$$;

CREATE FUNCTION turncred.revoke(p_kind text, p_realm text, p_name text DEFAULT '',
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
    DELETE FROM turncred.credential WHERE realm = p_realm AND username = p_name;
  END IF;
  RETURN pg_current_xact_id();
END
$$;
COMMENT ON FUNCTION turncred.revoke(text, text, text, text, timestamptz) IS
  'user (with its unexpired tokens and its pushed credential), token (fingerprint), kid or realm; live sessions end';

CREATE FUNCTION turncred.lift(p_kind text, p_realm text, p_name text DEFAULT '') RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found_one boolean;
BEGIN
  IF p_kind = 'user' THEN
    PERFORM turncred.subject_lock(p_realm, p_name, true);
    DELETE FROM turncred.credential WHERE realm = p_realm AND username = p_name
      AND turncred.is_revoked('user', p_realm, p_name);
  END IF;
  UPDATE turncred.revocation SET lifted_at = greatest(clock_timestamp(), revoked_at)
    WHERE kind = p_kind AND realm = p_realm AND name = p_name AND lifted_at IS NULL;
  found_one := FOUND;
  RETURN found_one;
END
$$;
COMMENT ON FUNCTION turncred.lift(text, text, text) IS
  'ends a revocation; credentials issued before stay dead. true if one was in force';

CREATE FUNCTION turncred.issue_record(p_realm text, p_kind text, p_subject text,
    p_expiry timestamptz, p_kid text DEFAULT '', p_fingerprint text DEFAULT '',
    p_issuer text DEFAULT '', p_caller text DEFAULT '')
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM turncred.realm_must_exist(p_realm);
  PERFORM turncred.subject_lock(p_realm, p_subject, false);
  PERFORM turncred.user_must_be_welcome(p_realm, p_subject);
  INSERT INTO turncred.issue_log (realm, kind, kid, fingerprint, subject, expiry, issuer, caller)
    VALUES (p_realm, p_kind, coalesce(p_kid, ''), coalesce(p_fingerprint, ''), p_subject, p_expiry,
            coalesce(p_issuer, ''), coalesce(p_caller, ''));
END
$$;
COMMENT ON FUNCTION turncred.issue_record(text, text, text, timestamptz, text, text, text, text) IS
  'an issuer calls it, and commits, before it hands a credential out; TC002 when the subject is revoked';

CREATE FUNCTION turncred.unexpired_tokens(p_realm text, p_subject text) RETURNS bigint
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT count(*) FROM turncred.issue_log
    WHERE realm = p_realm AND subject = p_subject AND kind = 'token' AND expiry > now();
END;
COMMENT ON FUNCTION turncred.unexpired_tokens(text, text) IS 'for the cap on tokens of one subject';

CREATE FUNCTION turncred.tokens_reserve(p_realm text, p_kid text, p_count bigint) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF p_count IS NULL OR p_count < 1 THEN
    RAISE EXCEPTION 'p_count: at least 1' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  UPDATE turncred.key SET tokens_reserved = tokens_reserved + p_count
    WHERE realm = p_realm AND kid = p_kid AND use = 'token' AND state = 'active'
      AND p_count <= 4294967296 - tokens_reserved;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION turncred.tokens_reserve(text, text, bigint) IS
  'an issuer reserves tokens under a key before it signs them; false: used up or not active, rotate';

CREATE FUNCTION turncred.instance_report(p_id text, p_kind text, p_version text, p_progress xid8,
    p_snapshot_age integer, p_database_state text, p_kek_ids text[] DEFAULT '{}',
    p_refused_rows integer DEFAULT 0, p_schema_version integer DEFAULT 1)
  RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT pg_has_role(session_user, 'turncred_' || p_kind, 'MEMBER') THEN
    RAISE EXCEPTION '% may not report as %', session_user, p_kind
      USING ERRCODE = 'TC004', HINT = format('GRANT turncred_%s TO %I', p_kind, session_user);
  END IF;
  INSERT INTO turncred.instance AS i (id, kind, version, progress, snapshot_age, database_state,
                                      kek_ids, refused_rows, schema_version)
    VALUES (p_id, p_kind, p_version, p_progress, p_snapshot_age, p_database_state,
            p_kek_ids, p_refused_rows, p_schema_version)
  ON CONFLICT (id) DO UPDATE SET version = excluded.version, progress = excluded.progress,
    snapshot_age = excluded.snapshot_age, database_state = excluded.database_state,
    kek_ids = excluded.kek_ids, refused_rows = excluded.refused_rows,
    schema_version = excluded.schema_version, last_seen = now()
    WHERE i.kind = excluded.kind AND i.reported_by = excluded.reported_by;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'instance "%" belongs to another kind or database role', p_id
      USING ERRCODE = 'TC004', HINT = 'Give each server a name of its own, or remove the old row.';
  END IF;
END
$$;
COMMENT ON FUNCTION turncred.instance_report(text, text, text, xid8, integer, text, text[], integer,
  integer) IS 'servers and issuers report their progress';

CREATE FUNCTION turncred.behind(p_xid xid8, p_silent interval DEFAULT NULL)
  RETURNS TABLE (id text, kind text, progress xid8, last_seen timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT i.id, i.kind, i.progress, i.last_seen FROM turncred.instance i
    WHERE i.progress <= p_xid AND (p_silent IS NULL OR i.last_seen > now() - p_silent)
    ORDER BY i.kind DESC, i.id;
END;
COMMENT ON FUNCTION turncred.behind(xid8, interval) IS
  'instances that do not yet have the changes of that transaction; p_silent leaves out those not heard of for longer';

-- --- housekeeping -------------------------------------------------------------------------------

-- Makes tomorrow's partitions and drops old ones. Rows that fell into the default partition (no
-- maintenance for days) are deleted by age. Waits two seconds at most for a table that is in use (a
-- dump, say), since whoever writes would have to wait behind it; then it is for the next time.
CREATE FUNCTION turncred.maintain_partitions(p_keep_change interval DEFAULT '7 days',
    p_keep_issue_log interval DEFAULT '90 days', p_ahead integer DEFAULT 7)
  RETURNS TABLE (action text, object text)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  t record;
  p record;
  d date;
  today date := (now() AT TIME ZONE 'UTC')::date;
  n bigint;
BEGIN
  -- a second one at the same time has nothing to do
  IF NOT pg_try_advisory_xact_lock(1953853027, -1) THEN
    RETURN;
  END IF;
  IF p_keep_change < interval '1 hour' OR p_keep_issue_log < interval '1 hour' THEN
    RAISE EXCEPTION 'p_keep_change, p_keep_issue_log: at least one hour'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- readers take it as the newest change, so that dropping older ones is no loss to them
  INSERT INTO turncred.change (kind) VALUES ('heartbeat');
  <<tables>>
  FOR t IN SELECT * FROM (VALUES ('change', 'at', p_keep_change),
                                 ('issue_log', 'issued_at', p_keep_issue_log)) v(tab, col, keep)
  LOOP
    BEGIN
      FOR i IN 1 .. p_ahead LOOP
        d := today + i;
        CONTINUE WHEN to_regclass(format('turncred.%I', t.tab || to_char(d, '_YYYYMMDD'))) IS NOT NULL;
        EXECUTE format('SELECT count(*) FROM turncred.%I WHERE %I >= %L AND %I < %L',
          t.tab || '_default', t.col, d || ' 00:00+00', t.col, d + 1 || ' 00:00+00') INTO n;
        CONTINUE WHEN n > 0;
        EXECUTE format('CREATE TABLE turncred.%I PARTITION OF turncred.%I FOR VALUES FROM (%L) TO (%L)',
          t.tab || to_char(d, '_YYYYMMDD'), t.tab, d || ' 00:00+00', d + 1 || ' 00:00+00');
        action := 'create'; object := t.tab || to_char(d, '_YYYYMMDD');
        RETURN NEXT;
      END LOOP;
      FOR p IN SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        WHERE h.inhparent = format('turncred.%I', t.tab)::regclass AND c.relname ~ '_[0-9]{8}$'
      LOOP
        IF (p.day + 1)::timestamp AT TIME ZONE 'UTC' < now() - t.keep THEN
          EXECUTE format('DROP TABLE turncred.%I', p.relname);
          action := 'drop'; object := p.relname;
          RETURN NEXT;
        END IF;
      END LOOP;
    EXCEPTION WHEN lock_not_available THEN
      -- what was done to this table in this run is undone, rows that were returned say too much
      action := 'busy'; object := t.tab;
      RETURN NEXT;
      CONTINUE tables;
    END;
    EXECUTE format('DELETE FROM turncred.%I WHERE %I < now() - %L::interval',
                   t.tab || '_default', t.col, t.keep);
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
      action := 'delete'; object := n || ' rows of ' || t.tab || '_default';
      RETURN NEXT;
    END IF;
  END LOOP;
END
$$;
COMMENT ON FUNCTION turncred.maintain_partitions(interval, interval, integer) IS
  'makes the next days'' partitions of change and issue_log and drops old ones; safe to run twice at once';

-- One small batch a call, so that locks are short and readers get few changes at a time.
CREATE FUNCTION turncred.purge_expired(p_batch integer DEFAULT 500) RETURNS integer
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  n integer;
  m integer;
BEGIN
  DELETE FROM turncred.credential c USING (
      SELECT realm, username FROM turncred.credential WHERE expiry < now()
      ORDER BY expiry LIMIT p_batch FOR UPDATE SKIP LOCKED) old
    WHERE c.realm = old.realm AND c.username = old.username;
  GET DIAGNOSTICS n = ROW_COUNT;
  -- a revocation that ended is kept while anything issued before its end could still be valid
  DELETE FROM turncred.revocation r USING (
      SELECT v.kind, v.realm, v.name FROM turncred.revocation v
      LEFT JOIN turncred.realm m ON m.name = v.realm
      WHERE least(v.lifted_at, v.until) < now() - CASE v.kind WHEN 'token' THEN interval '0'
              ELSE make_interval(secs => coalesce(m.max_ttl, 31536000) + 310) END
      LIMIT p_batch FOR UPDATE OF v SKIP LOCKED) old
    WHERE r.kind = old.kind AND r.realm = old.realm AND r.name = old.name;
  GET DIAGNOSTICS m = ROW_COUNT;
  RETURN n + m;
END
$$;
COMMENT ON FUNCTION turncred.purge_expired(integer) IS
  'removes one batch of expired credentials and of revocations that no longer matter; call until 0';

CREATE FUNCTION turncred.instance_forget(p_id text) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  DELETE FROM turncred.instance WHERE id = p_id;
  RETURN FOUND;
END
$$;
COMMENT ON FUNCTION turncred.instance_forget(text) IS 'a server that is gone for good';

-- --- rights -------------------------------------------------------------------------------------

REVOKE ALL ON ALL TABLES IN SCHEMA turncred FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA turncred FROM PUBLIC;
REVOKE ALL ON SCHEMA turncred FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE turncred_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT USAGE ON SCHEMA turncred TO turncred_server, turncred_issuer, turncred_admin;
GRANT SELECT ON turncred.migration, turncred.database, turncred.realm, turncred.key,
  turncred.revocation, turncred.change TO turncred_server, turncred_issuer, turncred_admin;
GRANT SELECT ON turncred.credential TO turncred_server, turncred_admin;
GRANT SELECT ON turncred.instance TO turncred_issuer, turncred_admin;
GRANT SELECT ON turncred.credential_list TO turncred_issuer, turncred_admin;
GRANT SELECT ON turncred.key_list, turncred.issue_log TO turncred_admin;
GRANT INSERT, UPDATE, DELETE ON turncred.realm, turncred.key, turncred.credential,
  turncred.revocation TO turncred_admin;

-- An issuer sees the keys it may sign with, now or soon, and no others. FORCE also keeps PostgreSQL
-- from quoting the failing row, so key octets, in errors and in its log (superusers excepted).
ALTER TABLE turncred.key ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY key_owner ON turncred.key TO turncred_owner USING (true) WITH CHECK (true);
CREATE POLICY key_server ON turncred.key FOR SELECT TO turncred_server USING (use <> 'tag');
CREATE POLICY key_admin ON turncred.key TO turncred_admin USING (true) WITH CHECK (true);
CREATE POLICY key_issuer ON turncred.key FOR SELECT TO turncred_issuer
  USING (state IN ('published', 'active'));
ALTER TABLE turncred.credential ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY credential_owner ON turncred.credential TO turncred_owner USING (true) WITH CHECK (true);
CREATE POLICY credential_server ON turncred.credential FOR SELECT TO turncred_server USING (true);
CREATE POLICY credential_admin ON turncred.credential TO turncred_admin USING (true) WITH CHECK (true);

GRANT EXECUTE ON FUNCTION turncred.instance_report(text, text, text, xid8, integer, text, text[],
  integer, integer) TO turncred_server, turncred_issuer;
GRANT EXECUTE ON FUNCTION
  turncred.is_revoked(text, text, text),
  turncred.behind(xid8, interval),
  turncred.credential_push(text, text, bytea, text, timestamptz, text),
  turncred.credential_push_plain(text, text, bytea, bytea, timestamptz, text),
  turncred.credential_push_password(text, text, text, timestamptz, text),
  turncred.credential_remove(text, text),
  turncred.issue_record(text, text, text, timestamptz, text, text, text, text),
  turncred.unexpired_tokens(text, text)
  TO turncred_issuer, turncred_admin;
GRANT EXECUTE ON FUNCTION turncred.tokens_reserve(text, text, bigint),
  turncred.tag_key_add(text, bytea, text, bytea)
  TO turncred_issuer, turncred_admin;
GRANT EXECUTE ON FUNCTION
  turncred.key_add_plain(text, text, text, text, bytea, text, text, text, timestamptz, timestamptz,
    timestamptz),
  turncred.key_set_state(text, text, text),
  turncred.revoke(text, text, text, text, timestamptz),
  turncred.lift(text, text, text),
  turncred.maintain_partitions(interval, interval, integer),
  turncred.purge_expired(integer),
  turncred.instance_forget(text)
  TO turncred_admin;

INSERT INTO turncred.migration (version, description) VALUES (1, 'init');

RESET ROLE;
RESET search_path;
