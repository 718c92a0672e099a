// @ts-check
// Keys and the palette. There is one registry: elements with `data-key` (and `data-command` where the palette needs other
// words than the element's own). A key clicks its element, or focuses it where it takes text.

const FIELDS = 'input:not([type=checkbox]), textarea, select, [contenteditable]';
const PAUSE = 900; // ms between the two keys of a sequence

/** @param {Element} element */
const shown = (element) => element instanceof HTMLElement && element.checkVisibility?.() !== false;

/** @param {Element} element */
const words = (element) =>
  element.getAttribute('data-command') ?? element.getAttribute('aria-label') ?? element.textContent?.replace(/\s+/g, ' ').trim() ?? '';

/** @param {Element} element what holds a template @returns {HTMLElement} a copy of what is in it */
const copied = (element) => /** @type {any} */ (element.querySelector('template')).content.firstElementChild.cloneNode(true);

/** @param {Element} element */
function act(element) {
  if (element.matches(FIELDS)) /** @type {HTMLElement} */ (element).focus();
  else if (element instanceof HTMLElement) element.click();
}

/** Every element that a key reaches now: of several with one key the one in the row under the cursor, else the first. */
function registry() {
  const found = new Map();
  const row = document.querySelector('[data-row]:focus-within') ?? document.querySelector('[data-row][aria-current]');
  for (const element of document.querySelectorAll('[data-key]')) {
    const key = element.getAttribute('data-key') ?? '';
    if (!shown(element) || element.closest('dialog')) continue;
    if (!found.has(key) || (row && row.contains(element) && !row.contains(found.get(key)))) found.set(key, element);
  }
  return found;
}

/** @param {number} step */
function move(step) {
  const rows = [...document.querySelectorAll('[data-row]')].filter(shown);
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement) || row.hasAttribute('aria-current'));
  const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + step))];
  for (const row of rows) row.removeAttribute('aria-current');
  next.setAttribute('aria-current', 'true');
  const first = /** @type {HTMLElement | null} */ (next.matches('[tabindex]') ? next : next.querySelector('summary, a, button, [tabindex]'));
  first?.focus();
  next.scrollIntoView({ block: 'nearest' });
}

class KeyMap extends HTMLElement {
  connectedCallback() {
    this.before = '';
    this.sheet = /** @type {HTMLDialogElement} */ (this.querySelector('dialog'));
    document.addEventListener('keydown', (event) => this.pressed(event));
    document.querySelector('[data-opens=keys]')?.addEventListener('click', () => this.open());
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const target = /** @type {Element} */ (event.target);
    if (event.key === 'Enter' && (event.metaKey || event.ctrlKey) && target instanceof HTMLTextAreaElement) {
      target.form?.requestSubmit();
      return;
    }
    if (event.metaKey || event.ctrlKey || event.altKey || event.isComposing) return;
    if (event.key === 'Escape' && target.matches(FIELDS) && !target.closest('dialog')) {
      /** @type {HTMLElement} */ (target).blur();
      return;
    }
    if (target.matches(FIELDS) || document.querySelector('dialog[open]')) return;
    const pair = `${this.before} ${event.key}`.trim();
    const found = registry().get(pair) ?? registry().get(event.key);
    this.before = '';
    if (found) {
      event.preventDefault();
      act(found);
    } else if (event.key === 'j' || event.key === 'k') move(event.key === 'j' ? 1 : -1);
    else if (event.key === '?') this.open();
    else {
      this.before = event.key;
      setTimeout(() => (this.before = ''), PAUSE);
    }
  }

  open() {
    const list = /** @type {HTMLElement} */ (this.sheet.querySelector('dl'));
    const rows = [['j k', 'next, previous row'], ['Ctrl K', 'commands'], ['Ctrl Enter', 'send'], ['Esc', 'leave a field']];
    for (const [key, element] of registry()) rows.unshift([key, words(element)]);
    list.replaceChildren(
      ...rows.map(([key, means]) => {
        const row = copied(this);
        row.querySelector('dt')?.append(...key.split(' ').map((one) => Object.assign(document.createElement('kbd'), { textContent: one })));
        row.querySelector('dd')?.append(means);
        return row;
      }),
    );
    this.sheet.showModal();
  }
}

class CommandMenu extends HTMLElement {
  connectedCallback() {
    this.dialog = /** @type {HTMLDialogElement} */ (this.querySelector('dialog'));
    this.field = /** @type {HTMLInputElement} */ (this.querySelector('input'));
    this.list = /** @type {HTMLElement} */ (this.querySelector('[role=listbox]'));
    this.at = 0;
    /** @type {{words: string, key: string, act: () => void}[]} */
    this.all = [];
    document.addEventListener('keydown', (event) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        this.open();
      }
    });
    document.querySelector('[data-opens=palette]')?.addEventListener('click', () => this.open());
    this.field.addEventListener('input', () => this.filter());
    this.field.addEventListener('keydown', (event) => this.steer(event));
  }

  open() {
    this.all = [...document.querySelectorAll('[data-key], [data-command]')]
      .filter((element) => shown(element) && !element.closest('dialog') && words(element))
      .map((element) => ({ words: words(element), key: element.getAttribute('data-key') ?? '', act: () => act(element) }));
    this.field.value = '';
    this.filter();
    this.dialog.showModal();
    fetch('/sessions.json', { headers: { accept: 'application/json' } })
      .then((answer) => (answer.ok ? answer.json() : { sessions: [] }))
      .then((told) => {
        for (const one of told.sessions) {
          this.all.push({ words: `Go to ${one.title || one.id}`, key: '', act: () => location.assign(`/sessions/${one.id}`) });
        }
        this.filter();
      })
      .catch(() => undefined); // the server is away: what this page can do is listed all the same
  }

  filter() {
    const asked = this.field.value.toLowerCase().split(/\s+/);
    this.found = this.all.filter((one) => asked.every((word) => one.words.toLowerCase().includes(word))).slice(0, 12);
    this.at = 0;
    this.list.replaceChildren(
      ...this.found.map((one, at) => {
        const row = copied(this);
        row.id = `command-${at}`;
        row.querySelector('span')?.append(one.words);
        row.querySelector('kbd')?.append(one.key);
        row.addEventListener('click', () => this.run(at));
        return row;
      }),
    );
    /** @type {HTMLElement} */ (this.querySelector('.none')).hidden = this.found.length > 0;
    this.mark();
  }

  mark() {
    [...this.list.children].forEach((row, at) => row.setAttribute('aria-selected', String(at === this.at)));
    this.field.setAttribute('aria-activedescendant', this.list.children.length ? `command-${this.at}` : '');
  }

  /** @param {KeyboardEvent} event */
  steer(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.at = Math.max(0, Math.min((this.found?.length ?? 1) - 1, this.at + step));
      this.mark();
    } else if (event.key === 'Enter') {
      event.preventDefault();
      this.run(this.at);
    }
  }

  /** @param {number} at */
  run(at) {
    const chosen = this.found?.[at];
    this.dialog.close();
    chosen?.act();
  }
}

customElements.define('key-map', KeyMap);
customElements.define('command-menu', CommandMenu);
