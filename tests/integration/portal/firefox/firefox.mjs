// SPDX-License-Identifier: BSD-3-Clause
// Firefox for the tests of the page: reads a command in JSON a line from standard input, and answers each with a line.
//   {"go": URL}  {"js": FUNCTION, "args": [...]}  {"look": WIDTH}  {"shot": PATH}
// argv: the folder with node_modules, and light or dark. puppeteer-core speaks WebDriver BiDi, which needs no geckodriver.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [folder, scheme] = process.argv.slice(2);
const puppeteer = createRequire(`${folder}/`)('puppeteer-core');
const browser = await puppeteer.launch({
  browser: 'firefox',
  executablePath: '/usr/bin/firefox-esr',
  headless: true,
  acceptInsecureCerts: true,
  extraPrefsFirefox: {
    'layout.css.prefers-color-scheme.content-override': scheme === 'dark' ? 0 : 1,
    'dom.events.testing.asyncClipboard': true,
  },
});
const page = await browser.newPage();
const complaints = [];
page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
page.on('pageerror', (error) => complaints.push(String(error)));

const commands = {
  go: ({ go }) => page.goto(go).then(() => null),
  js: ({ js, args = [] }) => page.evaluate(`(${js})(...${JSON.stringify(args)})`),
  look: async ({ look }) => {
    await page.setViewport({ width: look, height: 800 });
    await page.setViewport({ width: look, height: await page.evaluate('document.documentElement.scrollHeight') });
    return page.evaluate('innerWidth');
  },
  shot: ({ shot }) => page.screenshot({ path: shot, fullPage: true }).then(() => null),
  console: async () => complaints.splice(0),
  version: () => browser.version(),
};

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    const name = Object.keys(commands).find((key) => key in command);
    const answer = await commands[name](command).then((value) => ({ value: value ?? null }), (error) => ({ error: String(error) }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
} finally {
  await browser.close();
}
