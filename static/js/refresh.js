/* Asks the parts of a page that listen for `changed` (hx-trigger="changed from:body") to load again, at most every `least` ms.
   htmx loses an event that arrives while a part loads, because the answer replaces the listening element, so the event waits
   until the part is loaded. */
import { $ } from "./app.js";

let timer = 0;
let done = 0;

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

/* What has the focus keeps it when its part loads again. htmx sees to elements with an id; the others are found by where they
   lead, or else by what they say, and by their place among those that do the same. */
let kept = null;

const purpose = (element) => [element.localName, element.getAttribute("href") ??
  [element.name, element.value, element.getAttribute("aria-label") ?? element.textContent.replace(/\s+/g, " ").trim()]].join("\n");
const alike = (element, wanted) => [...document.querySelectorAll(`main ${element}`)].filter((one) => purpose(one) === wanted);

document.addEventListener("htmx:beforeSwap", () => {
  const focused = document.activeElement;
  if (focused.id || focused === document.body) return;
  const wanted = purpose(focused);
  kept = { name: focused.localName, wanted, place: alike(focused.localName, wanted).indexOf(focused) };
});

/* An answer may replace several parts, so what had the focus need not stand in the first of them */
document.addEventListener("htmx:afterSettle", () => {
  if (kept && document.activeElement === document.body) {
    const found = alike(kept.name, kept.wanted);
    found[Math.min(kept.place, found.length - 1)]?.focus({ preventScroll: true });
  }
  kept = null;
});
