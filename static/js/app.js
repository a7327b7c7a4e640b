/* Slipway: conveniences in the browser. Every page works without this file. No dependencies, no inline handlers. */
const root = document.documentElement;
export const $ = (selector, from = document) => from.querySelector(selector);
export const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

/* Announces texts to screen readers through the page's live region */
export function say(message) {
  const live = $("#live");
  if (live) live.textContent = message;
}

/* Theme: system, light, dark; kept in a cookie that the server renders as data-theme */
const THEMES = ["system", "light", "dark"];
const currentTheme = () => root.dataset.theme || "system";

function setTheme(theme) {
  if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const age = theme === "system" ? 0 : 31536000;
  document.cookie = `theme=${theme}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
  nameTheme();
  say(`Theme: ${theme}`);
}

function nameTheme() {
  const theme = currentTheme();
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  for (const button of $$("[data-theme-switch]")) {
    button.setAttribute("aria-label", `Theme: ${theme}. Switch to ${next}`);
    button.title = `Theme: ${theme}`;
  }
}

/* Times: relative in the text, absolute in the viewer's time zone on hover. `ui/words.py` writes the same words. */
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const hours = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const minutes = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });

function ago(seconds) {
  if (Math.abs(seconds) < 10) return "just now";
  const [size, unit] = UNITS.find(([unitSize]) => Math.abs(seconds) >= unitSize);
  const amount = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
  return seconds > 0 ? `${amount} ago` : `in ${amount}`;
}

function duration(seconds) {
  if (seconds < 1) return "<1 s";
  const at = UNITS.findIndex(([size]) => seconds >= size);
  const [size, unit] = UNITS[at];
  const [small, smallUnit] = UNITS[at + 1] || [0, ""];
  const rest = small ? Math.floor((seconds % size) / small) : 0;
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${smallUnit}` : ""}`;
}

function aboutLeft(left, usual) {
  if (left <= 0) return `longer than usual (${duration(usual)})`;
  const step = left < 60 ? 5 : left < 300 ? 10 : 60;
  return `about ${duration(Math.max(step, Math.round(left / step) * step))} left, usually ${duration(usual)}`;
}

export function times(from = document) {
  for (const time of $$("time[datetime]", from)) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.valueOf())) continue;
    time.title = absolute.format(date);
    if ("clock" in time.dataset) time.textContent = hours.format(date);
    if ("at" in time.dataset) time.textContent = minutes.format(date);
    if ("when" in time.dataset) time.textContent = days.format(date);
  }
}

/* Updates ages while the page is open; only times of running things count seconds */
function tick(selector, words) {
  if (document.hidden) return;
  for (const time of $$(selector)) {
    const text = words((Date.now() - new Date(time.dateTime)) / 1000, time);
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(() => tick("time[data-elapsed]", (seconds) => duration(Math.max(0, seconds))), 1000);
setInterval(() => tick("time[data-left]", (seconds) => (seconds < 0 ? duration(-seconds) : "ended")), 1000);
setInterval(() => tick("time[data-eta]", (seconds, time) => aboutLeft(-seconds, Number(time.dataset.eta))), 1000);
setInterval(() => tick("time[data-ago]:not([data-prefix])", ago), 30000);
setInterval(() => tick("time[data-lasting]", (seconds) => (seconds < 10 ? "for a moment" : `for ${ago(seconds).replace(" ago", "")}`)), 30000);

/* Copying */
async function copy(button) {
  const text = button.dataset.copy || location.href;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    window.prompt("Copy:", text); // not a secure context, or not allowed
    return;
  }
  button.classList.add("copied");
  say("Copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
}

function closeMenus(except) {
  for (const menu of $$("details.menu[open]")) if (menu !== except) menu.open = false;
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : root;
  if (target.closest("[data-theme-switch]")) {
    setTheme(THEMES[(THEMES.indexOf(currentTheme()) + 1) % THEMES.length]);
  }
  const copyButton = target.closest("[data-copy]");
  if (copyButton) copy(copyButton);
  closeMenus(target.closest(".menu"));
});

/* Keys: / goes to the search, ? lists the keys, g and a letter goes to a page, Esc closes */
const TYPING = "input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]";
let jumping = 0;

function onKey(event) {
  if (event.key === "Escape") {
    const menu = $("details.menu[open]");
    closeMenus(null);
    if (menu) $("summary", menu).focus();
    else if (document.activeElement?.matches("input[type=search]")) document.activeElement.blur();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPING)) return;
  if (Date.now() - jumping < 1200) {
    jumping = 0;
    const link = $(`[data-jump="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
  } else if (event.key === "g") {
    jumping = Date.now();
  } else if (event.key === "/") {
    const field = $("#search") || $("input[type=search]");
    if (field) { event.preventDefault(); field.select(); }
  } else if (followKey(event)) {
    return;
  } else if (event.key === "?") {
    $("#keys")?.showPopover();
  }
}
document.addEventListener("keydown", onKey);

