/* Secrets: a value that is shown is hidden again; copying without showing. Pages work without this. */
import { $$, say } from "./app.js";

const hideAll = () => { for (const place of $$(".revealed-here")) place.replaceChildren(); };
document.addEventListener("htmx:load", (event) => {
  const shown = event.detail.elt.closest?.(".revealed-here")?.querySelector("[data-hide-after]");
  if (shown) setTimeout(() => { shown.parentElement?.replaceChildren(); say("Hidden"); }, 1000 * Number(shown.dataset.hideAfter));
});
window.addEventListener("pagehide", hideAll);

/* Copied by a request of its own: the value never stands in the page */
async function copyValue(button) {
  if (!button.form.reportValidity()) return;
  const body = new FormData(button.form);
  body.set("how", "copied");
  const answer = await fetch(button.form.action, { method: "POST", body, headers: { "X-Copy": "1" }, redirect: "error" });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (elsewhere) location.href = elsewhere;
  if (answer.status !== 200) { say("Not copied"); return; }
  await navigator.clipboard.writeText(await answer.text());
  button.classList.add("copied");
  say("Copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
}
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-copy-value]") : null;
  if (button) copyValue(button).catch(() => say("Not copied"));
});
