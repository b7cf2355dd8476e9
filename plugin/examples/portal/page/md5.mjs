// SPDX-License-Identifier: BSD-3-Clause
// MD5 (RFC 1321), which SIP digest authentication still asks for and browsers do not offer.

const SHIFTS = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];
const SINES = Uint32Array.from({ length: 64 }, (_, i) => Math.floor(2 ** 32 * Math.abs(Math.sin(i + 1))));
const MIX = [
  (b, c, d) => (b & c) | (~b & d),
  (b, c, d) => (d & b) | (~d & c),
  (b, c, d) => b ^ c ^ d,
  (b, c, d) => c ^ (b | ~d),
];
const WORD = [(i) => i, (i) => (5 * i + 1) % 16, (i) => (3 * i + 5) % 16, (i) => (7 * i) % 16];

const rotate = (x, n) => (x << n) | (x >>> (32 - n));

function padded(octets) {
  const size = ((octets.length + 8) >> 6 << 6) + 64;
  const view = new DataView(new ArrayBuffer(size));
  new Uint8Array(view.buffer).set(octets);
  view.setUint8(octets.length, 0x80);
  view.setBigUint64(size - 8, BigInt(octets.length) * 8n, true);
  return view;
}

/** Hexadecimal MD5 of a text (as UTF-8). */
export function md5(text) {
  const view = padded(new TextEncoder().encode(text));
  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let at = 0; at < view.byteLength; at += 64) {
    let [a, b, c, d] = state;
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      const word = view.getUint32(at + 4 * WORD[round](i), true);
      const sum = (a + MIX[round](b, c, d) + SINES[i] + word) | 0;
      [a, d, c, b] = [d, c, b, (b + rotate(sum, SHIFTS[round][i % 4])) | 0];
    }
    [a, b, c, d].forEach((value, i) => (state[i] = (state[i] + value) | 0));
  }
  const out = new DataView(new ArrayBuffer(16));
  state.forEach((value, i) => out.setUint32(4 * i, value >>> 0, true));
  return Array.from(new Uint8Array(out.buffer), (octet) => octet.toString(16).padStart(2, '0')).join('');
}
