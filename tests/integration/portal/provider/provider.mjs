// SPDX-License-Identifier: BSD-3-Clause
// A real OpenID Connect provider (npm's oidc-provider) whose users sign in without a password.
//
//   provider.mjs SETTINGS   a JSON file: issuer, listen {host, port}, certificate, key, client, redirect_uri, resource,
//                           and perhaps lifetime (seconds of an access token), lifetimes (by client) and clients (further ones)
//
// Its access tokens are JWT (RFC 9068) for the resource, its keys are made at the start.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const jwk = (alg, type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg, use: 'sig' };
};

const resource = {
  scope: 'turn',
  audience: settings.resource,
  accessTokenFormat: 'jwt',
  accessTokenTTL: settings.lifetime ?? 300,
  jwt: { sign: { alg: 'ES256' } },
};

const provider = new Provider(settings.issuer, {
  clients: [{
    client_id: settings.client,
    token_endpoint_auth_method: 'none',
    redirect_uris: [settings.redirect_uri],
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }, ...(settings.clients ?? [])],
  jwks: { keys: [jwk('ES256', 'ec', { namedCurve: 'P-256' }), jwk('RS256', 'rsa', { modulusLength: 2048 })] },
  scopes: ['openid'],
  features: {
    clientCredentials: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, wanted, client) => ({
        ...resource, audience: wanted, accessTokenTTL: settings.lifetimes?.[client.clientId] ?? resource.accessTokenTTL,
      }),
    },
  },
  clientBasedCORS: (ctx, origin) => origin === new URL(settings.redirect_uri).origin,
  cookies: { keys: ['tests'] },
});
provider.on('server_error', (ctx, error) => console.error(error));

const tls = {
  cert: readFileSync(settings.certificate),
  key: readFileSync(settings.key),
  requestCert: true, // RFC 8705; whoever has issued it
  rejectUnauthorized: false,
};
createServer(tls, provider.callback()).listen(settings.listen.port, settings.listen.host, () => console.log('listening'));
process.on('SIGTERM', () => process.exit(0));
