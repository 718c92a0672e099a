// @ts-check
// <diff-review>: comments on lines, kept until they are sent to the agent as one prompt; ticks for what was viewed.

/** @typedef {{path: string, line: string, side: string, code: string, text: string}} Comment */

class DiffReview extends HTMLElement {
  connectedCallback() {
    this.name = `comments ${this.dataset.session}`;
    this.tray = /** @type {HTMLElement} */ (this.querySelector('.tray'));
    this.addEventListener('click', (event) => this.clicked(event));
    this.addEventListener('keydown', (event) => this.pressed(event));
    this.addEventListener('change', (event) => this.ticked(event));
    this.addEventListener('focusin', (event) => this.reached(/** @type {Element} */ (event.target)));
    for (const button of this.querySelectorAll('[data-step]')) button.addEventListener('click', () => this.hunk(Number(button.getAttribute('data-step'))));
    this.tray.querySelector('.forget')?.addEventListener('click', () => this.keep([]));
    this.tray.addEventListener('htmx:after:request', (event) => {
      if (/** @type {CustomEvent} */ (event).detail.ctx.response?.status < 300) this.keep([]);
    });
    const side = document.getElementById('side');
    for (const moment of ['htmx:before:request', 'htmx:before:swap']) side?.addEventListener(moment, (event) => this.swept(event));
    for (const file of this.querySelectorAll('details.file')) {
      const seen = localStorage.getItem(this.tick(file)) !== null;
      /** @type {HTMLInputElement} */ (file.querySelector('input')).checked = seen;
      if (seen) file.removeAttribute('open');
    }
    for (const button of this.lines()) button.tabIndex = -1;
    const first = this.lines()[0];
    if (first) first.tabIndex = 0;
    this.draw();
  }

  /** What is being written must not be swept away by a newer diff.
   * @param {Event} event */
  swept(event) {
    if (event.target !== document.getElementById('side') || !this.isConnected || !this.querySelector('.editor')) return;
    event.preventDefault();
    this.late = true;
  }

  /** @returns {HTMLButtonElement[]} */
  lines() {
    return [...this.querySelectorAll('button[data-line]')];
  }

  /** @param {number} step to the next hunk, or to the one before */
  hunk(step) {
    const hunks = [...this.querySelectorAll('details.file[open] tbody')].filter((one) => one.querySelector('button[data-line]'));
    const at = hunks.findIndex((one) => one.contains(document.activeElement));
    const next = hunks[at < 0 ? (step > 0 ? 0 : hunks.length - 1) : at + step];
    if (!next) return;
    const line = /** @type {HTMLButtonElement} */ (next.querySelector('tr.added button, tr.removed button, td.added button, td.removed button') ?? next.querySelector('button'));
    line.focus();
    line.scrollIntoView({ block: 'center' });
  }

  /** @param {Element} file */
  tick(file) {
    return `viewed ${this.dataset.session} ${file.getAttribute('data-path')} ${file.getAttribute('data-mark')}`;
  }

  /** @returns {Comment[]} */
  get comments() {
    return JSON.parse(localStorage.getItem(this.name) ?? '[]');
  }

  /** @param {Comment[]} comments */
  keep(comments) {
    if (comments.length) localStorage.setItem(this.name, JSON.stringify(comments));
    else localStorage.removeItem(this.name);
    this.draw();
  }

  draw() {
    for (const row of this.querySelectorAll('tr.comment')) row.remove();
    const comments = this.comments;
    comments.forEach((comment, at) => {
      const button = this.lines().find((one) => this.fits(one, comment));
      const row = button && this.row(button, 'comment');
      if (!row) return;
      row.querySelector('p')?.append(comment.text);
      row.querySelector('button')?.addEventListener('click', () => this.keep(this.comments.filter((_, other) => other !== at)));
    });
    this.tray.hidden = !comments.length;
    const count = /** @type {HTMLElement} */ (this.tray.querySelector('.said-count'));
    count.textContent = comments.length === 1 ? '1 comment' : `${comments.length} comments`;
    /** @type {HTMLInputElement} */ (this.tray.querySelector('input[name=text]')).value = [
      'Comments on your change. Address each of them:',
      ...comments.map((one) => {
        const where = `${one.path}:${one.line}${one.side === 'old' ? ' (removed line)' : ''}`;
        return `\n${where}\n> ${one.code.trim()}\n${one.text}`;
      }),
    ].join('\n');
  }

