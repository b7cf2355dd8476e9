// SPDX-License-Identifier: BSD-3-Clause
// Digest authentication (RFC 7616, RFC 2617, and RFC 8760 for SIP): MD5 and SHA-256, qop=auth.

import { md5 } from './md5.mjs';
import { parameters, quoted } from './parameters.mjs';

async function sha256(text) {
  const octets = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(octets), (octet) => octet.toString(16).padStart(2, '0')).join('');
}

const HASHES = { 'SHA-256': sha256, MD5: md5 };

function one(header) {
  const match = /^\s*Digest\s+(.*)$/is.exec(header);
  const given = match && parameters(match[1], ',');
  if (!given?.get('realm') || !given.has('nonce')) return null;
  const name = (given.get('algorithm') || 'MD5').toUpperCase();
  const session = name.endsWith('-SESS');
  const algorithm = session ? name.slice(0, -5) : name;
  const offered = given.get('qop')?.toLowerCase().split(/[\s,]+/);
  if (!HASHES[algorithm] || (offered && !offered.includes('auth')) || (session && !offered)) return null;
  return {
    realm: given.get('realm'),
    nonce: given.get('nonce'),
    opaque: given.get('opaque'),
    stale: given.get('stale')?.toLowerCase() === 'true',
    qop: offered ? 'auth' : null,
    named: given.get('algorithm'),
    algorithm,
    session,
  };
}

/** Chooses the strongest known challenge of several header fields; null if there is none. */
export function challenge(headers) {
  const known = headers.map(one).filter(Boolean);
  return known.find((c) => c.algorithm === 'SHA-256') || known[0] || null;
}

/** 128 random bits. */
export const random = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (octet) => octet.toString(16).padStart(2, '0')).join('');

/** The value of the Authorization header field. count: number of uses of this nonce, this one included. */
export async function authorization(c, { username, password, method, uri, count = 1, cnonce = random() }) {
  const hash = HASHES[c.algorithm];
  const nc = count.toString(16).padStart(8, '0');
  let secret = await hash(`${username}:${c.realm}:${password}`);
  if (c.session) secret = await hash(`${secret}:${c.nonce}:${cnonce}`);
  const request = await hash(`${method}:${uri}`);
  const between = c.qop ? `${c.nonce}:${nc}:${cnonce}:${c.qop}` : c.nonce;
  const response = await hash(`${secret}:${between}:${request}`);
  const parts = [
    `username=${quoted(username)}`,
    `realm=${quoted(c.realm)}`,
    `nonce=${quoted(c.nonce)}`,
    `uri=${quoted(uri)}`,
    `response="${response}"`,
  ];
  if (c.named) parts.push(`algorithm=${c.named}`);
  if (c.opaque !== undefined) parts.push(`opaque=${quoted(c.opaque)}`);
  if (c.qop) parts.push(`qop=${c.qop}`, `nc=${nc}`, `cnonce="${cnonce}"`);
  return `Digest ${parts.join(', ')}`;
}
