// SPDX-License-Identifier: BSD-3-Clause
// The page's modules under node, without a browser: node --test modules.mjs
// Vectors: RFC 1321 A.5, RFC 2617 3.5, RFC 7616 3.9.1.

import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import test from 'node:test';

globalThis.crypto ??= webcrypto; // node 18

const page = new URL('../../../plugin/examples/portal/page/', import.meta.url);
const { md5 } = await import(new URL('md5.mjs', page));
const { authorization, challenge } = await import(new URL('digest.mjs', page));
const { parameters, quoted } = await import(new URL('parameters.mjs', page));
const { build, parse, respond } = await import(new URL('message.mjs', page));
const { parseTurnCredential, whyNoCredential } = await import(new URL('turn-credential.mjs', page));
const { Registration, parseAddress } = await import(new URL('registration.mjs', page));
const { explain, reasons } = await import(new URL('explain.mjs', page));

const { createHash } = await import('node:crypto');

test('MD5: RFC 1321 A.5', () => {
  for (const [text, hash] of [
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['a', '0cc175b9c0f1b6a831c399e269772661'],
    ['abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
    ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 'd174ab98d277d9f5a5611c2c9f419d9f'],
    ['12345678901234567890123456789012345678901234567890123456789012345678901234567890', '57edf4a22be3c955ac49da2e2107b67a'],
  ]) assert.equal(md5(text), hash);
});

test('MD5: every length around the block size, and other letters, as OpenSSL has it', () => {
  for (let length = 0; length <= 200; length++) {
    const text = 'xyz'.repeat(70).slice(0, length);
    assert.equal(md5(text), createHash('md5').update(text).digest('hex'));
  }
  assert.equal(md5('Jäsøn Doe 😀'), createHash('md5').update('Jäsøn Doe 😀').digest('hex'));
});

test('digest: RFC 2617 3.5', async () => {
  const c = challenge(['Digest realm="testrealm@host.com", qop="auth,auth-int", ' +
    'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"']);
  const header = await authorization(c, {
    username: 'Mufasa', password: 'Circle Of Life', method: 'GET', uri: '/dir/index.html', cnonce: '0a4f113b',
  });
  assert.match(header, /response="6629fae49393a05397450978507c4ef1"/);
  assert.match(header, /qop=auth, nc=00000001, cnonce="0a4f113b"/);
  assert.match(header, /opaque="5ccc069c403ebaf9f0171e9517f40e41"/);
});

