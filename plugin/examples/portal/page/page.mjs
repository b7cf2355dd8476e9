// SPDX-License-Identifier: BSD-3-Clause
// The page: sign in, get a credential, call.

import { Call } from './call.mjs';
import { reasons } from './explain.mjs';
import * as portal from './portal.mjs';
import { Registration, SipError, parseAddress } from './registration.mjs';
import { $, define, fail, hide, left, row, run } from './show.mjs';

const credentials = { https: null, sip: null };
let settings = null;
let provider = null; // the module, where users sign in at an OpenID Connect provider
let registration = null;
let call = null;
let visit = { user: null }; // another object whenever somebody signs in or out

// --- 1 sign in --------------------------------------------------------------------------------

function signedIn(user) {
  visit = { user };
  hide('account', !user);
  hide('sign-in', Boolean(user) || Boolean(provider));
  hide('provider', Boolean(user) || !provider);
  hide('signed-in', !user || Boolean(provider));
  hide('signed-in-provider', !user || !provider);
  hide('step-2', !user);
  hide('step-3', !user);
  $('who').textContent = user || '';
  // hide the errors that the previous user saw
  for (const id of ['https', 'sip', 'token', 'call']) fail(`${id}-error`);
  if (user && settings?.sip && !$('sip-address').value) $('sip-address').value = `sip:${user}@${settings.sip.domain}`;
  if (!user) forget();
}

/** Removes everything that belonged to the user. */
function forget() {
  call?.hangUp();
  registration?.unregister().catch(() => {});
  registration = null;
  for (const way of ['https', 'sip']) take(way, null);
  for (const id of ['https', 'sip', 'token']) {
    $(id).replaceChildren();
    hide(id);
  }
  hide('result');
  $('register').reset();
  $('sip-address').value = '';
  showRegistered(false);
  $('sip-state').textContent = '';
}

$('sign-in').onsubmit = async (event) => {
  event.preventDefault();
  const { user, password } = event.target.elements;
  const wrong = await run(event.submitter || event.target.querySelector('button'), 'sign-in-error', async () => {
    const session = await portal.signIn(user.value, password.value);
    signedIn(session.user);
  });
  password.value = '';
  if (wrong) password.focus();
  else $('title-2').focus();
};

const beginning = () => $(provider ? 'provider-sign-in' : 'user');

$('provider-sign-in').onclick = () => run($('provider-sign-in'), 'sign-in-error', () => provider.signIn());

$('sign-out').onclick = () => run($('sign-out'), 'sign-in-error', async () => {
  await (provider ?? portal).signOut();
  signedIn(null);
  beginning().focus();
});

/** The answer; what comes after the user has signed out is nobody's. undo: what to do with it then. */
async function current(question, undo = () => {}) {
  const ours = visit;
  const answer = await question();
  if (ours === visit) return answer;
  await undo();
  throw new Error('you signed out before the answer came');
}

/** Runs an action of a button; an expired session brings the page back to sign-in instead of an error at the button. */
async function asked(question) {
  const ours = visit;
  try {
    return await current(question);
  } catch (error) {
    if (error.status === 401 && ours === visit) {
      signedIn(null);
      const why = provider ? `Your token is not accepted any more: ${error.message}.` : 'You were signed out.';
      fail('sign-in-error', `${why} Sign in again.`);
      beginning().focus();
    }
    throw error;
  }
}

/** The page itself asks turncredd; the portal only serves the page. */
async function useProvider() {
  provider = await import('./provider.mjs');
  provider.configure(settings);
  $('provider-name').textContent = new URL(settings.provider.issuer).host;
  $('who-asks').textContent = 'This page';
  $('ways').textContent = 'There are two ways to a credential. A call needs one of them.';
  hide('card-token');
  signedIn(null);
  const user = await provider.finish();
  if (!user) return;
  signedIn(user);
  $('title-2').focus();
}

