/* Secrets: a value that is shown is hidden again; copying without showing. Pages work without this. */
import { $$, say } from "./app.js";

const hideAll = () => { for (const place of $$(".revealed-here")) place.replaceChildren(); };
document.addEventListener("htmx:load", (event) => {
  const shown = event.detail.elt.closest?.(".revealed-here")?.querySelector("[data-hide-after]");
  if (shown) setTimeout(() => { shown.parentElement?.replaceChildren(); say("Hidden"); }, 1000 * Number(shown.dataset.hideAfter));
});
window.addEventListener("pagehide", hideAll);

/* A button whose request failed says why, below its form */
function tell(button, text) {
  const line = document.createElement("p");
  line.className = "error";
  line.textContent = text;
  button.closest("td, .clash")?.querySelector(".revealed-here")?.replaceChildren(line);
}
document.addEventListener("htmx:sendError", (event) => tell(event.detail.elt, "Nothing was shown: the portal does not answer."));
document.addEventListener("htmx:responseError", (event) => tell(event.detail.elt, "Nothing was shown: the portal could not read the value."));

/* Copied by a request of its own: the value never stands in the page */
async function copyValue(button) {
  if (!button.form.reportValidity()) return;
  const body = new FormData(button.form);
  body.set("how", "copied");
  const answer = await fetch(button.form.action, { method: "POST", body, headers: { "X-Copy": "1" }, redirect: "error" });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (elsewhere) location.href = elsewhere;
  if (answer.status !== 200) { tell(button, answer.status === 422 ? await answer.text() : "Not copied: the portal could not read the value."); return; }
  await navigator.clipboard.writeText(await answer.text());
  button.classList.add("copied");
  say("Copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
}
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("[data-copy-value]") : null;
  if (button) copyValue(button).catch(() => tell(button, "Not copied: the portal or the clipboard did not answer."));
});