  /** @param {HTMLButtonElement} button @param {Comment} comment */
  fits(button, comment) {
    return button.dataset.line === comment.line && button.dataset.side === comment.side && this.path(button) === comment.path;
  }

  /** @param {Element} button */
  path(button) {
    return button.closest('details')?.getAttribute('data-path') ?? '';
  }

  /** @param {Element} button @param {string} kind @returns {HTMLTableRowElement} a new row below the line, made of its template */
  row(button, kind) {
    const template = /** @type {HTMLTemplateElement} */ (this.querySelector(`template[data-part=${kind}]`));
    const row = /** @type {HTMLTableRowElement} */ (template.content.firstElementChild?.cloneNode(true));
    button.closest('tr')?.after(row);
    return row;
  }

  /** @param {HTMLButtonElement} button */
  write(button) {
    const row = this.row(button, 'editor');
    const field = /** @type {HTMLTextAreaElement} */ (row.querySelector('textarea'));
    const add = /** @type {HTMLButtonElement} */ (row.querySelector('.add'));
    field.setAttribute('aria-label', `Comment on ${this.path(button)} line ${button.dataset.line}`);
    const kept = `draft ${this.name} ${this.path(button)} ${button.dataset.side} ${button.dataset.line}`;
    field.value = localStorage.getItem(kept) ?? '';
    field.addEventListener('input', () => localStorage.setItem(kept, field.value));
    const close = () => {
      localStorage.removeItem(kept);
      row.remove();
      button.focus();
      if (this.late) document.getElementById('live')?.dispatchEvent(new CustomEvent('moved'));
      this.late = false;
    };
    add.addEventListener('click', () => {
      const code = button.closest('tr')?.querySelector(`td.code${button.dataset.side === 'new' ? ':last-child' : ''}`)?.textContent ?? '';
      const comment = { path: this.path(button), line: button.dataset.line ?? '', side: button.dataset.side ?? '', code: code.slice(1), text: field.value.trim() };
      close();
      if (comment.text) this.keep([...this.comments, comment]);
    });
    row.querySelector('.leave')?.addEventListener('click', close);
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') close();
      if (event.key === 'Enter' && (event.metaKey || event.ctrlKey)) add.click();
    });
    field.focus();
  }

  /** @param {Element} line the one that Tab leads to from now on */
  reached(line) {
    if (line.matches('button[data-line]')) for (const button of this.lines()) button.tabIndex = button === line ? 0 : -1;
  }

  /** @param {Event} event */
  clicked(event) {
    const button = /** @type {Element} */ (event.target).closest('button[data-line]');
    if (button instanceof HTMLButtonElement) this.write(button);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const at = this.lines().indexOf(/** @type {HTMLButtonElement} */ (event.target));
    if (at < 0) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'c') {
      event.preventDefault();
      event.stopPropagation();
      this.write(this.lines()[at]);
    } else if (step) {
      event.preventDefault();
      const next = this.lines()[at + step];
      next?.focus();
    }
  }

  /** @param {Event} event */
  ticked(event) {
    const box = /** @type {HTMLInputElement} */ (event.target);
    const file = box.closest('details.file');
    if (!file || box.type !== 'checkbox') return;
    if (box.checked) localStorage.setItem(this.tick(file), '');
    else localStorage.removeItem(this.tick(file));
    /** @type {HTMLDetailsElement} */ (file).open = !box.checked;
    if (box.checked) file.querySelector('summary')?.focus(); // the box is folded away with the file
  }
}

customElements.define('diff-review', DiffReview);
