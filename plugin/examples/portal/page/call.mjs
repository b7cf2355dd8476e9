// SPDX-License-Identifier: BSD-3-Clause
// A call of this page with itself: two RTCPeerConnections that may use only the relay.
//
// Events: candidate (end, candidate, over), refused (end, error), open, counted (sent, received of each end),
// roundtrip (last), quiet (seconds), renewed, ended (why; null: hung up).

const MESSAGES = 10; // of each end, at the beginning
const PING = 1000; // ms
const ENDS = ['A', 'B'];

/** The transport that a candidate of type relay uses towards the TURN server; '' if its browser does not say. */
const over = ({ relayProtocol, url }) =>
  (relayProtocol || (/^turns:/.test(url) ? 'tls' : /transport=(\w+)/.exec(url || '')?.[1]) || '').toUpperCase();

/** A member of getStats(): the local candidate with this address and port. */
const sameCandidate = (stats, { address, port }) =>
  [...stats.values()].find((s) => s.type === 'local-candidate' && s.address === address && s.port === port);

const event = (name, members) => Object.assign(new Event(name), members);

export class Call extends EventTarget {
  #peers = {};
  #channels = {};
  #timers = [];
  #over = false;
  #restarts = Promise.resolve();
  #waiting = new Map(); // number of a ping: when it was sent
  #pings = 0;
  #heard = 0; // time of the last received message
  opened = false;
  candidates = [];
  refusals = [];
  roundTrips = [];
  counts = { A: { sent: 0, received: 0 }, B: { sent: 0, received: 0 } };

  constructor(iceServers, { seconds = 20, quietSeconds = 5, lostSeconds = 15 } = {}) {
    super();
    this.iceServers = iceServers;
    this.seconds = seconds;
    this.quietSeconds = quietSeconds;
    this.lostSeconds = lostSeconds;
  }

  async start() {
    this.#timers.push(setTimeout(() => this.#end(`nothing came through within ${this.seconds} s`), this.seconds * 1000));
    try {
      for (const end of ENDS) this.#prepare(end);
      await (this.#restarts = this.#negotiate());
    } catch (error) {
      this.#end(`this browser refuses: ${error.message}`);
    }
  }

  hangUp() {
    this.#end(null);
  }

  /**
   * Goes on with a new credential: both ends get it, gather new relay addresses with it (an ICE restart), and change to
   * them while data still goes through the old ones. Call it before the old credential runs out: the server may end what
   * the old one has allocated (policy strict), or refuse to give it more time.
   */
  renew(iceServers) {
    this.iceServers = iceServers;
    this.#restarts = this.#restarts.catch(() => {}).then(async () => {
      if (this.#over) return;
      for (const end of ENDS) this.#peers[end].setConfiguration(this.#configuration());
      await this.#negotiate({ iceRestart: true });
      this.dispatchEvent(new Event('renewed'));
    });
    return this.#restarts;
  }

  /** {address, port, type, over} of each end's candidate in use; null before there is one. */
  async pair() {
    const used = await Promise.all(ENDS.map(async (end) => {
      const stats = await this.#peers[end].getStats();
      const all = [...stats.values()];
      const transport = all.find((s) => s.type === 'transport' && s.selectedCandidatePairId);
      const pair = transport ? stats.get(transport.selectedCandidatePairId)
        : all.find((s) => s.type === 'candidate-pair' && s.selected);
      const local = pair && stats.get(pair.localCandidateId);
      if (!local) return null;
      const { address, port, candidateType } = local;
      const gathered = this.candidates.find((c) => c.end === end && c.candidate.address === address && c.candidate.port === port);
      return { address, port, type: candidateType, over: over(local) || gathered?.over || '' };
    }));
    return used.every(Boolean) ? used : null;
  }

