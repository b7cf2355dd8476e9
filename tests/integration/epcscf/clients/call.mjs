// SPDX-License-Identifier: BSD-3-Clause
// SIP.js and JsSIP in one page, for test_call.py: each as its own documentation shows it, with what the Turn-Credential
// header field gives as iceServers, and the relay as the only way for media. The page keeps every SIP message that crosses
// a WebSocket.

import JsSIP from 'jssip';
import { Inviter, Registerer, SessionState, UserAgent } from 'sip.js';
import { parseTurnCredential } from '../../../../plugin/examples/portal/page/turn-credential.mjs';

const ASKING = ['Turn-Credential-Request: derived'];
const AUDIO = { audio: true, video: false };

/** [user, 'sent' or 'got', text] in order */
const messages = [];

// The stacks make their own WebSockets. Whose one is, its REGISTER says.
window.WebSocket = class extends WebSocket {
  constructor(...words) {
    super(...words);
    this.addEventListener('message', ({ data }) => this.keep('got', data));
  }

  send(text) {
    this.keep('sent', text);
    super.send(text);
  }

  keep(way, text) {
    this.user ??= /^From:.*<sip:([^@]*)@/m.exec(text)?.[1];
    messages.push([this.user, way, text]);
  }
};

const media = (header) => ({ iceServers: parseTurnCredential(header).iceServers, iceTransportPolicy: 'relay' });

/** session and peer: of the call; established: the stack says so; ended: "local" or "remote", by whose BYE, or what failed */
class SipJs {
  constructor({ server, realm, user, password }) {
    this.realm = realm;
    this.options = {};
    this.agent = new UserAgent({
      uri: UserAgent.makeURI(`sip:${user}@${realm}`),
      transportOptions: { server },
      authorizationUsername: user,
      authorizationPassword: password,
      sessionDescriptionHandlerFactoryOptions: this.options,
      logLevel: 'warn',
      delegate: {
        onInvite: (invitation) => {
          this.follow(invitation);
          invitation.accept().catch((e) => (this.ended = `accept: ${e}`));
        },
      },
    });
  }

  async register() {
    await this.agent.start();
    this.registerer = new Registerer(this.agent, { extraHeaders: ASKING });
    const header = await new Promise((resolve, reject) => {
      this.registerer.register({
        requestDelegate: {
          onAccept: ({ message }) => resolve(message.getHeader('Turn-Credential')),
          onReject: ({ message }) => reject(new Error(`REGISTER: ${message.statusCode}`)),
        },
      });
    });
    this.options.peerConnectionConfiguration = media(header);
  }

  call(user) {
    this.follow(new Inviter(this.agent, UserAgent.makeURI(`sip:${user}@${this.realm}`)));
    return this.session.invite();
  }

  follow(session) {
    this.established = false;
    this.ended = null;
    this.session = session;
    session.delegate = {
      onBye: (bye) => {
        this.ended = 'remote';
        bye.accept();
      },
    };
    session.stateChange.addListener((state) => {
      if (state === SessionState.Established) this.established = true;
      if (state === SessionState.Terminated) this.ended ??= 'terminated';
    });
  }

  get peer() {
    return this.session?.sessionDescriptionHandler?.peerConnection;
  }

  hangUp() {
    this.ended = 'local';
    return this.session.bye();
  }

  async stop() {
    await new Promise((done) => this.registerer.unregister({ requestDelegate: { onAccept: done, onReject: done } }));
    await this.agent.stop();
  }
}

class Jssip {
  constructor({ server, realm, user, password }) {
    this.realm = realm;
    this.agent = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(server)],
      uri: `sip:${user}@${realm}`,
      password,
      register: false,
    });
    this.agent.on('newRTCSession', ({ originator, session }) => {
      this.follow(session);
      if (originator === 'remote') session.answer({ mediaConstraints: AUDIO, pcConfig: this.config });
    });
  }

  async register() {
    const connected = new Promise((resolve) => this.agent.once('connected', resolve));
    this.agent.start();
    await connected;
    this.agent.registrator().setExtraHeaders(ASKING);
    const header = await new Promise((resolve, reject) => {
      this.agent.once('registered', ({ response }) => resolve(response.getHeader('Turn-Credential')));
      this.agent.once('registrationFailed', ({ cause }) => reject(new Error(`REGISTER: ${cause}`)));
      this.agent.register();
    });
    this.config = media(header);
  }

  call(user) {
    this.agent.call(`sip:${user}@${this.realm}`, { mediaConstraints: AUDIO, pcConfig: this.config });
  }

  follow(session) {
    this.established = false;
    this.ended = null;
    this.session = session;
    session.on('confirmed', () => (this.established = true));
    session.on('ended', ({ originator, cause }) => (this.ended = cause === JsSIP.C.causes.BYE ? originator : cause));
    session.on('failed', ({ originator, cause }) => (this.ended = `${originator}: ${cause}`));
  }

  get peer() {
    return this.session?.connection;
  }

  hangUp() {
    this.session.terminate();
  }

  async stop() {
    const done = new Promise((resolve) => this.agent.once('unregistered', resolve));
    this.agent.unregister();
    await done;
    this.agent.stop();
  }
}

const stacks = { 'SIP.js': SipJs, JsSIP: Jssip };
const agents = new Map();

/** What test_call.py calls. */
window.calls = {
  async register(stack, given) {
    const agent = new stacks[stack](given);
    agents.set(given.user, agent);
    await agent.register();
  },
  /** The last call is no more, so that the next one may come in */
  forget() {
    messages.length = 0;
    for (const agent of agents.values()) agent.session = null;
  },
  async call(from, to) {
    window.calls.forget();
    await agents.get(from).call(to);
  },
  async hangUp(user) {
    await agents.get(user).hangUp();
  },
  /** {established, ended, sent, got: packets of RTP, pair: types of the candidates in use} */
  async state(user) {
    const { session, peer, established, ended } = agents.get(user);
    if (!session) return {};
    const stats = (await peer?.getStats()) ?? new Map();
    const of = (type) => [...stats.values()].filter((s) => s.type === type);
    const pair = stats.get(of('transport')[0]?.selectedCandidatePairId);
    return {
      established,
      ended,
      sent: of('outbound-rtp').reduce((sum, s) => sum + s.packetsSent, 0),
      got: of('inbound-rtp').reduce((sum, s) => sum + s.packetsReceived, 0),
      pair: pair && [pair.localCandidateId, pair.remoteCandidateId].map((id) => stats.get(id)?.candidateType),
    };
  },
  messages: () => messages,
  async stop() {
    for (const agent of agents.values()) await agent.stop();
    agents.clear();
  },
};
