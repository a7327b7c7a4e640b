/* Keeps a page true while it is open: <div id="board" data-changes="/changes/" hx-get="…" hx-trigger="changed from:body">.

   A stream tells that something has changed, and the part loads again. It also loads when the tab comes back or wakes, after a
   new connection (something may have happened meanwhile), and now and then. Without a stream the page asks by itself, and says so. */
import { $ } from "./app.js";
import { refresh } from "./refresh.js";

const POLL_MS = 15000;
const SLOW_MS = 60000;
const LEAST_MS = 1000;

class Follow {
  constructor(url) {
    this.url = url;
    this.failures = 0;
    this.asked = Date.now();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.wake()));
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) this.wake(); });
    setInterval(() => this.look(), POLL_MS);
    this.open();
  }

  /* A browser allows six connections to a host, so hidden tabs close theirs. */
  open() {
    if (this.source || document.hidden) return;
    this.source = new EventSource(this.url);
    this.source.addEventListener("hello", () => this.connected());
    this.source.addEventListener("changed", (event) => this.ask(event.data));
    this.source.addEventListener("error", () => this.failed());
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  wake() {
    this.ask();
    this.open();
  }

  connected() {
    if (this.was) this.ask();
    this.was = true;
    this.failures = 0;
    this.show("");
  }

  /* The browser connects again by itself, unless it was refused. */
  failed() {
    this.failures += 1;
    if (this.source?.readyState === EventSource.CLOSED) this.close();
    if (this.failures > 1) this.show(`Not live: this page asks every ${POLL_MS / 1000} s.`);
  }

  look() {
    if (document.hidden) return;
    this.open();
    if (this.failures || Date.now() - this.asked > SLOW_MS) this.ask();
  }

  /* `told`: when the change was there; the answer shows at least that */
  ask(told = "") {
    this.asked = Date.now();
    this.told = told;
    refresh(LEAST_MS);
  }

  show(words) {
    const place = $("#live-state");
    if (!place || place.textContent === words) return;
    place.textContent = words;
    place.hidden = !words;
  }
}

/* A page has one stream: that of a run while it is open, and this one otherwise */
let follow = null;
function begin() {
  const part = $("[data-changes]");
  if (part && !follow) follow = new Follow(part.dataset.changes);
}
document.addEventListener("htmx:afterSettle", begin);
document.addEventListener("htmx:configRequest", (event) => {
  if (follow?.told && event.detail.elt.matches("[data-changes]")) event.detail.headers["Slipway-Told"] = follow.told;
});
document.addEventListener("htmx:sendError", () => follow?.show("The portal does not answer. What is shown may be old."));
document.addEventListener("htmx:afterOnLoad", () => { if (follow && !follow.failures) follow.show(""); });
begin();