// --- 2 credentials ----------------------------------------------------------------------------

/** Sets a new credential; null removes the old one. */
function take(way, credential) {
  credentials[way] = credential;
  const choice = document.querySelector(`input[name=use][value=${way}]`);
  choice.disabled = !credential;
  choice.checked = Boolean(credential);
  if (!credential) chooseWhatIsLeft();
  if (call?.way === way && credential) renewCall(credential);
  if (!call) idle();
}

function chooseWhatIsLeft() {
  const chosen = document.querySelector('input[name=use]:checked');
  const other = document.querySelector('input[name=use]:enabled');
  if (!chosen && other) other.checked = true;
}

function idle() {
  const any = Object.values(credentials).some(Boolean);
  $('start').disabled = !any;
  state(any ? 'Ready to call.' : 'Get a credential first.');
}

function describe(id, credential) {
  define(id, [
    ['Username', credential.username, { copy: true }],
    ['Password', credential.password, { secret: true, copy: true }],
    ['Realm', credential.realm],
    ['Kind', credential.kind],
    ['Servers', [credential.iceServers[0].urls].flat()],
    ['Runs out', left(credential.expiresAt), { id: `${id}-left` }],
  ]);
}

async function getHttps(ask = asked) {
  const answer = await ask(() => (provider ?? portal).credential(visit.user));
  if (!answer.iceServers?.[0]?.urls?.length) throw new Error('the realm names no TURN server (turncredctl realm set --uri)');
  // by this device's clock, which may differ from the issuer's
  const credential = { ...answer, expiresAt: Math.floor(Date.now() / 1000) + answer.ttl };
  describe('https', credential);
  take('https', credential);
}

$('get-https').onclick = () => run($('get-https'), 'https-error', () => getHttps());

$('get-token').onclick = () => run($('get-token'), 'token-error', async () => {
  const token = await asked(() => portal.token(visit.user));
  define('token', [
    ['Key id (USERNAME)', token.kid, { copy: true }],
    ['Access token', token.access_token, { copy: true }],
    ['Session key', token.key, { secret: true, copy: true }],
    ['Algorithm', token.alg],
    ['Server', token.server_name],
    ['Runs out', left(Date.now() / 1000 + token.expires_in)],
  ]);
});

function showRegistered(on) {
  hide('register', on || !settings?.sip);
  hide('registered', !on);
}

/** from: the registration in which the credential came */
function takeSip(credential, from) {
  if (from !== registration) throw new SipError('the page is not registered any more');
  if (!credential) throw new SipError(`registered, but the SIP edge gave no credential: ${from.why ?? 'it does not say why'}`);
  describe('sip', credential);
  take('sip', credential);
}

function edgeGone(text) {
  registration = null;
  showRegistered(false);
  $('sip-state').textContent = '';
  fail('sip-error', text);
}

$('register').onsubmit = (event) => {
  event.preventDefault();
  const { address, password, ask } = event.target.elements;
  return run(event.submitter || event.target.querySelector('button'), 'sip-error', async () => {
    const us = parseAddress(address.value);
    if (!us) throw new SipError('SIP address: write it as sip:alice@example.org');
    const mine = new Registration({
      websocket: settings.sip.websocket, ...us, password: password.value, ask: ask.value,
    });
    mine.addEventListener('renewed', ({ credential }) => {
      if (mine === registration && credential) takeSip(credential, mine);
    });
    mine.addEventListener('lost', () => mine === registration && edgeGone('The SIP edge closed the connection. Register again.'));
    mine.addEventListener('failed', ({ error }) => mine === registration && edgeGone(`The registration ran out: ${error.message}.`));
    $('sip-state').textContent = 'Registering…';
    take('sip', null);
    hide('sip');
    try {
      const credential = await current(() => mine.register(), () => mine.unregister().catch(() => {}));
      registration = mine;
      showRegistered(true);
      $('sip-state').textContent = `Registered as sip:${us.user}@${us.domain}.`;
      password.value = '';
      takeSip(credential, mine);
    } catch (error) {
      if (mine !== registration) {
        $('sip-state').textContent = '';
        mine.close();
      }
      throw error;
    }
  });
};

