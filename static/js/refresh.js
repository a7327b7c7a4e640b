/* Asks the parts of a page that listen for `changed` (hx-trigger="changed from:body") to load again, at most every `least` ms.
   htmx loses an event that arrives while a part loads, because the answer replaces the listening element, so the event waits
   until the part is loaded. */
import { $ } from "./app.js";

let timer = 0, done = 0, kept = null;

export function refresh(least = 400) {
  if (timer) return;
  const busy = Boolean($(".htmx-request"));
  const wait = Math.max(done + least - Date.now(), busy ? 50 : 0);
  timer = setTimeout(() => {
    timer = 0;
    if ($(".htmx-request")) { refresh(least); return; }
    done = Date.now();
    document.body.dispatchEvent(new CustomEvent("changed"));
  }, wait);
}

/* What has the focus keeps it when its part loads again. htmx sees to what has an id; the rest is found by where it leads or what it says */
const purpose = (one) => [one.localName, one.getAttribute("href") ?? [one.name, one.value, one.getAttribute("aria-label") ?? one.textContent.trim()]].join();
const alike = (to) => [...document.querySelectorAll(`main ${to.localName}`)].filter((one) => purpose(one) === purpose(to));
document.addEventListener("htmx:beforeSwap", () => {
  const focused = document.activeElement;
  if (!focused.id && focused !== document.body) kept = { focused, place: alike(focused).indexOf(focused) };
});
document.addEventListener("htmx:afterSettle", () => {
  if (kept && document.activeElement === document.body) (alike(kept.focused)[kept.place] ?? alike(kept.focused).at(-1))?.focus({ preventScroll: true });
  kept = null;
});
