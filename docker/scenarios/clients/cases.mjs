// SPDX-License-Identifier: BSD-3-Clause
// cases.py for programs in JavaScript
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const HANDED = '/var/lib/handed-over';
export const SECONDS = 60;
export const payload = readFileSync(`${HANDED}/payload`);
export const npm = createRequire('/opt/npm/');

export class Refused extends Error {}

const within = (promise) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`nothing in ${SECONDS} s`)), SECONDS * 1000);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });

/** Makes the call of each case of PROGRAM. */
export async function run(program, version, call) {
  const results = [];
  for (const given of JSON.parse(readFileSync(`${HANDED}/${program}.json`))) {
    const seen = await within(call(given)).catch((why) =>
      why instanceof Refused ? { refused: why.message } : { failed: `${why}` });
    results.push(`${JSON.stringify({ case: given.case, ...seen })}\n`);
    console.error(given.case, Object.keys(seen)[0], seen.refused || seen.failed || '');
  }
  writeFileSync(`${HANDED}/${program}.out`, results.join(''));
  console.log(version);
}
