// SPDX-License-Identifier: BSD-3-Clause
// Sign-in at an OpenID Connect provider: authorization code with PKCE (RFC 7636), by oauth4webapi. The access token is in
// this module's memory alone: it goes when the page goes, and no other script of the page gets it.

import * as oauth from './oauth4webapi.mjs';
import { PortalError, call } from './portal.mjs';

const PENDING = 'sign-in'; // what must outlive the way to the provider and back

let about = null; // the portal's settings
let token = null;

export function configure(settings) {
  about = settings;
}

const here = () => `${location.origin}/`;
const client = () => ({ client_id: about.provider.client });

async function server() {
  const issuer = new URL(about.provider.issuer);
  let response;
  try {
    response = await oauth.discoveryRequest(issuer);
  } catch {
    throw new PortalError(0, `the provider ${about.provider.issuer} does not answer, or does not let this page read its metadata`);
  }
  return oauth.processDiscoveryResponse(issuer, response);
}

/** An error of the library as the provider, or its operator, needs to hear it. */
function explained(error) {
  const said = error.error_description || error.error;
  if (said) return new Error(`the provider refuses: ${said}`);
  return error instanceof TypeError && !error.code
    ? new PortalError(0, 'the token endpoint of the provider does not answer, or does not let this page ask') : error;
}

/** Leaves the page for the provider's. */
export async function signIn() {
  const { authorization_endpoint: endpoint } = await server();
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const url = new URL(endpoint);
  for (const [name, value] of Object.entries({
    client_id: about.provider.client,
    redirect_uri: here(),
    response_type: 'code',
    scope: about.provider.scope,
    resource: about.provider.resource, // RFC 8707: the token is for turncredd
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })) url.searchParams.set(name, value);
  sessionStorage.setItem(PENDING, JSON.stringify({ verifier, state }));
  location.assign(url);
}

/** Takes the provider's answer, with which it has sent the browser back. Returns the user; null: nobody signed in. */
export async function finish() {
  const answer = new URL(location.href);
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? 'null');
  sessionStorage.removeItem(PENDING);
  if (!answer.searchParams.has('state')) return null;
  history.replaceState(null, '', here()); // the code is for one use, and not for the history
  if (!pending) throw new Error('the provider sent an answer that this page did not ask for');
  const as = await server();
  try {
    const parameters = oauth.validateAuthResponse(as, client(), answer, pending.state);
    const response = await oauth.authorizationCodeGrantRequest(as, client(), oauth.None(), parameters, here(), pending.verifier, {
      additionalParameters: { resource: about.provider.resource },
    });
    const result = await oauth.processAuthorizationCodeResponse(as, client(), response);
    token = result.access_token;
    return oauth.getValidatedIdTokenClaims(result)?.sub ?? 'somebody';
  } catch (error) {
    throw explained(error);
  }
}

export function signOut() {
  token = null;
}

/** A credential, from turncredd itself, for the access token alone. */
export const credential = () =>
  call(`${about.provider.turncredd}/v1/realms/${encodeURIComponent(about.realm)}/credentials`, {
    method: 'POST',
    credentials: 'omit',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: '{}',
  }, 'turncredd');
