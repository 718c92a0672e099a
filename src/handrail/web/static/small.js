// @ts-check
// <draft-keeper>: what was written outlives a reload, a lost line and a lost login. <copy-button>: copies a text.
// And: parts that bring a script of their own, and the focus, which stays where it is when a newer part takes the place.

class DraftKeeper extends HTMLElement {
  connectedCallback() {
    const field = /** @type {HTMLTextAreaElement | HTMLInputElement | null} */ (this.querySelector('textarea, input'));
    const form = this.closest('form') ?? this.querySelector('form');
    if (!field || !form) return;
    const name = field.id === 'text' ? `draft ${location.pathname} text` : `draft ${field.id || field.name}`;
    field.value ||= localStorage.getItem(name) ?? '';
    field.addEventListener('input', () => (field.value ? localStorage.setItem(name, field.value) : localStorage.removeItem(name)));
    form.addEventListener('htmx:after:request', (event) => {
      if (/** @type {CustomEvent} */ (event).detail.ctx.response?.status >= 300 || event.target !== form) return;
      localStorage.removeItem(name);
      field.value = '';
    });
    form.addEventListener('submit', () => form.hasAttribute('hx-post') || localStorage.removeItem(name));
  }
}

class CopyButton extends HTMLElement {
  connectedCallback() {
    this.hidden = !navigator.clipboard; // a page that came over plain HTTP from elsewhere has none
    const button = this.querySelector('button');
    button?.addEventListener('click', async () => {
      await navigator.clipboard.writeText(this.getAttribute('text') ?? '');
      const said = button.textContent;
      button.textContent = 'Copied';
      setTimeout(() => (button.textContent = said), 1500);
    });
  }
}

customElements.define('draft-keeper', DraftKeeper);
customElements.define('copy-button', CopyButton);

// what a part needs beyond the first load comes with the part
const bring = () => document.querySelectorAll('[data-module]').forEach((part) => import(part.getAttribute('data-module') ?? ''));
document.addEventListener('htmx:after:swap', bring);
bring();

/** What an element is, in words that a newer version of it has as well.
 * @param {Element} element */
const named = (element) =>
  [element.tagName, element.closest('[data-path]')?.getAttribute('data-path'), element.matches('summary') && element.textContent]
    .concat(['id', 'href', 'name', 'aria-label', 'data-line', 'data-side', 'data-step'].map((name) => element.getAttribute(name)))
    .join(' ');
let stood = '';
document.addEventListener('htmx:before:swap', (event) => {
  const at = document.activeElement;
  if (!event.defaultPrevented) stood = at?.closest('#side') ? named(at) : '';
});
// before any key or any other swap can come between, as they can before htmx:after:swap
const kept = new MutationObserver(() => {
  if (!stood || document.activeElement !== document.body) return;
  const now = [...document.querySelectorAll('#side :is(a, button, summary, input, textarea, [tabindex])')].find((one) => named(one) === stood);
  if (now instanceof HTMLElement) now.focus({ preventScroll: true });
});
const beside = document.getElementById('side')?.parentNode;
if (beside) kept.observe(beside, { childList: true });
