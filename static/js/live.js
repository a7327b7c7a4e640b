/* Follows a run: new log lines by server-sent events, fragments of the page by htmx, polling when streams fail.

   <section class="log" data-live="/deploys/17/stream?after=123" data-poll="/deploys/17/log?after=">
   Events: `log` (id: sequence; data: {"html": "…", "count": 148}), `changed` (fragments with hx-trigger="changed
   from:body" reload), `end` (the run has ended). The poll answers {"html", "after", "count", "ended"}.
   The html comes from `components/log_folds.html`, or consists of bare <li> lines. Lines already on the page are skipped. */
import { $, $$, isSignIn, say, sessionEnded, times } from "./app.js";
import { refresh } from "./refresh.js";

const POLL_MS = 2000;
const RETRY_STREAM_MS = 30000;

class Live {
  constructor(log) {
    this.log = log;
    this.body = $("[data-log-body]", log);
    this.url = new URL(log.dataset.live, location.href);
    this.after = this.url.searchParams.get("after") || "0";
    this.failures = 0;
    this.over = false;
    this.body.addEventListener("scroll", () => this.onScroll());
    this.follow?.addEventListener("change", () => { this.scroll(); this.come(); });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    window.addEventListener("pagehide", () => this.close());
    this.open();
    if (!location.hash) { this.scroll(); if (innerWidth >= 1200) this.come(); } // it stands beside the objects
  }

  /* The stream. A browser allows six connections to a host, so hidden tabs close theirs. */
  open() {
    if (this.over || this.source || document.hidden) return;
    this.url.searchParams.set("after", this.after);
    this.source = new EventSource(this.url);
    this.source.addEventListener("open", () => { this.stopPolling(); this.show("live"); });
    this.source.addEventListener("log", (event) => this.onLog(event));
    this.source.addEventListener("changed", () => refresh());
    this.source.addEventListener("end", () => this.end());
    this.source.addEventListener("error", () => this.onError());
  }

  close() {
    this.source?.close();
    this.source = null;
    this.stopPolling();
  }

  onLog(event) {
    this.failures = 0;
    if (event.lastEventId) this.after = event.lastEventId;
    this.add(JSON.parse(event.data));
  }

  /* The browser reconnects by itself with Last-Event-ID. After a refusal or repeated failures the page polls instead. */
  onError() {
    this.failures += 1;
    if (this.source?.readyState !== EventSource.CLOSED && this.failures < 3) { this.show("reconnecting"); return; }
    this.source?.close();
    this.source = null;
    this.failures = 0;
    this.poll();
    setTimeout(() => this.open(), RETRY_STREAM_MS);
  }

  async poll() {
    this.stopPolling();
    if (this.over || this.asking || document.hidden) return;
    this.asking = true;
    try {
      const answer = await fetch(this.log.dataset.poll + encodeURIComponent(this.after), { headers: { Accept: "application/json" } });
      if (answer.status === 401 || isSignIn(answer.url)) { this.stop("session ended"); sessionEnded(); return; }
      if (!answer.ok) throw new Error(answer.statusText);
      const data = await answer.json();
      this.show("live");
      this.after = String(data.after ?? this.after);
      this.add(data);
      refresh();
      if (data.ended) { this.end(); return; }
    } catch {
      this.show("no answer, trying again");
    } finally {
      this.asking = false;
    }
    if (!this.source || this.source.readyState !== EventSource.OPEN) this.timer = setTimeout(() => this.poll(), POLL_MS);
  }

  stopPolling() { clearTimeout(this.timer); }

  end() {
    refresh();
    this.stop("");
    document.addEventListener("htmx:afterSettle", tellEnd);
  }

  stop(words) {
    this.over = true;
    this.close();
    this.show(words);
  }

  show(words) {
    const place = $("[data-log-state]", this.log);
    if (place) place.textContent = words && `, ${words}`;
  }

  /* Adds new lines to the fold of their step; skips lines already on the page (after a reconnect) */
  add({ html, count }) {
    if (html) {
      const template = document.createElement("template");
      template.innerHTML = html;
      for (const element of [...template.content.children]) this.place(element);
    }
    const shown = $("[data-log-count]", this.log);
    if (shown && count !== undefined) shown.textContent = count;
    if (html) this.scroll();
  }

