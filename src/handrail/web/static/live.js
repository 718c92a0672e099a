// @ts-check
// <live-link>: the one connection of a page, and what a person is told of it. <run-log>: a window on a long transcript.

const MOST = 300; // blocks in the page
const RETRY_TOLD = 600; // ms without a line before anything is said

/** @param {string} state @returns {HTMLTemplateElement} */
const saying = (state) => /** @type {HTMLTemplateElement} */ (document.querySelector(`template[data-told=${state}]`));

class LiveLink extends HTMLElement {
  connectedCallback() {
    this.note = /** @type {HTMLElement} */ (document.getElementById('link'));
    this.banner = /** @type {HTMLElement} */ (document.getElementById('banner'));
    this.addEventListener('htmx:sse:after:connection', (event) => {
      this.connection = /** @type {CustomEvent} */ (event).detail.connection;
      this.show('live');
    });
    this.addEventListener('htmx:sse:error', (event) => {
      const status = /** @type {CustomEvent} */ (event).detail.status;
      this.show(status === 401 || status === 403 ? 'expired' : navigator.onLine ? 'stale' : 'offline');
    });
    this.addEventListener('htmx:sse:before:connection', (event) => {
      const attempt = /** @type {CustomEvent} */ (event).detail.connection.attempt;
      if (attempt > 0 && this.state === 'live') this.later = setTimeout(() => this.show('stale'), RETRY_TOLD);
    });
    this.addEventListener('hello', (event) => this.hello(/** @type {CustomEvent} */ (event).detail.data));
    this.addEventListener('htmx:sse:before:message', (event) => {
      const log = document.querySelector('run-log');
      const message = /** @type {CustomEvent} */ (event).detail.message;
      if (log instanceof RunLog && log.apart && !message.event) event.preventDefault();
    });
    document.addEventListener('htmx:error', (event) => {
      const { ctx } = /** @type {CustomEvent} */ (event).detail;
      if (ctx?.request?.method === 'POST' && !ctx.response) this.tell('unsent', document.getElementById('notice')); // no answer came
    });
    for (const name of ['htmx:error', 'htmx:response:error']) {
      document.addEventListener(name, ({ target }) => target instanceof Element && target.querySelector('.loading')?.classList.add('failed'));
    }
    addEventListener('offline', () => this.show('offline'));
    addEventListener('online', () => {
      this.show('stale');
      // a line that lived through it may be dead without knowing: ask anew, and now
      this.connection?.reader?.cancel();
      this.connection?.delayCanceller?.();
    });
  }

  /** @param {string} server names the process that answers */
  hello(server) {
    const before = this.server;
    this.server = server;
    if (before && before !== server) {
      this.tell('restarted');
      setTimeout(() => this.banner.querySelector('.level-good')?.remove(), 8000);
    }
  }

  /** @param {string} state live, stale, offline or expired */
  show(state) {
    clearTimeout(this.later);
    const was = this.state;
    this.state = state;
    document.documentElement.dataset.link = state;
    this.note.textContent = saying(state).dataset.word ?? '';
    this.note.dataset.state = state;
    if (state !== 'live') this.tell(state);
    else if (was && was !== 'live') this.banner.replaceChildren();
  }

  /** @param {string} state what to say is in the page, as a template @param {HTMLElement | null} place */
  tell(state, place = this.banner ?? null) {
    const said = /** @type {DocumentFragment} */ (saying(state).content.cloneNode(true));
    said.querySelector('time')?.append(new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
    place?.replaceChildren(said);
  }
}

class RunLog extends HTMLElement {
  connectedCallback() {
    this.log = /** @type {HTMLElement} */ (this.querySelector('#log'));
    this.jump = /** @type {HTMLButtonElement} */ (this.querySelector('.jump'));
    this.fresh = 0;
    this.stuck = !location.hash && !this.hasAttribute('data-window');
    this.apart = this.hasAttribute('data-window'); // an older window: what is new does not belong under it
    this.jump.addEventListener('click', () => (this.apart ? location.assign(location.pathname) : this.down()));
    this.addEventListener('scroll', () => this.scrolled(), { passive: true });
    new MutationObserver((changes) => this.changed(changes)).observe(this.log, {
      childList: true, subtree: true, characterData: true,
    });
    new ResizeObserver(() => this.stuck && this.down()).observe(this);
    if (this.stuck) requestAnimationFrame(() => this.down());
    this.addEventListener('htmx:before:swap', () => {
      this.kept = this.scrollHeight - this.scrollTop;
    });
    this.addEventListener('htmx:after:swap', () => this.grewAbove());
  }

  down() {
    this.fresh = 0;
    this.stuck = true;
    this.jump.hidden = true;
    this.scrollTop = this.scrollHeight;
  }

  scrolled() {
    const near = this.scrollHeight - this.scrollTop - this.clientHeight < 48;
    if (near && !this.apart) {
      this.fresh = 0;
      this.jump.hidden = true;
    }
    this.stuck = near && !this.apart;
  }

  /** @param {MutationRecord[]} changes */
  changed(changes) {
    const added = changes.filter((change) => change.target === this.log).flatMap((change) => [...change.addedNodes]);
    const blocks = added.filter((node) => node instanceof HTMLElement && node.id && node.parentNode === this.log);
    if (this.stuck) {
      this.trim('first');
      this.scrollTop = this.scrollHeight;
    } else if (blocks.length && !this.loading && !this.apart) {
      this.fresh += blocks.length;
      this.jump.hidden = false;
      this.jump.textContent = this.jump.dataset.fresh?.replace('{n}', String(this.fresh)) ?? '';
    }
  }

  /** @param {'first' | 'last'} end which blocks go when there are too many */
  trim(end) {
    const blocks = this.log.querySelectorAll(':scope > [id^="e"]');
    const gone = blocks.length - MOST;
    if (gone <= 0) return;
    const list = [...blocks];
    for (const block of end === 'first' ? list.slice(0, gone) : list.slice(-gone)) block.remove();
    if (end === 'first') this.older(/** @type {HTMLElement} */ (this.log.querySelector(':scope > [id^="e"]')).id.slice(1));
    else this.part();
  }

  /** @param {string} seq the first event that the page still shows */
  older(seq) {
    let line = this.log.querySelector('.older');
    if (!line) {
      line = document.createElement('p');
      line.className = 'more older';
      this.log.prepend(line);
    }
    const link = line.querySelector('a') ?? line.appendChild(document.createElement('a'));
    link.textContent = 'Older events';
    link.href = `${location.pathname}?before=${seq}#transcript`;
    link.setAttribute('hx-get', `${location.pathname}/older?before=${seq}`);
    link.setAttribute('hx-target', 'closest p');
    link.setAttribute('hx-swap', 'outerHTML');
    link.setAttribute('hx-trigger', 'click, intersect once');
    // @ts-ignore htmx is a global of the vendored script
    htmx.process(line);
  }

  grewAbove() {
    if (this.kept === undefined || this.stuck) return;
    this.loading = true;
    this.scrollTop = this.scrollHeight - this.kept;
    this.kept = undefined;
    this.trim('last');
    queueMicrotask(() => (this.loading = false));
  }

  part() {
    this.apart = true;
    this.stuck = false;
    this.jump.hidden = false;
    this.jump.textContent = this.jump.dataset.apart ?? '';
  }
}

customElements.define('live-link', LiveLink);
customElements.define('run-log', RunLog);
