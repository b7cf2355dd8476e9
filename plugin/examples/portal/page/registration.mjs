// SPDX-License-Identifier: BSD-3-Clause
// A SIP registration over secure WebSocket (RFC 3261 section 10, RFC 7118) that asks the eP-CSCF for
// a TURN credential. The page registers again by itself before the registration expires.

import { authorization, challenge, random } from './digest.mjs';
import { build, parse, respond } from './message.mjs';
import { parseTurnCredential, whyNoCredential } from './turn-credential.mjs';

/** An error with a message for people. */
export class SipError extends Error {}

const REFUSED = {
  401: 'wrong address or password: the SIP edge did not accept it',
  403: 'the SIP edge does not let this user register',
  404: 'the SIP edge does not know this user',
  407: 'wrong address or password: the SIP edge did not accept it',
  408: 'the SIP edge ran out of time; try again',
  423: 'the SIP edge wants a longer registration',
  500: 'the SIP edge has failed',
  503: 'the SIP edge is overloaded or going down; try again later',
};

/** sip:user@domain, also without "sip:". */
export function parseAddress(text) {
  const match = /^(?:sip:)?([A-Za-z0-9._~!$&'()*+,=%-]+)@([A-Za-z0-9.-]+)$/.exec(text.trim());
  return match ? { user: match[1], domain: match[2].toLowerCase() } : null;
}

export class Registration extends EventTarget {
  #pending = new Map(); // branch: {resolve, timer}
  #socket = null;
  #challenge = null;
  #count = 0;
  #sequence = 0;
  #renewal = null;
  #host = `${random().slice(0, 12)}.invalid`;
  #tag = random().slice(0, 10);
  #call = random();

  /** why: a sentence that says why the last answer had no credential, if the edge told a reason */
  why = null;

  /** ask: derived, pushed, or both with a comma between: the first that the domain has. expires: seconds of the registration's life. seconds: longest wait for an answer. */
  constructor({ websocket, user, domain, password, ask = 'derived', expires = 600, seconds = 10, Socket = WebSocket }) {
    super();
    Object.assign(this, { websocket, user, domain, password, ask, expires, seconds, Socket });
  }

  /** Registers. Returns the credential in the answer; null if the edge registered the page and gave no credential. */
  async register() {
    await this.#open();
    const answer = await this.#ask('REGISTER', this.expires);
    this.#plan(answer);
    return this.#credential(answer);
  }

  /** Asks for another credential in the same flow, without a new registration. */
  async another() {
    if (this.#socket?.readyState !== 1) throw new SipError('the connection to the SIP edge is gone; register again');
    const kinds = this.ask.split(',').map((kind) => `${kind.trim()}; new`);
    return this.#credential(await this.#ask('OPTIONS', undefined, kinds.join(', ')));
  }

  async unregister() {
    clearTimeout(this.#renewal);
    if (this.#socket?.readyState !== 1) return;
    try {
      await this.#ask('REGISTER', 0);
    } finally {
      this.close();
    }
  }

  close() {
    clearTimeout(this.#renewal);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  // --- the connection -----------------------------------------------------------------------

  #open() {
    if (this.#socket?.readyState === 1) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const socket = new this.Socket(this.websocket, 'sip');
      const refuse = () => {
        clearTimeout(timer);
        socket.onopen = socket.onclose = socket.onerror = null;
        socket.close();
        reject(new SipError(`no connection to the SIP edge at ${this.websocket}: is it up, and does this browser trust its certificate?`));
      };
      const timer = setTimeout(refuse, this.seconds * 1000);
      socket.onerror = socket.onclose = refuse;
      socket.onopen = () => {
        clearTimeout(timer);
        this.#socket = socket;
        socket.onerror = null;
        socket.onclose = () => this.#lost(socket);
        socket.onmessage = (event) => this.#take(event.data);
        resolve();
      };
    });
  }

  #lost(socket) {
    for (const waiting of this.#pending.values()) waiting.reject(new SipError('the SIP edge closed the connection'));
    if (this.#socket !== socket) return; // we closed it
    this.#socket = null;
    clearTimeout(this.#renewal);
    this.dispatchEvent(new Event('lost'));
  }

  #take(data) {
    const message = typeof data === 'string' ? parse(data) : null;
    if (!message) return; // keep-alives, and text that is no SIP message
    if (message.method) {
      // the edge sometimes asks whether the page is still there
      if (message.method !== 'ACK')
        this.#socket?.send(message.method === 'OPTIONS' ? respond(message, 200, 'OK', this.#tag)
          : respond(message, 405, 'Method Not Allowed', this.#tag));
      return;
    }
    const branch = /;\s*branch=([^;\s,]+)/i.exec(message.first('Via') || '')?.[1];
    if (message.status >= 200) this.#pending.get(branch)?.resolve(message);
  }

  #send(method, expires, ask, proof) {
    const branch = `z9hG4bK${random()}`;
    const uri = `sip:${this.domain}`;
    const us = `sip:${this.user}@${this.domain}`;
    const fields = [
      ['Via', `SIP/2.0/WSS ${this.#host};branch=${branch}`],
      ['Max-Forwards', '70'],
      ['From', `<${us}>;tag=${this.#tag}`],
      ['To', `<${us}>`],
      ['Call-ID', this.#call],
      ['CSeq', `${++this.#sequence} ${method}`],
      ['User-Agent', 'turncred sample client'],
    ];
    if (method === 'REGISTER') {
      fields.push(['Contact', `<sip:${this.user}@${this.#host};transport=ws>;expires=${expires}`]);
      fields.push(['Expires', String(expires)]);
    }
    if (expires !== 0) fields.push(['Turn-Credential-Request', ask]);
    if (proof) fields.push(proof);
    return new Promise((resolve, reject) => {
      const done = (how) => (value) => {
        clearTimeout(timer);
        this.#pending.delete(branch);
        how(value);
      };
      const timer = setTimeout(() => this.#pending.get(branch)
        ?.reject(new SipError(`the SIP edge did not answer within ${this.seconds} s`)), this.seconds * 1000);
      this.#pending.set(branch, { resolve: done(resolve), reject: done(reject) });
      this.#socket.send(build(`${method} ${uri} SIP/2.0`, fields));
    });
  }

  // --- requests -----------------------------------------------------------------------------

  async #ask(method, expires, ask = this.ask) {
    for (let tries = 0; ; tries++) {
      let proof = null;
      if (this.#challenge) {
        const [name, c] = this.#challenge;
        proof = [name, await authorization(c, {
          username: this.user, password: this.password, method, uri: `sip:${this.domain}`, count: ++this.#count,
        })];
      }
      const answer = await this.#send(method, expires, ask, proof);
      if (answer.status < 300) return answer;
      const proxy = answer.status === 407;
      const c = proxy || answer.status === 401
        ? challenge(answer.all(proxy ? 'Proxy-Authenticate' : 'WWW-Authenticate')) : null;
      // a 401 for an old nonce, or for the nonce of an earlier registration, does not mean a wrong password
      const answered = proof && this.#count <= 1 && !c?.stale;
      this.#challenge = c && [proxy ? 'Proxy-Authorization' : 'Authorization', c];
      this.#count = 0;
      if (c && !answered && tries < 3) continue;
      this.#challenge = null;
      throw new SipError(`${REFUSED[answer.status] || 'the SIP edge refused it'} (${answer.status} ${answer.reason})`);
    }
  }

  #credential(answer) {
    const [value, ...more] = answer.all('Turn-Credential');
    this.why = null;
    if (!value) return null;
    if (more.length) throw new SipError('the answer holds more than one Turn-Credential header field');
    this.why = whyNoCredential(value);
    return this.why ? null : parseTurnCredential(value);
  }

  /** Registers again after four fifths of the time that the edge granted. */
  #plan(answer) {
    const ours = answer.all('Contact').join(',').split(',').find((contact) => contact.includes(this.#host));
    const said = /;\s*expires=(\d+)/i.exec(ours || '')?.[1] ?? /^\d+$/.exec(answer.first('Expires') ?? '')?.[0];
    const granted = Number(said ?? this.expires); // what is no number grants what was asked for
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(async () => {
      try {
        const credential = await this.register();
        this.dispatchEvent(Object.assign(new Event('renewed'), { credential }));
      } catch (error) {
        this.dispatchEvent(Object.assign(new Event('failed'), { error }));
      }
    }, Math.min(Math.max(granted * 800, 1000), 2 ** 31 - 1));
  }
}
