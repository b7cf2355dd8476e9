// SPDX-License-Identifier: BSD-3-Clause
// The Turn-Credential header field in the eP-CSCF's answers (plugin/epcscf/README.md).

import { parameters } from './parameters.mjs';

const WITHOUT = {
  'forbidden': 'no TURN credentials are issued to this user',
  'not-authenticated': 'the registrar did not ask for the password',
  'not-registered': 'this connection has no registration; register again',
  'not-secure': 'the SIP edge gives credentials over wss: alone',
  'too-often': 'this user has asked for too many credentials',
  'unavailable': 'the issuer of credentials is away',
  'unknown-identity': 'the SIP edge does not know the name that the registrar gave this user',
  'unsupported-kind': 'this domain has no credentials of the kind that was asked for',
};

/** A sentence for people that says why there is no credential; null if the header field has one. */
export function whyNoCredential(value) {
  const given = parameters(value, ';');
  if (!given?.has('error')) return null;
  const after = /^[1-9]\d{0,5}$/.test(given.get('retry-after')) ? `; try again in ${given.get('retry-after')} s` : '';
  return (WITHOUT[given.get('error')] ?? `the SIP edge says "${given.get('error')}"`) + after;
}

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
