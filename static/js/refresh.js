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