$('another').onclick = () => run($('another'), 'sip-error', async () => {
  const mine = registration;
  takeSip(await mine.another(), mine);
});

$('unregister').onclick = () => run($('unregister'), 'sip-error', async () => {
  const mine = registration;
  registration = null;
  try {
    await mine.unregister();
  } finally {
    showRegistered(false);
    $('sip-state').textContent = 'Not registered any more.';
    hide('sip');
    take('sip', null);
  }
});

window.addEventListener('pagehide', () => registration?.unregister().catch(() => {}));

// --- 3 the call -------------------------------------------------------------------------------

function state(text, kind = '') {
  $('call-state').className = `state ${kind}`;
  if ($('call-state').textContent !== text) $('call-state').textContent = text;
}

const WAYS = {
  '': () => true,
  udp: (url) => /^turn:/.test(url) && !/transport=tcp/.test(url),
  tcp: (url) => /^turn:.*transport=tcp/.test(url),
  tls: (url) => /^turns:/.test(url),
};

function chosenServers(credential, way) {
  const servers = credential.iceServers.map((server) => ({ ...server, urls: [server.urls].flat().filter(WAYS[way]) }));
  if (!servers.some((server) => server.urls.length)) throw new Error('the credential names no server for this way');
  return servers;
}

$('call').onsubmit = (event) => {
  event.preventDefault();
  return run($('start'), 'call-error', () => {
    const way = event.target.elements.use.value;
    const credential = credentials[way];
    if (!credential) throw new Error('choose a credential');
    const transport = event.target.elements.transport.value;
    begin(Object.assign(new Call(chosenServers(credential, transport)), { way, transport }), credential);
  });
};

$('hang-up').onclick = () => call?.hangUp();

const CONNECTED = 'Connected: data goes through the relay, both ways.';

/** Shows the relay addresses in use. */
async function showPair(of) {
  const pair = await of.pair().catch(() => null);
  if (of !== call) return;
  pair?.forEach((used, i) => ($(`relay-${'AB'[i]}`).textContent =
    `${used.address}:${used.port}${used.over && ` over ${used.over}`}`));
}

// --- a credential does not outlive its time, a call does --------------------------------------

// A third of the life is left, but never so little that Firefox gives up first: it refreshes 10 s before the end, gets 10 s
// more under the policy strict, and ends what has no more than that.
const before = (life) => Math.min(Math.max(life / 3, 20), life / 2, 120);
const RETRY = 5; // seconds

/** The call goes on under this credential, and asks for the next one in time. */
function lives(of, credential) {
  const life = credential.expiresAt - Date.now() / 1000;
  of.expiresAt = credential.expiresAt;
  of.renewAt = credential.expiresAt - before(life);
}

/** Gets the credential after this one, in the way that this one came. take() then hands it to the call. */
async function renewInTime(of) {
  of.renewAt = Date.now() / 1000 + RETRY;
  const from = registration;
  try {
    if (of.way === 'https') await getHttps(current); // a session that has run out does not end the call
    else if (from) takeSip(await from.another(), from);
    else throw new Error('the page is not registered any more');
  } catch (error) {
    if (of === call) fail('call-error', `The call needs a new credential and got none: ${error.message}.`);
  }
}

async function renewCall(credential) {
  const of = call;
  lives(of, credential);
  runsOut(of);
  try {
    $('candidates').replaceChildren();
    await of.renew(chosenServers(credential, of.transport));
    if (of === call) fail('call-error');
  } catch (error) {
    if (of === call) fail('call-error', `The call did not take the new credential: ${error.message}.`);
  }
}

