/* The search at the top as a combobox (ARIA Authoring Practices): the focus stays in the field, arrows go through what was found,
   Enter opens the chosen one, or the page of the search where none is chosen. Without this file the field is a plain form. */
import { $, $$, say } from "./app.js";

const field = $("#search");
const list = $("#found-here");
const options = () => $$("[role=option]", list);

/* What the server sent is a list of links; here each link is an option, and what stands around them is only looks */
function dress() {
  for (const part of $$("div, h2, ul, li, p, small", list)) part.setAttribute("role", "presentation");
  for (const part of $$("section", list)) part.setAttribute("role", "group");
  $$("a", list).forEach((link, at) => {
    link.setAttribute("role", "option");
    link.setAttribute("aria-selected", "false");
    link.id = `option-${at}`;
    link.tabIndex = -1;
  });
  choose(null);
}

function choose(option) {
  for (const one of options()) one.setAttribute("aria-selected", String(one === option));
  if (option) field.setAttribute("aria-activedescendant", option.id); else field.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-expanded", String(options().length > 0));
}

const chosen = () => $("[role=option][aria-selected=true]", list);

function empty() {
  list.replaceChildren();
  choose(null);
}

function onKey(event) {
  const all = options();
  const at = all.indexOf(chosen());
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && all.length) {
    event.preventDefault();
    const next = at < 0 && step < 0 ? all.length - 1 : at + step;
    choose(all[next] || null); // beyond both ends is the field
  } else if (event.key === "Enter" && at >= 0) {
    event.preventDefault();
    all[at].click();
  } else if (event.key === "Escape") {
    event.stopPropagation();
    if (list.children.length || field.value) { event.preventDefault(); field.value = ""; empty(); } else field.blur();
  }
}

if (field && list) {
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": list.id, "aria-expanded": "false" })) field.setAttribute(name, value);
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Found");
  field.addEventListener("keydown", onKey);
  field.addEventListener("input", () => { if (!field.value.trim()) empty(); });
  list.addEventListener("htmx:afterSettle", dress);
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
    event.preventDefault();
    field.select();
    say("Search");
  });
}