test('digest: RFC 7616 3.9.1, both algorithms; the stronger one is taken', async () => {
  const rest = 'realm="http-auth@example.org", qop="auth, auth-int", ' +
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';
  const user = {
    username: 'Mufasa', password: 'Circle of Life', method: 'GET', uri: '/dir/index.html',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
  };
  const md5Header = `Digest algorithm=MD5, ${rest}`;
  const shaHeader = `Digest algorithm=SHA-256, ${rest}`;
  const one = await authorization(challenge([md5Header]), user);
  assert.match(one, /response="8ca523f5e9506fed4657c9700eebdbec"/);
  const both = await authorization(challenge([md5Header, shaHeader]), user);
  assert.match(both, /algorithm=SHA-256/);
  assert.match(both, /response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"/);
});

test('digest: what cannot be answered', () => {
  for (const header of [
    'Basic realm="x"', 'Digest realm="x"', 'Digest nonce="x"', 'Digest realm="x", nonce="y", algorithm=SHA-512-256',
    'Digest realm="x", nonce="y", qop="auth-int"', 'Digest realm="x", nonce="y', 'Digest realm="x" nonce="y"',
    'Digest realm="x", realm="x", nonce="y"', '', 'Digest realm="x", nonce="y", algorithm=MD5-sess',
  ]) assert.equal(challenge([header]), null, header);
  assert.equal(challenge([]), null);
  assert.equal(challenge(['Basic realm="x"', 'digest realm="x",nonce="y",stale=TRUE']).stale, true);
});

test('digest: without qop (RFC 2069), and with quotes in names', async () => {
  const c = challenge(['Digest realm="a\\"b", nonce="n"']);
  assert.equal(c.realm, 'a"b');
  const header = await authorization(c, { username: 'al"ice', password: 'p', method: 'REGISTER', uri: 'sip:x' });
  const hash = (text) => createHash('md5').update(text).digest('hex');
  assert.ok(header.includes(`response="${hash(`${hash('al"ice:a"b:p')}:n:${hash('REGISTER:sip:x')}`)}"`));
  assert.ok(header.includes('username="al\\"ice"') && !header.includes('qop'));
});

test('parameters', () => {
  assert.deepEqual([...parameters('a=1; B="x; y\\"z" ;c=; d', ';')], [['a', '1'], ['b', 'x; y"z'], ['c', ''], ['d', '']]);
  for (const bad of ['', 'a=1;', 'a b', 'a=1,b=2', 'a="1', '=1', 'a=1; a=2', 'a=1 b=2']) assert.equal(parameters(bad, ';'), null, bad);
  assert.equal(quoted('a"b\\c'), '"a\\"b\\\\c"');
});

test('SIP messages', () => {
  const text = 'SIP/2.0 200 OK\r\nv: SIP/2.0/WSS x.invalid;branch=z9hG4bK1\r\nf: <sip:a@b>\r\nContact: <sip:1>\r\n' +
    'Contact: <sip:2>\r\nX-Long: one\r\n two\r\nm: <sip:3>\r\n\r\nbody: no header';
  const message = parse(text);
  assert.equal(message.status, 200);
  assert.equal(message.first('VIA'), 'SIP/2.0/WSS x.invalid;branch=z9hG4bK1');
  assert.deepEqual(message.all('contact'), ['<sip:1>', '<sip:2>', '<sip:3>']);
  assert.equal(message.first('x-long'), 'one two');
  assert.equal(message.first('body'), undefined);
  for (const bad of ['', '\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', 'SIP/2.0 200 OK\r\nno colon\r\n\r\n', 'SIP/2.0 999 x\r\n\r\n'])
    assert.equal(parse(bad), null, bad);
  assert.throws(() => build('REGISTER sip:x SIP/2.0', [['To', 'a\r\nEvil: 1']]));
  // many blanks, or many lines, in another user's message: the page would be busy for seconds
  const began = performance.now();
  assert.equal(parse(`OPTIONS sip:x SIP/2.0\r\nX:${' '.repeat(60000)}a${' '.repeat(60000)}b${' '.repeat(60000)}\r\n\r\n`).first('X').length, 60002);
  assert.equal(parse(`OPTIONS sip:x SIP/2.0\r\n${'v:\r\n'.repeat(30000)}\r\n`).all('Via').length, 30000);
  assert.ok(performance.now() - began < 1000);
  const ping = parse('OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/WSS y\r\nVia: SIP/2.0/WSS z\r\nTo: <sip:x>\r\nFrom: <sip:y>;tag=1\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n');
  const answer = parse(respond(ping, 200, 'OK', 'mine'));
  assert.deepEqual(answer.all('via'), ['SIP/2.0/WSS y', 'SIP/2.0/WSS z']);
  assert.equal(answer.first('to'), '<sip:x>;tag=mine');
});

const HEADER = 'kind=derived; user-id="alice"; timestamp=1764090000; username="alice:1764090000"; ' +
  'password="i54X60ZZ-_"; realm="example.org"; expires=3600; ' +
  'uris="turn:turn.example.org:3478?transport=udp turns:turn.example.org:5349?transport=tcp"';

test('Turn-Credential: as the eP-CSCF writes it', () => {
  const credential = parseTurnCredential(HEADER, 1764086400_500);
  assert.deepEqual(credential, {
    kind: 'derived', realm: 'example.org', username: 'alice:1764090000', password: 'i54X60ZZ-_', expiresAt: 1764090000,
    iceServers: [{
      urls: ['turn:turn.example.org:3478?transport=udp', 'turns:turn.example.org:5349?transport=tcp'],
      username: 'alice:1764090000', credential: 'i54X60ZZ-_',
    }],
  });
});

test('Turn-Credential: what is unknown is ignored, order means nothing', () => {
  const turned = HEADER.split('; ').reverse().join(' ;');
  assert.equal(parseTurnCredential(`new-thing; ${turned}; other="a;b"`).username, 'alice:1764090000');
});

test('Turn-Credential: what is missing or wrong is named', () => {
  for (const name of ['kind', 'username', 'password', 'realm', 'expires', 'uris'])
    assert.throws(() => parseTurnCredential(HEADER.split('; ').filter((p) => !p.startsWith(`${name}=`)).join('; ')), new RegExp(`no ${name}`), name);
  for (const bad of ['', 'nonsense', HEADER.replace('3600', '-1'), HEADER.replace('3600', '1e9'), HEADER.replace('turn:', 'http:'),
    HEADER + '; kind=derived', HEADER.slice(0, -1)]) assert.throws(() => parseTurnCredential(bad), Error, bad);
});

test('Turn-Credential: why there is none', () => {
  assert.equal(whyNoCredential(HEADER), null);
  assert.equal(whyNoCredential('nonsense"'), null);
  assert.match(whyNoCredential('error=forbidden'), /no TURN credentials are issued to this user$/);
  assert.match(whyNoCredential('error=unavailable; retry-after=5'), /is away; try again in 5 s$/);
  assert.equal(whyNoCredential('retry-after=x; error=new-reason'), 'the SIP edge says "new-reason"');
});

test('SIP addresses', () => {
  assert.deepEqual(parseAddress(' sip:alice@Example.org '), { user: 'alice', domain: 'example.org' });
  assert.deepEqual(parseAddress('+491711234567@ims.example'), { user: '+491711234567', domain: 'ims.example' });
  for (const bad of ['', 'alice', 'sip:@x', 'sip:a@', 'sip:a b@c', 'sip:a@b>c', 'sip:a@b\r\nc', 'sips:a@b;x']) assert.equal(parseAddress(bad), null, bad);
});

test('what codes mean', () => {
  assert.match(explain({ errorCode: 401, url: 'turn:x' }), /^turn:x: 401\. .*expired/);
  assert.match(explain({ errorCode: 599, errorText: 'odd' }), /odd/);
  const [away, refused] = [{ errorCode: 701, url: 'turn:x' }, { errorCode: 401, url: 'turn:x' }];
  assert.deepEqual(reasons([away, refused, refused]), [explain(refused)]);
  assert.deepEqual(reasons([away, away]), [explain(away)]);
});

// A WebSocket with an edge behind it that checks what a registrar checks.
function edge(script) {
  return class {
    constructor(url, protocol) {
      Object.assign(this, { url, protocol, readyState: 0, requests: (script.requests ??= []) });
      script.sockets = [...(script.sockets || []), this];
      queueMicrotask(() => {
        this.readyState = script.down ? 3 : 1;
        if (script.down) this.onerror?.();
        else this.onopen?.();
      });
    }
    send(text) {
      const request = parse(text);
      this.requests.push(request);
      const [status, ...fields] = script.answer(request, this.requests.length) || [];
      if (status) queueMicrotask(() => this.onmessage?.({ data: respond(request, status, 'x', 't').replace('\r\n\r\n',
        `\r\n${fields.map((f) => `${f}\r\n`).join('')}\r\n`) }));
    }
    close() {
      this.readyState = 3;
      this.onclose?.();
    }
  };
}
const CHALLENGE = (nonce, more = '') => [401, `WWW-Authenticate: Digest realm="example.org", nonce="${nonce}", qop="auth"${more}`];
const US = { websocket: 'wss://edge.example/', user: 'alice', domain: 'example.org', password: 'secret', seconds: 1 };
const right = (request) => {
  const given = parameters((request.first('authorization') || '').replace(/^Digest /, ''), ',');
  if (!given) return false;
  const hash = (text) => createHash('md5').update(text).digest('hex');
  return given.get('response') === hash(`${hash('alice:example.org:secret')}:${given.get('nonce')}:${given.get('nc')}:` +
    `${given.get('cnonce')}:auth:${hash(`${request.method}:${given.get('uri')}`)}`);
};

test('registration: asks, answers the challenge, gets the credential, asks again, leaves', async () => {
  const script = { answer: (request) => (right(request)
    ? [200, 'Contact: <sip:other@x>;expires=9, <sip:alice@y>;expires=600', ...(request.first('turn-credential-request') ? [`Turn-Credential: ${HEADER}`] : [])]
    : CHALLENGE('n1')) };
  const mine = new Registration({ ...US, Socket: edge(script) });
  const credential = await mine.register();
  assert.equal(credential.username, 'alice:1764090000');
  assert.equal(script.sockets[0].protocol, 'sip');
  assert.deepEqual(script.requests.map((r) => [r.method, r.first('cseq'), r.first('turn-credential-request')]),
    [['REGISTER', '1 REGISTER', 'derived'], ['REGISTER', '2 REGISTER', 'derived']]);
  assert.equal((await mine.another()).kind, 'derived');
  assert.equal(script.requests.length, 3); // the nonce is used again ...
  assert.match(script.requests[2].first('authorization'), /nc=00000002/);
  assert.equal(script.requests[2].first('contact'), undefined);
  assert.equal(script.requests[2].first('turn-credential-request'), 'derived; new');
  await mine.unregister();
  const last = script.requests.at(-1);
  assert.equal(last.first('expires'), '0');
  assert.equal(last.first('turn-credential-request'), undefined);
  assert.equal(script.sockets[0].readyState, 3);
});

test('registration: a nonce that is too old is no wrong password; a wrong password is', async () => {
  let nonce = 'n1';
  const script = { answer: (request) => {
    if (!right(request)) return CHALLENGE(nonce);
    return request.first('authorization').includes(`nonce="${nonce}"`) ? [200] : CHALLENGE(nonce, ', stale=true');
  } };
  const mine = new Registration({ ...US, Socket: edge(script) });
  assert.equal(await mine.register(), null); // registered, and no credential in the answer
  nonce = 'n2';
  assert.equal(await mine.register(), null);
  mine.close();
  const wrong = new Registration({ ...US, password: 'wrong', Socket: edge({ answer: () => CHALLENGE('n') }) });
  await assert.rejects(wrong.register(), /wrong address or password.*401/);
  wrong.close();
  const stale = new Registration({ ...US, Socket: edge({ answer: () => CHALLENGE('n', ', stale=true') }) });
  await assert.rejects(stale.register(), /401/); // and not for ever
  stale.close();
});

test('registration: no answer, no connection, a refusal, a connection that ends, two headers', async () => {
  const rejects = async (script, text) => {
    const mine = new Registration({ ...US, seconds: 0.05, Socket: edge(script) });
    await assert.rejects(mine.register(), text);
    mine.close();
  };
  await rejects({ answer: () => null }, /did not answer within/);
  await rejects({ down: true }, /no connection to the SIP edge at wss:\/\/edge\.example/);
  await rejects({ answer: () => [403] }, /does not let this user register/);
  await rejects({ answer: () => [480] }, /refused it \(480/);
  await rejects({ answer: () => [401] }, /401/);
  await rejects({ answer: () => [200, `Turn-Credential: ${HEADER}`, `Turn-Credential: ${HEADER}`] }, /more than one/);
  const script = { answer: () => [200] };
  const mine = new Registration({ ...US, Socket: edge(script) });
  await mine.register();
  const lost = new Promise((resolve) => mine.addEventListener('lost', resolve));
  script.sockets[0].close();
  await lost;
  await assert.rejects(mine.another(), /register again/);
});

test('registration: a registration without a credential, and the reason', async () => {
  let header = 'error=too-often; retry-after=7';
  const script = { answer: () => [200, `Turn-Credential: ${header}`] };
  const mine = new Registration({ ...US, ask: 'pushed, derived', Socket: edge(script) });
  assert.equal(await mine.register(), null);
  assert.match(mine.why, /too many credentials; try again in 7 s/);
  header = HEADER;
  assert.equal((await mine.another()).kind, 'derived');
  assert.equal(mine.why, null);
  assert.deepEqual(script.requests.map((r) => r.first('turn-credential-request')), ['pushed, derived', 'pushed; new, derived; new']);
  mine.close();
});

test('registration: answers the edge that asks whether we are there', async () => {
  const sent = [];
  const script = { answer: (message) => (message.method ? [200] : (sent.push(message), null)) };
  const mine = new Registration({ ...US, Socket: edge(script) });
  await mine.register();
  const ask = (method) => script.sockets[0].onmessage({ data: build(`${method} sip:x SIP/2.0`, [['Via', 'SIP/2.0/WSS e;branch=1'], ['To', '<sip:x>'], ['CSeq', `1 ${method}`]]) });
  ask('OPTIONS');
  ask('INVITE');
  ask('ACK');
  script.sockets[0].onmessage({ data: '\r\n\r\n' });
  assert.deepEqual(sent.map((m) => m.status), [200, 405]);
  mine.close();
});

test('registration: an Expires that is no number is no reason to register at once', async () => {
  const real = globalThis.setTimeout;
  const waits = [];
  globalThis.setTimeout = (action, ms) => {
    waits.push(ms);
    return real(action, ms);
  };
  try {
    for (const [expires, ms] of [['300', 240000], ['soon', 480000], ['600;x=y', 480000], ['Thu, 01 Dec 1994 16:00:00 GMT', 480000]]) {
      const mine = new Registration({ ...US, Socket: edge({ answer: () => [200, `Expires: ${expires}`] }) });
      await mine.register();
      mine.close();
      assert.equal(waits.at(-1), ms, expires);
    }
  } finally {
    globalThis.setTimeout = real;
  }
});

test('registration: registers again before it runs out', async () => {
  const script = { answer: () => [200, 'Expires: 1', `Turn-Credential: ${HEADER}`] };
  const mine = new Registration({ ...US, Socket: edge(script) });
  await mine.register();
  const { credential } = await new Promise((resolve) => mine.addEventListener('renewed', resolve));
  assert.equal(credential.kind, 'derived');
  assert.equal(script.requests.length, 2);
  mine.close();
});
