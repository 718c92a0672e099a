// @ts-check
// <x-term>: what the agent's shell says, and a shell of the person's own inside the same walls. Loaded on its tab alone.

import { Terminal } from './vendor/xterm-6.0.0.js';
import { FitAddon } from './vendor/xterm-addon-fit-0.11.0.js';

const RETRY = [500, 1000, 2000, 4000]; // ms

/**
 * xterm writes style elements and style attributes, which our policy refuses; through the CSSOM the same is allowed.
 * It takes the document that it makes them with from where it stands, so this stands there from the first terminal on.
 * @param {string} tag
 */
function tamed(tag) {
  const made = Document.prototype.createElement.call(document, tag === 'style' ? 'template' : tag);
  if (tag === 'style') {
    const sheet = new CSSStyleSheet();
    document.adoptedStyleSheets.push(sheet);
    Object.defineProperty(made, 'textContent', { set: (css) => sheet.replaceSync(css) });
    made.remove = () => {
      document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
      Element.prototype.remove.call(made);
    };
  } else if (tag === 'span') {
    made.setAttribute = (key, text) =>
      key === 'style' ? (made.style.cssText = text) : Element.prototype.setAttribute.call(made, key, text);
  }
  return made;
}

class XTerm extends HTMLElement {
  connectedCallback() {
    this.kept = `shell ${this.dataset.session}`;
    this.shell = sessionStorage.getItem(this.kept) ?? '';
    this.at = 0; // the byte that it has come to
    this.tries = 0;
    this.control = this.dataset.control ?? '';
    this.note = /** @type {HTMLElement} */ (this.querySelector('[role=status]'));
    this.opener = /** @type {HTMLButtonElement} */ (this.querySelector('.open'));
    this.ender = /** @type {HTMLButtonElement} */ (this.querySelector('.close'));
    this.opener.addEventListener('click', () => this.change('new'));
    this.ender.addEventListener('click', () => this.type('\x04'));
    this.screen = document.createElement('div');
    this.screen.className = 'screen';
    const past = /** @type {HTMLElement} */ (this.querySelector('.past'));
    past.replaceWith(this.screen);
    document.createElement = /** @type {typeof document.createElement} */ (tamed);
    this.draw();
    this.look = matchMedia('(prefers-color-scheme: dark)');
    this.dress = () => (this.terminal.options.theme = this.theme());
    this.look.addEventListener('change', this.dress);
    this.watcher = new ResizeObserver(() => this.fit.fit());
    this.watcher.observe(this.screen);
    if (this.dataset.socket) this.connect();
    else this.still(past.textContent?.trim() ?? ''); // in the gallery, which has no session
  }

  disconnectedCallback() {
    this.gone = true;
    clearTimeout(this.later);
    this.socket?.close();
    this.watcher?.disconnect();
    this.look?.removeEventListener('change', this.dress);
    this.terminal?.dispose();
  }

  draw() {
    this.terminal = new Terminal({
      convertEol: false, cursorBlink: false, disableStdin: true, fontSize: 12.5,
      fontFamily: getComputedStyle(this.screen).fontFamily, linkHandler: { activate: () => undefined },
      minimumContrastRatio: 4.5, screenReaderMode: true, scrollback: 5000, theme: this.theme(),
    });
    this.fit = new FitAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.open(this.screen);
    this.fit.fit();
    this.terminal.onData((text) => this.type(text));
    this.terminal.onResize(({ cols, rows }) => this.shell && this.send({ size: [cols, rows] }));
    this.terminal.attachCustomKeyEventHandler((event) => {
      if (event.type !== 'keydown' || event.key !== 'Escape' || !event.shiftKey) return true;
      this.ender.hidden ? this.opener.focus() : this.ender.focus(); // the way out for whoever has no mouse
      return false;
    });
    this.screen.addEventListener('keydown', (event) => event.stopPropagation());
  }

  theme() {
    const look = getComputedStyle(this);
    const [background, foreground] = [look.backgroundColor, look.color];
    return { background, foreground, cursor: foreground, cursorAccent: background, selectionBackground: look.accentColor };
  }

  /** @param {string} said what the terminal shows where there is nothing to connect to */
  still(said) {
    this.terminal.write(said.replace(/\n/g, '\r\n'));
    this.shell = this.dataset.shell ?? '';
    this.show();
  }

  /** @param {string} shell the shell to be in; none is to watch */
  change(shell) {
    this.shell = shell;
    this.at = 0;
    this.socket?.close();
    this.connect();
  }

  connect() {
    clearTimeout(this.later);
    const query = new URLSearchParams({ columns: String(this.terminal.cols), rows: String(this.terminal.rows) });
    if (this.shell) query.set('shell', this.shell);
    if (this.at) query.set('at', String(this.at));
    else this.terminal.reset();
    const socket = new WebSocket(`${this.dataset.socket}?${query}`.replace(/^/, location.origin.replace(/^http/, 'ws')));
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', (event) => socket === this.socket && this.heard(event.data));
    socket.addEventListener('close', (event) => socket === this.socket && !this.gone && this.lost(event.code));
  }

  /** @param {string | ArrayBuffer} data */
  heard(data) {
    if (typeof data !== 'string') {
      this.at += this.shell ? data.byteLength : 0;
      this.terminal.write(new Uint8Array(data));
      return;
    }
    const told = JSON.parse(data);
    this.tries = 0;
    this.control = told.control ?? this.control;
    if (told.mode === 'shell') {
      this.shell = told.shell;
      this.at = told.at;
      sessionStorage.setItem(this.kept, told.shell);
      this.send({ size: [this.terminal.cols, this.terminal.rows] });
      this.terminal.focus();
    }
    this.why = told.refused ?? told.ended ?? this.why;
    if (told.mode) this.why = this.shell ? '' : this.why;
    this.show();
  }

  /** @param {number} code */
  lost(code) {
    const asked = this.shell;
    if (asked && (code === 4000 || code === 1000)) {
      sessionStorage.removeItem(this.kept); // it has ended, or cannot be: the agent's shell is watched again
      this.change('');
    } else if (code !== 4000) {
      if (asked) this.why = 'The line is lost, reconnecting …';
      this.show();
      this.later = setTimeout(() => this.connect(), RETRY[Math.min(this.tries++, RETRY.length - 1)]);
    }
  }

  show() {
    const typing = Boolean(this.shell) && this.socket?.readyState === WebSocket.OPEN;
    this.terminal.options.disableStdin = !typing;
    this.terminal.options.cursorBlink = typing;
    this.opener.hidden = Boolean(this.shell) || this.control === 'agent' || this.dataset.state === 'ended';
    this.ender.hidden = !this.shell;
    const watching = this.control === 'agent' ? 'Read only: take over to type.' : 'What the agent’s shell said.';
    this.note.textContent = this.why || (this.shell ? 'A shell inside the walls, without network. Shift+Esc leaves it.' : watching);
  }

  /** @param {string} text */
  type(text) {
    if (this.shell) this.send({ typed: text });
  }

  /** @param {object} told */
  send(told) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(told));
  }
}

customElements.define('x-term', XTerm);
