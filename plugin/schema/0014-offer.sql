-- turncred schema, version 14: to whom a realm offers tokens
--
-- SPDX-License-Identifier: BSD-3-Clause
--
-- Adds only; programs made for version 1 go on working.

SET LOCAL ROLE turncred_owner;
SET LOCAL search_path = pg_catalog, pg_temp;

ALTER TABLE turncred.realm
  ADD COLUMN offer_tokens text NOT NULL DEFAULT 'always',
  ADD CONSTRAINT realm_offer_tokens_known CHECK (offer_tokens IN ('always', 'shown'));
COMMENT ON COLUMN turncred.realm.offer_tokens IS
  'always: each challenge says that the realm takes tokens; shown: that to a client that has sent THIRD-PARTY-AUTHORIZATION';

INSERT INTO turncred.migration (version, description) VALUES (14, 'offer_tokens');

RESET ROLE;
RESET search_path;
