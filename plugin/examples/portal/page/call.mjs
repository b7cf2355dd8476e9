// SPDX-License-Identifier: BSD-3-Clause
// A call of this page with itself: two RTCPeerConnections that may use only the relay.
//
// Events: candidate (end, candidate), refused (end, error), open, counted (sent, received of each end),
// roundtrip (last), quiet (seconds), ended (why; null: hung up).

const MESSAGES = 10; // of each end, at the beginning
const PING = 1000; // ms
const ENDS = ['A', 'B'];

/** The transport that a candidate of type relay uses towards the TURN server. */
export const over = ({ relayProtocol, url }) =>
  (relayProtocol || (/^turns:/.test(url) ? 'tls' : /transport=(\w+)/.exec(url || '')?.[1]) || '').toUpperCase();

const event = (name, members) => Object.assign(new Event(name), members);

export class Call extends EventTarget {
  #peers = {};
  #channels = {};
  #timers = [];
  #over = false;
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
      const { A, B } = this.#peers;
      await A.setLocalDescription(await A.createOffer());
      await B.setRemoteDescription(A.localDescription);
      await B.setLocalDescription(await B.createAnswer());
      await A.setRemoteDescription(B.localDescription);
    } catch (error) {
      this.#end(`this browser refuses: ${error.message}`);
    }
  }

  hangUp() {
    this.#end(null);
  }

  /** {address, port, over} of both ends of the pair of candidates in use; null before there is one. */
  async pair() {
    const stats = await this.#peers.A.getStats();
    const transport = [...stats.values()].find((s) => s.type === 'transport' && s.selectedCandidatePairId);
    const pair = transport && stats.get(transport.selectedCandidatePairId);
    return pair ? ENDS.map((end, i) => {
      const { address, port, candidateType } = stats.get(i ? pair.remoteCandidateId : pair.localCandidateId);
      const ours = this.candidates.find((c) => c.end === end && c.candidate.address === address && c.candidate.port === port);
      return { address, port, type: candidateType, over: ours ? over(ours.candidate) : '' };
    }) : null;
  }

  // --- one end ------------------------------------------------------------------------------

  #prepare(end) {
    const other = end === 'A' ? 'B' : 'A';
    const peer = new RTCPeerConnection({ iceServers: this.iceServers, iceTransportPolicy: 'relay' });
    this.#peers[end] = peer;
    peer.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate || this.#over) return;
      this.candidates.push({ end, candidate });
      this.dispatchEvent(event('candidate', { end, candidate }));
      this.#peers[other].addIceCandidate(candidate).catch(() => {}); // the connection's state shows the failure
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
