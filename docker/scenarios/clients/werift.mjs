// SPDX-License-Identifier: BSD-3-Clause
// werift, WebRTC in TypeScript: two peers that may use only the relay
import { readFileSync } from 'node:fs';
import { npm, payload, Refused, run } from './cases.mjs';

const { RTCPeerConnection } = npm('werift');
const { version } = JSON.parse(readFileSync('/opt/npm/node_modules/werift/package.json'));

async function call({ uris, username, password }) {
  const config = { iceServers: [{ urls: uris[0], username, credential: password }], iceTransportPolicy: 'relay' };
  const [a, b] = [new RTCPeerConnection(config), new RTCPeerConnection(config)];
  const there = [];
  const back = [];
  try {
    const channel = a.createDataChannel('data');
    const over = new Promise((resolve) => {
      channel.onMessage.subscribe((data) => {
        back.push(data);
        if (Buffer.concat(back).length >= payload.length) resolve();
      });
    });
    channel.stateChanged.subscribe((state) => {
      if (state !== 'open') return;
      for (let i = 0; i < payload.length; i += 1024) channel.send(payload.subarray(i, i + 1024));
    });
    b.onDataChannel.subscribe((other) => {
      other.onMessage.subscribe((data) => {
        there.push(data);
        other.send(data);
      });
    });
    await a.setLocalDescription(await a.createOffer());
    if (!/ typ relay/.test(a.localDescription.sdp)) throw new Refused('no relay candidate');
    await b.setRemoteDescription(a.localDescription);
    await b.setLocalDescription(await b.createAnswer());
    await a.setRemoteDescription(b.localDescription);
    await over;
    const types = [a, b].map((peer) => [...new Set(peer.localDescription.sdp.match(/ typ \w+/g))].join());
    return {
      there: Buffer.concat(there).toString('base64'), back: Buffer.concat(back).toString('base64'),
      path: types.join('/').replaceAll(' typ ', ''),
    };
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

await run('werift', `werift ${version}`, call);
process.exit(0);
