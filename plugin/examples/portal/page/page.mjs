// SPDX-License-Identifier: BSD-3-Clause
// The page: sign in, get a credential, call.

import { Call, over } from './call.mjs';
import { reasons } from './explain.mjs';
import * as portal from './portal.mjs';
import { Registration, SipError, parseAddress } from './registration.mjs';
import { $, define, fail, hide, left, row, run } from './show.mjs';

const credentials = { https: null, sip: null };
let settings = null;
let registration = null;
let call = null;

// --- 1 sign in --------------------------------------------------------------------------------

function signedIn(user) {
  hide('account', !user);
  hide('sign-in', Boolean(user));
  hide('signed-in', !user);
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

$('sign-out').onclick = () => run($('sign-out'), 'sign-in-error', async () => {
  await portal.signOut();
  signedIn(null);
  $('user').focus();
});

/** Runs an action of a button; an expired session brings the page back to sign-in instead of an error at the button. */
async function asked(question) {
  try {
    return await question();
  } catch (error) {
    if (error.status === 401) {
      signedIn(null);
      fail('sign-in-error', 'You were signed out. Sign in again.');
      $('user').focus();
    }
    throw error;
  }
}

// --- 2 credentials ----------------------------------------------------------------------------

/** Sets a new credential; null removes the old one. */
function take(way, credential) {
  credentials[way] = credential;
  const choice = document.querySelector(`input[name=use][value=${way}]`);
  choice.disabled = !credential;
  if (credential) choice.checked = true;
  else choice.checked = false;
  if (!call) idle();
}

function idle() {
  const any = Object.values(credentials).some(Boolean);
  $('start').disabled = !any;
  state(any ? 'Ready to call.' : 'Get a credential first.');
}

function describe(id, credential) {
  define(id, [
    ['Username', credential.username],
    ['Password', credential.password, { secret: true }],
    ['Realm', credential.realm],
    ['Kind', credential.kind],
    ['Servers', credential.iceServers[0].urls.join(' ')],
    ['Runs out', left(credential.expiresAt), { id: `${id}-left` }],
  ]);
}

$('get-https').onclick = () => run($('get-https'), 'https-error', async () => {
  const answer = await asked(portal.credential);
  if (!answer.iceServers?.[0]?.urls?.length) throw new Error('the realm names no TURN server (turncredctl realm set --uri)');
  const credential = { ...answer, expiresAt: answer.expires_at };
  describe('https', credential);
  take('https', credential);
});

$('get-token').onclick = () => run($('get-token'), 'token-error', async () => {
  const token = await asked(portal.token);
  define('token', [
    ['Key id (USERNAME)', token.kid],
    ['Access token', token.access_token],
    ['Session key', token.key, { secret: true }],
    ['Algorithm', token.alg],
    ['Server', token.server_name],
    ['Runs out', left(Date.now() / 1000 + token.expires_in)],
  ]);
});

function showRegistered(on) {
  hide('register', on || !settings?.sip);
  hide('registered', !on);
}

function takeSip(credential) {
  if (!credential) throw new SipError('registered, but the SIP edge gave no credential: its issuer may be away. Try again in a moment');
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
      if (mine === registration && credential) takeSip(credential);
    });
    mine.addEventListener('lost', () => mine === registration && edgeGone('The SIP edge closed the connection. Register again.'));
    mine.addEventListener('failed', ({ error }) => mine === registration && edgeGone(`The registration ran out: ${error.message}.`));
    $('sip-state').textContent = 'Registering…';
    take('sip', null);
    hide('sip');
    try {
      const credential = await mine.register();
      registration = mine;
      showRegistered(true);
      $('sip-state').textContent = `Registered as sip:${us.user}@${us.domain}.`;
      password.value = '';
      takeSip(credential);
    } catch (error) {
      if (mine !== registration) {
        $('sip-state').textContent = '';
        mine.close();
      }
      throw error;
    }
  });
};

$('another').onclick = () => run($('another'), 'sip-error', async () => takeSip(await registration.another()));

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
    begin(new Call(chosenServers(credential, event.target.elements.transport.value)), credential);
  });
};

$('hang-up').onclick = () => call?.hangUp();

function begin(next, credential) {
  call?.hangUp();
  call = next;
  next.expiresAt = credential.expiresAt;
  $('candidates').replaceChildren();
  for (const id of ['relay-A', 'relay-B']) $(id).textContent = '…';
  for (const id of ['round-trip', 'a-to-b', 'b-to-a']) $(id).textContent = '–';
  hide('start');
  hide('hang-up', false);
  hide('result');
  $('hang-up').focus();
  $('runs-out').textContent = left(next.expiresAt);
  state('Asking the TURN server for two relay addresses…');

  next.addEventListener('candidate', ({ end, candidate }) => {
    hide('result', false);
    row('candidates', [end, candidate.type, `${candidate.address}:${candidate.port}`, over(candidate)]);
  });
  next.addEventListener('open', async () => {
    state('Connected: data goes through the relay, both ways.', 'good');
    const pair = await next.pair();
    pair?.forEach((used, i) => ($(`relay-${'AB'[i]}`).textContent =
      `${used.address}:${used.port}${used.over && ` over ${used.over}`}`));
  });
  next.addEventListener('counted', () => {
    const { A, B } = next.counts;
    $('a-to-b').textContent = `${B.received} of ${A.sent} messages`;
    $('b-to-a').textContent = `${A.received} of ${B.sent} messages`;
  });
  next.addEventListener('roundtrip', ({ last }) => {
    const sorted = [...next.roundTrips].sort((a, b) => a - b);
    $('round-trip').textContent = `${last.toFixed(1)} ms, median ${sorted[sorted.length >> 1].toFixed(1)}`;
    if (next === call && next.opened) state('Connected: data goes through the relay, both ways.', 'good');
  });
  next.addEventListener('quiet', ({ seconds }) => {
    // the text appears once, not every second
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

setInterval(() => {
  for (const way of ['https', 'sip']) if (credentials[way]) tick(`${way}-left`, credentials[way].expiresAt);
  if (call) tick('runs-out', call.expiresAt);
}, 1000);

(async () => {
  if (!('RTCPeerConnection' in window)) fail('call-error', 'This browser has no WebRTC.');
  try {
    settings = await portal.settings();
    hide('sip-missing', Boolean(settings.sip));
    showRegistered(false);
    signedIn((await portal.session()).user);
  } catch (error) {
    fail('sign-in-error', `${error.message}.`);
  }
  idle();
})();
