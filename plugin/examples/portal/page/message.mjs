// SPDX-License-Identifier: BSD-3-Clause
// SIP messages (RFC 3261 section 7), one to a WebSocket message (RFC 7118).

const COMPACT = { v: 'via', f: 'from', t: 'to', i: 'call-id', m: 'contact', l: 'content-length', k: 'supported' };

/** {status, reason} or {method, uri}, with all(name) and first(name); null: no SIP message. */
export function parse(text) {
  const [head] = text.split('\r\n\r\n', 1);
  const [start, ...lines] = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  const fields = new Map();
  for (const line of lines) {
    const match = /^([^\s:]+)\s*:(.*)$/s.exec(line);
    if (!match) return null;
    const name = COMPACT[match[1].toLowerCase()] || match[1].toLowerCase();
    if (!fields.has(name)) fields.set(name, []);
    fields.get(name).push(match[2].trim());
  }
  const all = (name) => fields.get(name.toLowerCase()) || [];
  const message = { all, first: (name) => all(name)[0] };
  const response = /^SIP\/2\.0 ([1-6]\d\d) ?(.*)$/.exec(start);
  if (response) return { ...message, status: Number(response[1]), reason: response[2] };
  const request = /^([A-Z]+) (\S+) SIP\/2\.0$/.exec(start);
  return request ? { ...message, method: request[1], uri: request[2] } : null;
}

/** fields: pairs of name and value, no line ends in them. */
export function build(start, fields) {
  const lines = [start, ...fields.map(([name, value]) => `${name}: ${value}`), 'Content-Length: 0'];
  if (lines.some((line) => /[\r\n\0]/.test(line))) throw new Error('a line end in a header field');
  return lines.join('\r\n') + '\r\n\r\n';
}

/** The response to a request that came in: its Via, From, To, Call-ID and CSeq go back. */
export function respond(request, status, reason, tag) {
  const back = ['Via', 'From', 'To', 'Call-ID', 'CSeq'].flatMap((name) =>
    request.all(name).map((value) => [name, value]));
  const fields = back.map(([name, value]) =>
    [name, name === 'To' && !/;\s*tag=/i.test(value) ? `${value};tag=${tag}` : value]);
  return build(`SIP/2.0 ${status} ${reason}`, fields);
}