function begin(next, credential) {
  call?.hangUp();
  call = next;
  lives(next, credential);
  $('candidates').replaceChildren();
  for (const id of ['relay-A', 'relay-B']) $(id).textContent = '…';
  for (const id of ['round-trip', 'a-to-b', 'b-to-a']) $(id).textContent = '–';
  hide('start');
  hide('hang-up', false);
  hide('result');
  $('hang-up').focus();
  runsOut(next);
  state('Asking the TURN server for two relay addresses…');

  next.addEventListener('candidate', ({ end, candidate, over }) => {
    if (next !== call) return;
    hide('result', false);
    row('candidates', [end, candidate.type, `${candidate.address}:${candidate.port}`, over]);
  });
  next.addEventListener('open', () => {
    state(CONNECTED, 'good');
    showPair(next);
  });
  next.addEventListener('counted', () => {
    const { A, B } = next.counts;
    $('a-to-b').textContent = `${B.received} of ${A.sent} messages`;
    $('b-to-a').textContent = `${A.received} of ${B.sent} messages`;
  });
  next.addEventListener('roundtrip', ({ last }) => {
    const sorted = [...next.roundTrips].sort((a, b) => a - b);
    $('round-trip').textContent = `${last.toFixed(1)} ms, median ${sorted[sorted.length >> 1].toFixed(1)}`;
    if (next !== call || !next.opened) return;
    next.silent = false;
    state(CONNECTED, 'good');
    showPair(next); // a renewed call changes to other relay addresses
  });
  next.addEventListener('quiet', ({ seconds }) => {
    // the text appears once, not every second
    next.silent = true;
    if (seconds >= next.quietSeconds && $('call-state').className !== 'state bad') state('Nothing comes through the relay any more…', 'bad');
  });
  next.addEventListener('ended', ({ why }) => ended(next, why));
  next.start();
}

function ended(which, why) {
  if (which !== call) return;
  call = null;
  const focused = document.activeElement === $('hang-up');
  hide('hang-up');
  hide('start', false);
  hide('result'); // the figures of a call that is over are nobody's
  if (focused) $('start').focus();
  if (!why) {
    state('Call ended.');
    return;
  }
  const refused = which.opened ? [] : reasons(which.refusals.map(({ error }) => error));
  const late = which.expiresAt <= Date.now() / 1000 ? ['The credential has run out. Get a new one.'] : [];
  const lost = which.opened && !late.length ? ['The credential may have been revoked, or the server was stopped. Get a new one and call again.'] : [];
  state(which.opened ? 'The call was cut off.' : 'No call.', 'bad');
  fail('call-error', [`${why.charAt(0).toUpperCase()}${why.slice(1)}.`, ...refused, ...late, ...lost].join('\n'));
}

// --- the clock, and the beginning -------------------------------------------------------------

function tick(id, expiresAt) {
  $(id).textContent = left(expiresAt);
  $(id).classList.toggle('over', expiresAt <= Date.now() / 1000);
}

/** When the credential of a call runs out; unknown while nothing comes through: it may have been revoked. */
function runsOut(of) {
  if (of.silent) $('runs-out').textContent = 'it may have been revoked';
  else tick('runs-out', of.expiresAt);
}

setInterval(() => {
  for (const way of ['https', 'sip']) if (credentials[way]) tick(`${way}-left`, credentials[way].expiresAt);
  if (!call) return;
  runsOut(call);
  if (call.opened && call.renewAt <= Date.now() / 1000) renewInTime(call);
}, 1000);

(async () => {
  if (!('RTCPeerConnection' in window)) fail('call-error', 'This browser has no WebRTC.');
  try {
    settings = await portal.settings();
    hide('sip-missing', Boolean(settings.sip));
    showRegistered(false);
    if (settings.provider) await useProvider();
    else signedIn((await portal.session()).user);
  } catch (error) {
    fail('sign-in-error', `${error.message}.`);
  }
  idle();
})();