  place(element) {
    if (element.matches("details")) {
      const fold = $(`details[data-step="${CSS.escape(element.dataset.step)}"]`, this.body);
      if (!fold) { times(element); this.body.append(element); return; }
      $("summary", fold).replaceWith($("summary", element));
      this.lines($$("li", element), $(".log-lines", fold));
    } else {
      this.lines([element], $$(".log-lines", this.body).at(-1));
    }
  }

  lines(items, list) {
    for (const item of items) {
      if (item.id && document.getElementById(item.id)) continue;
      times(item);
      list.append(item);
    }
  }

  /* Scrolling up pauses following the log, scrolling to the end resumes it */
  get follow() { return $("[name=follow]", this.log); }
  come() { if (this.follow?.checked) this.log.scrollIntoView({ block: "nearest" }); }
  scroll() { if (this.follow?.checked) this.body.scrollTop = this.body.scrollHeight; }
  onScroll() {
    const atEnd = this.body.scrollHeight - this.body.scrollTop - this.body.clientHeight < 24;
    if (this.follow) this.follow.checked = atEnd;
  }
}

function tellEnd() { // once, with the outcome, when the page shows it
  if ($("#progress[data-open]")) return;
  document.removeEventListener("htmx:afterSettle", tellEnd);
  say($("#progress")?.dataset.say || `The run has ended: ${$("#progress h1 .state")?.textContent.trim() || ""}`);
}

/* Goes to a line by its address and opens its fold. Reloads the page once for a line that is missing: `?line=120#L120` */
function goToLine(hash) {
  const number = /^#L(\d+)$/.exec(hash)?.[1];
  const line = number && document.getElementById(`L${number}`);
  if (number && (!line || line.classList.contains("gap"))) {
    const url = new URL(location.href);
    const count = Number($("[data-log-count]")?.textContent || 0);
    if (Number(number) <= count && url.searchParams.get("line") !== number) {
      url.searchParams.set("line", number);
      location.replace(url);
    }
    return false;
  }
  if (!line) return false;
  line.closest("details").open = true;
  line.scrollIntoView({ block: "center" });
  return true;
}

/* Find in the log: a number goes to its line, words to the lines that contain them, the newest search first from the top */
function find(log, text, step = 0) {
  const number = /^L?(\d+)$/i.exec(text);
  if (step && number && Number(number[1]) <= Number($("[data-log-count]", log)?.textContent || 0)) { location.hash = `L${number[1]}`; return; }
  const wanted = text.toLowerCase();
  const hits = wanted ? $$(".log-lines > li", log).filter((item) => item.lastElementChild.textContent.toLowerCase().includes(wanted)) : [];
  const before = $(".log-hit", log);
  const at = hits.length ? (Math.max(hits.indexOf(before), step ? -1 : 0) + step + hits.length) % hits.length : -1;
  const hit = hits[at];
  before?.classList.remove("log-hit");
  tell(log, wanted && (hit ? `${at + 1} of ${hits.length}` : "Nothing found"));
  if (!hit) return;
  hit.classList.add("log-hit");
  hit.closest("details").open = true;
  hit.scrollIntoView({ block: "center" });
}

function tell(log, words) {
  const place = $("[data-log-found]", log);
  if (place) place.textContent = words;
}

for (const log of $$(".log")) {
  if (log.dataset.live) new Live(log);
  const field = $("[data-log-find] [name=find]", log);
  if (!field) continue;
  field.addEventListener("input", () => find(log, field.value.trim()));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    find(log, field.value.trim(), event.shiftKey ? -1 : 1);
  });
  field.form.addEventListener("submit", (event) => event.preventDefault());
}
/* The tab shows the state of the run */
document.addEventListener("htmx:afterSettle", () => {
  const icon = $("link[data-favicon]");
  const wanted = $("#progress")?.dataset.favicon;
  if (icon && wanted && icon.getAttribute("href") !== wanted) icon.href = wanted;
});

window.addEventListener("hashchange", () => goToLine(location.hash));
goToLine(location.hash);
