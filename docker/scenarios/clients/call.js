// SPDX-License-Identifier: BSD-3-Clause
// A call of a page with itself, for both browsers: two RTCPeerConnections that may use only the relay. One sends the
// payload in pieces of 1024 octets, the other sends each piece back.
async ({ uris, username, password, payload }) => {
  const base64 = (pieces) => {
    let text = '';
    for (const piece of pieces) for (const octet of new Uint8Array(piece)) text += String.fromCharCode(octet);
    return btoa(text);
  };
  const octets = Uint8Array.from(atob(payload), (c) => c.charCodeAt(0));
  const config = { iceServers: [{ urls: uris, username, credential: password }], iceTransportPolicy: 'relay' };
  const [a, b] = [new RTCPeerConnection(config), new RTCPeerConnection(config)];
  const there = [];
  const back = [];
  const errors = new Set();
  try {
    const connected = new Promise((resolve, reject) => {
      let relays = 0;
      for (const [peer, other] of [[a, b], [b, a]]) {
        peer.onicecandidate = ({ candidate }) => {
          if (!candidate?.candidate) return;
          relays++;
          other.addIceCandidate(candidate);
        };
        peer.onicecandidateerror = (e) => /^stuns?:/.test(e.url) || errors.add(`${e.errorCode} ${e.errorText}`);
        peer.onicegatheringstatechange = () =>
          peer.iceGatheringState === 'complete' && !relays && reject(new Error('no relay'));
        peer.onconnectionstatechange = () => peer.connectionState === 'failed' && reject(new Error('connection failed'));
        const channel = peer.createDataChannel('data', { negotiated: true, id: 0 });
        channel.binaryType = 'arraybuffer';
        if (peer === a) {
          channel.onopen = () => {
            for (let i = 0; i < octets.length; i += 1024) channel.send(octets.slice(i, i + 1024));
          };
          channel.onmessage = ({ data }) => back.push(data) * 1024 >= octets.length && resolve();
        } else {
          channel.onmessage = ({ data }) => {
            there.push(data);
            channel.send(data);
          };
        }
      }
      setTimeout(() => reject(new Error('nothing came back in time')), 55000);
    });
    connected.catch(() => {}); // awaited below
    await a.setLocalDescription(await a.createOffer());
    await b.setRemoteDescription(a.localDescription);
    await b.setLocalDescription(await b.createAnswer());
    await a.setRemoteDescription(b.localDescription);
    await connected;
    let stats = [];
    let pair;
    for (let tries = 0; !pair && tries < 100; tries += 1) { // the octets may be back before ICE has nominated the pair
      if (tries) await new Promise((resolve) => { setTimeout(resolve, 100); });
      stats = [...(await a.getStats()).values()];
      pair = stats.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
    }
    if (!pair) throw new Error('no pair was nominated');
    const end = (id) => stats.find((s) => s.id === id);
    const local = end(pair.localCandidateId);
    return {
      there: base64(there), back: base64(back),
      path: `${local.candidateType}/${end(pair.remoteCandidateId).candidateType} over ${local.relayProtocol}`,
    };
  } catch (why) {
    if (why.message === 'no relay') return { refused: [...errors].join(', ') || 'no relay' };
    return { failed: `${why.message} ${[...errors].join(', ')}` };
  } finally {
    a.close();
    b.close();
  }
}