  #configuration() {
    return { iceServers: this.iceServers, iceTransportPolicy: 'relay' };
  }

  async #negotiate(options) {
    const { A, B } = this.#peers;
    await A.setLocalDescription(await A.createOffer(options));
    await B.setRemoteDescription(A.localDescription);
    await B.setLocalDescription(await B.createAnswer());
    await A.setRemoteDescription(B.localDescription);
  }

  // --- one end ------------------------------------------------------------------------------

  /** Tells of a candidate as soon as it is known over what it goes. Firefox says that in getStats() alone. */
  async #found(end, candidate) {
    const one = { end, candidate, over: over(candidate) };
    this.candidates.push(one);
    for (let i = 0; i < 20 && !one.over && !this.#over; i++) {
      const known = sameCandidate(await this.#peers[end].getStats(), candidate);
      one.over = known ? over(known) : '';
      if (!one.over) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!this.#over) this.dispatchEvent(event('candidate', one));
  }

  #prepare(end) {
    const other = end === 'A' ? 'B' : 'A';
    const peer = new RTCPeerConnection(this.#configuration());
    this.#peers[end] = peer;
    peer.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate || this.#over) return;
      this.#peers[other].addIceCandidate(candidate).catch(() => {}); // the connection's state shows the failure
      this.#found(end, candidate).catch(() => {}); // the connection was closed meanwhile
    };
    peer.onicecandidateerror = (error) => {
      // Chromium also uses a TURN server as a STUN server; a failure of STUN does not concern the relay
      if (this.#over || /^stuns?:/.test(error.url)) return;
      this.refusals.push({ end, error });
      this.dispatchEvent(event('refused', { end, error }));
    };
    peer.onicegatheringstatechange = () => {
      if (peer.iceGatheringState === 'complete' && !this.candidates.some((c) => c.end === end))
        this.#end('the TURN server gave no relay address');
    };
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === 'failed')
        this.#end(this.opened ? 'the relay does not carry it any more' : 'the two ends cannot reach each other through the relay');
    };
    const channel = peer.createDataChannel('test', { negotiated: true, id: 0 });
    this.#channels[end] = channel;
    channel.onopen = () => this.#greet(end);
    channel.onmessage = ({ data }) => this.#take(end, data);
    channel.onclose = () => this.#end('the other end closed the channel');
  }

  #greet(end) {
    for (let i = 0; i < MESSAGES; i++) this.#send(end, `message ${i}`);
    if (!ENDS.every((name) => this.#channels[name].readyState === 'open')) return;
    clearTimeout(this.#timers.pop());
    this.opened = true;
    this.#heard = performance.now();
    this.dispatchEvent(new Event('open'));
    this.#ping();
    this.#timers.push(setInterval(() => this.#ping(), PING));
  }

  #send(end, text) {
    if (this.#channels[end].readyState !== 'open') return;
    this.#channels[end].send(text);
    this.counts[end].sent++;
    this.dispatchEvent(new Event('counted'));
  }

  #ping() {
    const quiet = (performance.now() - this.#heard) / 1000;
    if (quiet >= this.lostSeconds) {
      this.#end(`nothing came through for ${Math.round(quiet)} s`);
      return;
    }
    if (quiet >= this.quietSeconds) this.dispatchEvent(event('quiet', { seconds: Math.round(quiet) }));
    this.#waiting.set(++this.#pings, performance.now());
    this.#send('A', `ping ${this.#pings}`);
  }

  #take(end, text) {
    const now = performance.now();
    this.#heard = now;
    this.counts[end].received++;
    const [what, number] = text.split(' ');
    if (what === 'ping') this.#send(end, `pong ${number}`);
    if (what === 'pong' && this.#waiting.has(Number(number))) {
      const last = now - this.#waiting.get(Number(number));
      this.#waiting.delete(Number(number));
      this.roundTrips.push(last);
      this.dispatchEvent(event('roundtrip', { last }));
    }
    this.dispatchEvent(new Event('counted'));
  }

  // --- the end ------------------------------------------------------------------------------

  #end(why) {
    if (this.#over) return;
    this.#over = true;
    for (const timer of this.#timers) clearTimeout(timer); // clears intervals, too
    for (const peer of Object.values(this.#peers)) peer.close();
    this.dispatchEvent(event('ended', { why }));
  }
}
