// SPDX-License-Identifier: BSD-3-Clause
// What the codes in icecandidateerror mean (RFC 8489, RFC 8656), and what to do.

const CODES = {
  300: 'The server sends its clients to another server.',
  400: 'The server did not understand the request.',
  401: 'The server did not accept this username and password: they have expired, were revoked, or were made with another key or for another realm. Get a new credential.',
  403: 'The server forbids this relay.',
  405: 'Something between here and the server does not speak TURN.',
  420: 'The server does not know an attribute of the request.',
  437: 'The relay address was gone already. Try again.',
  438: 'The request was too old for the server. Try again.',
  441: 'The relay address belongs to another user.',
  442: 'The server does not relay over this transport.',
  486: 'The quota of this user is used up: end other calls first.',
  500: 'The server failed, or has not loaded its keys yet. Try again in a moment.',
  508: 'The server has no relay address left. Try again later.',
  600: 'The server could not be reached.',
  701: 'The server could not be reached: it is down, the address or transport is wrong, or a firewall is in between.',
};

/** A sentence for an icecandidateerror event. */
export function explain({ errorCode, errorText, url }) {
  const meaning = CODES[errorCode] || errorText || 'The server refused it.';
  return `${url || 'TURN server'}: ${errorCode}. ${meaning}`;
}

/** Each reason once. If a server answered on one address, the reasons leave out its addresses that did not answer. */
export function reasons(errors) {
  const told = errors.filter(({ errorCode }) => errorCode !== 701);
  return [...new Set((told.length ? told : errors).map(explain))];
}
