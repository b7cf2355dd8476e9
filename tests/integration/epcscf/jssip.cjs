// SPDX-License-Identifier: BSD-3-Clause
// JsSIP, as pages use it, at the eP-CSCF; node's ws stands for the browser's WebSocket.
//
//   jssip.cjs URL CA USER DOMAIN PASSWORD-FILE
//
// Commands on stdin, one a line; a line of JSON on stdout for each:
//   register [KIND]   {"registered": true or false, "status", "credential": the header or null}
//   options [KIND]    {"status", "credential"}
//   unregister        {"unregistered": true}
'use strict';
const fs = require('fs');
const readline = require('readline');
const WebSocket = require('ws');
const [url, caFile, user, domain, passwordFile] = process.argv.slice(2);

const ca = fs.readFileSync(caFile);
global.WebSocket = class extends WebSocket {
  constructor(address, protocols) { super(address, protocols, { ca }); }
};
const JsSIP = require('jssip');

const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');
const asking = (kind) => (kind ? [`Turn-Credential-Request: ${kind}`] : []);
const credential = (response) => (response && response.getHeader('Turn-Credential')) || null;

const ua = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface(url)],
  uri: `sip:${user}@${domain}`,
  password: fs.readFileSync(passwordFile, 'utf8').trim(),
  register: false,
  register_expires: 300,
});

const once = (events) => new Promise((resolve) => {
  const all = Object.keys(events).map((name) => {
    const listener = (data) => {
      all.forEach(([n, l]) => ua.removeListener(n, l));
      resolve(events[name](data));
    };
    ua.on(name, listener);
    return [name, listener];
  });
});

const commands = {
  async register(kind) {
    ua.registrator().setExtraHeaders(asking(kind));
    const done = once({
      registered: (e) => ({ registered: true, status: e.response.status_code, credential: credential(e.response) }),
      registrationFailed: (e) => ({ registered: false, status: e.response && e.response.status_code, credential: credential(e.response) }),
    });
    ua.register();
    return done;
  },
  async options(kind) {
    return new Promise((resolve) => {
      const done = (e) => resolve({ status: e.response && e.response.status_code, credential: credential(e.response) });
      // JsSIP takes a target without a user for a user: the own address it is
      ua.sendOptions(`sip:${user}@${domain}`, null, { extraHeaders: asking(kind), eventHandlers: { succeeded: done, failed: done } });
    });
  },
  async unregister() {
    ua.registrator().setExtraHeaders([]);
    const done = once({ unregistered: () => ({ unregistered: true }) });
    ua.unregister();
    return done;
  },
};

(async () => {
  const connected = once({ connected: () => true, disconnected: () => false });
  ua.start();
  if (!await connected) {
    console.error('no connection');
    process.exit(1);
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(' ');
    say(await commands[command](...words));
  }
  ua.stop();
  process.exit(0);
})();
