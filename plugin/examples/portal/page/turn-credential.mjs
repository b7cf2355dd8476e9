// SPDX-License-Identifier: BSD-3-Clause
// The Turn-Credential header field in the eP-CSCF's answers (plugin/epcscf/README.md).

import { parameters } from './parameters.mjs';

/** {kind, realm, username, password, expiresAt, iceServers}; throws an Error that says what is wrong. */
export function parseTurnCredential(value, now = Date.now()) {
  const given = parameters(value, ';');
  if (!given) throw new Error('the Turn-Credential header field cannot be read');
  const need = (name) => {
    if (!given.get(name)) throw new Error(`the Turn-Credential header field has no ${name}`);
    return given.get(name);
  };
  const urls = need('uris').split(' ').filter(Boolean);
  if (!urls.length || !urls.every((uri) => /^turns?:/.test(uri)))
    throw new Error('the Turn-Credential header field names no TURN server');
  if (!/^[1-9]\d{0,9}$/.test(need('expires'))) throw new Error('the Turn-Credential header field has a bad expires');
  const username = need('username');
  const credential = need('password');
  return {
    kind: need('kind'),
    realm: need('realm'),
    username,
    password: credential,
    expiresAt: Math.floor(now / 1000) + Number(given.get('expires')),
    iceServers: [{ urls, username, credential }],
  };
}
