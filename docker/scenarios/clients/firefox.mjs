// SPDX-License-Identifier: BSD-3-Clause
// Firefox, by puppeteer-core over WebDriver BiDi: the calls of call.js in an empty page. Firefox reads the scenario's
// certificate authority from firefox-policies.json.
import { readFileSync } from 'node:fs';
import { npm, payload, run } from './cases.mjs';

const puppeteer = npm('puppeteer-core');
const browser = await puppeteer.launch({
  browser: 'firefox', executablePath: '/usr/bin/firefox-esr', headless: true,
  extraPrefsFirefox: { 'media.peerconnection.ice.obfuscate_host_addresses': false },
});
const page = await browser.newPage();
const text = readFileSync(new URL('call.js', import.meta.url), 'utf8');
const script = text.slice(text.indexOf('async (')).trim();
try {
  await run('firefox', await browser.version(), (given) =>
    page.evaluate(`(${script})(${JSON.stringify({ ...given, payload: payload.toString('base64') })})`));
} finally {
  await browser.close();
}
