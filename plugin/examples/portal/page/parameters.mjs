// SPDX-License-Identifier: BSD-3-Clause
// Lists of NAME=VALUE or NAME in header fields; values may be quoted strings (RFC 3261 section 25.1).

const PARAMETER = /\s*([!#$%&'*+.^_`|~\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))\s*)?/y;

/** A Map of lower-case names; null if the text is anything else. */
export function parameters(text, separator) {
  const found = new Map();
  PARAMETER.lastIndex = 0;
  for (;;) {
    const match = PARAMETER.exec(text);
    if (!match) return null;
    const name = match[1].toLowerCase();
    if (found.has(name)) return null;
    found.set(name, match[2] === undefined ? match[3] ?? '' : match[2].replace(/\\(.)/gs, '$1'));
    const next = match.index + match[0].length;
    if (next === text.length) return found;
    if (text[next] !== separator) return null;
    PARAMETER.lastIndex = next + 1;
  }
}

/** A quoted string. */
export const quoted = (text) => `"${text.replace(/["\\]/g, '\\$&')}"`;