/* On a cell of the board, and wherever links name their key: that key follows the link around which the focus is */
function followKey(event) {
  const link = document.activeElement?.closest("[data-keys]")?.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (link) { event.preventDefault(); link.click(); }
  return Boolean(link);
}

/* An opened dialog: the first field has the focus, else the first button of its form, else the one that closes it */
document.addEventListener("toggle", (event) => {
  const dialog = event.target;
  if (event.newState !== "open" || !dialog.matches?.(".dialog[popover]")) return;
  ($("input:not([type=hidden]), select, textarea", dialog) || $("form button", dialog) || $("button", dialog))?.focus();
}, true);

/* A question that was loaded into a dialog: <div data-shows="dialog's id"> */
document.addEventListener("htmx:afterSettle", (event) => {
  const shown = event.detail.target?.dataset?.shows;
  if (shown) document.getElementById(shown)?.showPopover();
});

/* Long texts are never cut: the number of characters near the limit, and beyond it the browser refuses, as the server does */
function countCharacters(field) {
  const most = Number(field.dataset?.most);
  if (!most) return;
  const length = [...field.value].length;
  let counter = field.nextElementSibling;
  if (!counter?.matches(".counter")) {
    if (length <= most * 0.8) return;
    counter = Object.assign(document.createElement("small"), { className: "counter quiet" });
    field.after(counter);
  }
  counter.textContent = length > most * 0.8 ? `${length} of ${most} characters` : "";
  counter.classList.toggle("error", length > most);
  field.setCustomValidity(length > most ? `At most ${most} characters. This has ${length}.` : "");
}
document.addEventListener("input", (event) => countCharacters(event.target));
for (const field of $$("[data-most]")) countCharacters(field);

/* A short name follows the name until it is written by hand */
document.addEventListener("input", (event) => {
  const slug = event.target.form && $("input[data-slug-of]", event.target.form);
  if (!slug) return;
  if (event.target === slug) slug.dataset.byHand = slug.value ? "1" : "";
  else if (event.target.name === slug.dataset.slugOf && !slug.dataset.byHand) {
    slug.value = slugOf(event.target.value);
    countCharacters(slug);
  }
});
function slugOf(text) {
  const plain = text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^[^a-z]+|-+$/g, "");
}

/* A choice that needs no button */
document.addEventListener("change", (event) => { if (event.target.matches("[data-send]")) event.target.form.requestSubmit(); });

/* A form is sent once: a second click would get an error from the server */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || form.hasAttribute("hx-post")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
  setTimeout(() => delete form.dataset.sent, 4000);
});
window.addEventListener("pageshow", () => { for (const form of $$("form[data-sent]")) delete form.dataset.sent; });

/* The session has ended: show a message once; keep the page and its input */
export function sessionEnded() {
  const template = $("#session-ended");
  const banners = $("#banners");
  if (!template || !banners || $("[data-session-ended]")) return;
  const banner = template.content.firstElementChild.cloneNode(true);
  banner.dataset.sessionEnded = "";
  $("a", banner).href += `?next=${encodeURIComponent(location.pathname + location.search)}`;
  banners.append(banner);
}
export const isSignIn = (url) => new URL(url, location.href).pathname === "/login/";

document.addEventListener("htmx:beforeOnLoad", (event) => {
  const { xhr } = event.detail;
  if (xhr.status !== 401 && !isSignIn(xhr.responseURL || location.href)) return;
  event.preventDefault();
  sessionEnded();
});
document.addEventListener("htmx:sendError", () => say("The portal does not answer. What is shown may be old."));
document.addEventListener("htmx:load", (event) => {
  times(event.detail.elt);
  sayNew(event.detail.elt);
});

/* A part that loads itself again (hx-trigger) says what is new only, so that one event is announced once */
const said = new Map($$("[data-say]").map((part) => [part.id, part.dataset.say]));
function sayNew(part) {
  const words = part.dataset?.say;
  if (!words || (part.hasAttribute("hx-trigger") && said.get(part.id) === words)) return;
  said.set(part.id, words);
  say(words);
}

nameTheme();
times();
/* Where the address names a place of the page, browsers focus no field, and go to the place before `load` */
addEventListener("load", () => { if (location.hash && document.activeElement === document.body) $("main [autofocus]")?.focus(); });
addEventListener("load", () => { if (location.hash === "#roll-back") $("#rollback")?.showPopover(); });
