// SPDX-License-Identifier: BSD-3-Clause
// The portal's API. The session is a cookie that no script can read.

/** An error with the HTTP status (0: no answer) and the portal's message. */
export class PortalError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** who: the program behind the path, for messages. */
export async function call(path, options, who = 'the portal') {
  let response;
  let members;
  try {
    response = await fetch(path, { credentials: 'same-origin', cache: 'no-store', redirect: 'error', ...options });
  } catch {
    throw new PortalError(0, `${who} does not answer: is it up, and is this device online?`);
  }
  try {
    members = await response.json();
  } catch {
    throw new PortalError(response.status, `the answer of ${who} cannot be read (${response.status})`);
  }
  if (!response.ok) throw new PortalError(response.status, members.error_description || `status ${response.status}`);
  return members;
}

const get = (path) => call(path, {});
const post = (path, members = {}) =>
  call(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(members) });

export const settings = () => get('api/settings');
export const session = () => get('api/session');
export const signIn = (user, password) => post('api/session', { user, password });
export const signOut = () => post('api/session/end');
// user: whom the page shows; the portal refuses if somebody else has signed in since, in another tab
export const token = (user) => post('api/token', { user });
export const credential = (user) => post('api/credential', { user });
