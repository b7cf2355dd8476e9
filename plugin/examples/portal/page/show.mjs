// SPDX-License-Identifier: BSD-3-Clause
// Functions that put text into the page. None of them writes HTML.

export const $ = (id) => document.getElementById(id);

export function hide(id, hidden = true) {
  $(id).hidden = hidden;
}

/** Shows an error; '' hides it. The element is emptied first, so that a screen reader reads the same text again. */
export function fail(id, text = '') {
  $(id).textContent = '';
  $(id).textContent = text;
  hide(id, !text);
}

/** Text with a button that uncovers it. */
function secret(name, text) {
  const shown = document.createElement('code');
  const button = document.createElement('button');
  const cover = (covered) => {
    shown.textContent = covered ? '•'.repeat(12) : text;
    button.textContent = covered ? 'Show' : 'Hide';
    button.setAttribute('aria-label', `${covered ? 'Show' : 'Hide'} the ${name}`);
    button.onclick = () => cover(!covered);
  };
  button.type = 'button';
  button.className = 'quiet small';
  cover(true);
  const row = document.createElement('span');
  row.className = 'secret';
  row.append(shown, button);
  return row;
}

function plain(text) {
  const shown = document.createElement('code');
  const row = document.createElement('span');
  shown.textContent = text;
  row.className = 'secret';
  row.append(shown);
  return row;
}

/** A button that puts text into the clipboard. */
function copier(name, text) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'quiet small';
  const say = (word) => {
    button.textContent = word;
    button.setAttribute('aria-label', word === 'Copy' ? `Copy the ${name}` : `${word}: the ${name}`);
  };
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say('Copied');
    } catch {
      say('Not copied'); // the browser forbids it
    }
    setTimeout(say, 2000, 'Copy');
  };
  say('Copy');
  return button;
}

function listed(texts) {
  const list = document.createElement('ul');
  for (const text of texts) {
    const one = document.createElement('li');
    // where a line is too short for the URI, its query goes into the next line as a whole
    for (const part of text.split(/(?=\?)/)) {
      const whole = document.createElement('span');
      whole.textContent = part;
      one.append(whole);
    }
    list.append(one);
  }
  return list;
}

/** rows: [name, text, options]; options: secret, copy, id. A text that is an array becomes a list. */
export function define(id, rows) {
  $(id).replaceChildren(...rows.flatMap(([name, text, options = {}]) => {
    const term = document.createElement('dt');
    const value = document.createElement('dd');
    term.textContent = name;
    if (options.secret) value.append(secret(name.toLowerCase(), text));
    else if (Array.isArray(text)) value.append(listed(text));
    else if (options.copy) value.append(plain(text));
    else value.textContent = text;
    if (options.copy) value.firstChild.append(copier(name.toLowerCase(), text));
    if (options.id) value.id = options.id;
    return [term, value];
  }));
  hide(id, false);
}

/** Adds a row to a table that is sorted by its first column. */
export function row(body, texts) {
  const line = document.createElement('tr');
  for (const text of texts) line.insertCell().textContent = text;
  $(body).insertBefore(line, [...$(body).rows].find(({ cells }) => cells[0].textContent > texts[0]) || null);
}

/** The time left until a moment (UTC seconds), with the time of day. */
export function left(until, now = Date.now()) {
  const seconds = Math.ceil(until - now / 1000);
  if (seconds <= 0) return 'has run out';
  const [h, min, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const span = h ? `${h} h ${min} min` : min ? `${min} min ${s} s` : `${s} s`;
  return `in ${span} (${new Date(until * 1000).toLocaleTimeString()})`;
}

/** Runs the action of a button: disables the button meanwhile, hides the last error, and shows a new one. */
export async function run(button, error, action) {
  fail(error);
  button.disabled = true;
  try {
    await action();
  } catch (why) {
    fail(error, why.message.charAt(0).toUpperCase() + why.message.slice(1) + '.');
    return why;
  } finally {
    button.disabled = false;
  }
}
