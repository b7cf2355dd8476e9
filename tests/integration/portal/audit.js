// SPDX-License-Identifier: BSD-3-Clause
// What of the page is in the way of people: an array of sentences. Runs inside the page.

const found = [];
const visible = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && e.getClientRects().length > 0;
const what = (e) => `<${e.tagName.toLowerCase()}${e.id ? ` id=${e.id}` : ''}> "${(e.textContent || '').trim().slice(0, 40)}"`;
const all = (selector) => [...document.querySelectorAll(selector)];

// structure
if (!document.documentElement.lang) found.push('no lang');
if (!document.title.trim()) found.push('no title');
if (all('h1').length !== 1) found.push('not one h1');
for (const landmark of ['main', 'header', 'footer'])
  if (all(landmark).length !== 1) found.push(`not one ${landmark}`);
let level = 0;
for (const heading of all('h1, h2, h3, h4').filter(visible)) {
  const next = Number(heading.tagName[1]);
  if (next > level + 1) found.push(`${what(heading)}: level ${next} after ${level}`);
  level = next;
}
const ids = all('[id]').map((e) => e.id);
for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) found.push(`id ${id} twice`);
for (const e of all('[aria-labelledby], [aria-describedby], label[for]'))
  for (const name of ['aria-labelledby', 'aria-describedby', 'for'])
    for (const id of (e.getAttribute(name) || '').split(' ').filter(Boolean))
      if (!document.getElementById(id)) found.push(`${what(e)}: ${name} names ${id}, which is not there`);
if (!all('[role=status]').length || !all('[role=alert]').length) found.push('no live region');

// names of controls, and room for a finger
for (const e of all('input, select, button, a[href], textarea').filter(visible)) {
  const named = e.getAttribute('aria-label') || [...(e.labels || [])].map((l) => l.textContent).join('').trim() ||
    (['BUTTON', 'A'].includes(e.tagName) && e.textContent.trim());
  if (!named) found.push(`${what(e)} has no name`);
  const box = (e.type === 'radio' ? e.labels[0] : e).getBoundingClientRect();
  if (!e.classList.contains('skip') && (box.width < 24 || box.height < 24))
    found.push(`${what(e)} is ${Math.round(box.width)} by ${Math.round(box.height)}`);
  if (e.tabIndex < 0) found.push(`${what(e)} cannot be reached with the keyboard`);
}
for (const e of all('img')) if (!e.hasAttribute('alt')) found.push(`${what(e)} has no alt`);
for (const e of all('[tabindex]')) if (e.tabIndex > 0) found.push(`${what(e)} changes the order of the keyboard`);

// contrast (WCAG 2.2, 1.4.3)
const colour = (text) => {
  const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
  return { r, g, b, a };
};
const over = (top, under) => ({
  r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1,
});
const ground = (e) => {
  const layers = [];
  for (let at = e; at; at = at.parentElement) layers.unshift(colour(getComputedStyle(at).backgroundColor));
  return layers.reduce((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 });
};
const light = ({ r, g, b }) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (one, two) => {
  const [dark, bright] = [light(one), light(two)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !visible(e) || e.closest(':disabled, noscript, option')) continue;
  const under = ground(e);
  const ratio = contrast(over(colour(getComputedStyle(e).color), under), under);
  if (ratio < 4.5) found.push(`${what(e)}: contrast ${ratio.toFixed(2)}`);
}
for (const e of all('input, select').filter(visible)) { // 1.4.11
  const ratio = contrast(colour(getComputedStyle(e).borderTopColor), ground(e.parentElement));
  if (e.type !== 'radio' && ratio < 3) found.push(`${what(e)}: contrast of its edge ${ratio.toFixed(2)}`);
}

// nothing wider than the window
if (document.documentElement.scrollWidth > innerWidth) found.push(`${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
return found;
