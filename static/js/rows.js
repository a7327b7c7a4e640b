/* Filters the rows of a table as one types: <input data-filters="#roles">. What was chosen in hidden rows stays, and is sent. */
import { $, $$ } from "./app.js";

const field = $("[data-filters]"), status = $("[data-filtered]");

function filter() {
  const words = field.value.trim().toLowerCase();
  const rows = $$(`${field.dataset.filters} tbody tr`);
  for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(words);
  const shown = rows.filter((row) => !row.hidden).length;
  status.textContent = words ? `${shown} of ${rows.length}` : "";
}
field?.addEventListener("input", filter);
if (field && field.value !== field.defaultValue) filter(); /* typed before this file was here */
