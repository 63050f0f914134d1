// The conversation and the events as lists: what the axis shows, for reading, searching and screen readers.

const ROW_PX = 28;
const shown = { realtime: true, ari: true, tool: true, bridge: true, alarms: false, inView: false, words: "" };
let rows = [];

/** The words of the agent: what was not heard any more is struck out. */
function heardWords(turn) {
  const words = element("span", "said");
  words.append(turn.text || "");
  if (turn.said !== undefined) {
    const rest = turn.said.startsWith(turn.text ?? "") ? turn.said.slice((turn.text ?? "").length) : turn.said;
    words.append(element("s", "", rest));
  }
  if (!turn.text && turn.said === undefined) words.append(element("i", "", "no words"));
  return words;
}

function turnParts(turn) {
  const said = (text) => element("span", "said", text);
  const note = (...parts) => element("span", "note", ...parts);
  if (turn.who === "caller") {
    return ["Caller", turn.text === null ? element("span", "said", element("i", "", "not written down")) : said(turn.text)];
  }
  if (turn.who === "agent") {
    const { wait } = turn;
    const parts = ["Agent", heardWords(turn)];
    const waited = wait && `heard ${span(wait.heard_ms)} after the caller stopped`;
    const cut = turn.interrupted && `interrupted: ${span(turn.heard_ms)} of ${span(turn.received_ms)} heard`;
    if (waited || cut) parts.push(note(joined(waited, cut)));
    return parts;
  }
  if (turn.who === "keys") return ["Keys", said(turn.keys ?? several(turn.count, "key"))];
  if (turn.who === "barge") return ["Barge-in", note(`${span(turn.heard_ms)} heard, ${span(turn.dropped_ms)} of the agent thrown away`)];
  const failed = turn.result === "failed" || turn.result === "refused";
  return [`Tool ${turn.name ?? ""}`, element("span", "said", element("code", "", turn.arguments ?? "")),
    turn.output === undefined ? null : element("span", "said", element("code", "", `→ ${turn.output}`)),
    note(failed ? element("b", "", turn.result) : turn.result, turn.duration_ms === undefined ? "" : ` after ${span(turn.duration_ms)}`)];
}

/** The conversation. */
function writeTurns() {
  const list = $("turns");
  for (const turn of turns) {
    const [who, ...parts] = turnParts(turn);
    const button = element("button", `turn ${turn.who === "keys" ? "keys_" : turn.who}`, element("time", "", clock(turn.at, 1)),
      element("span", "", element("span", "who", who), ...parts));
    button.type = "button";
    button.addEventListener("click", () => choose(turn, true));
    turn.row = button;
    list.append(element("li", "", button));
  }
  if (turns.length === 0) list.append(element("li", "empty", "Nobody said anything."));
  $("turn-count").textContent = several(turns.length, "entry", "entries");
}

function writeFilters() {
  const count = (source) => events.filter((event) => event.source === source).length;
  const add = (key, text, dot, isApart) => {
    const button = element("button", isApart ? "apart" : "", dot ? element("span", `dot ${dot}`) : null, text);
    button.type = "button";
    const press = () => button.setAttribute("aria-pressed", String(shown[key]));
    button.addEventListener("click", () => { shown[key] = !shown[key]; press(); filter(); });
    press();
    $("filters").append(button);
  };
  for (const [source, name] of [["realtime", "Realtime"], ["ari", "Asterisk"], ["tool", "Tools"], ["bridge", "Bridge"]]) {
    if (count(source) > 0) add(source, name, source);
  }
  add("alarms", "Warnings only", null, true);
  add("inView", "In view");
}

/** Chooses the rows that are wanted. */
function filter() {
  const words = shown.words.toLowerCase();
  rows = events.filter((event) => shown[event.source]
    && (!shown.alarms || event.level !== undefined)
    && (!shown.inView || isVisible(event.at, event.to))
    && (!words || event.name.toLowerCase().includes(words) || (event.detail ?? "").toLowerCase().includes(words)));
  $("event-count").textContent = rows.length === events.length ? several(events.length, "event")
    : `${grouped(rows.length)} of ${several(events.length, "event")}`;
  $("room").style.height = `${rows.length * ROW_PX}px`;
  writeRows();
}

/** Writes the rows that can be seen, and a few around them. */
function writeRows() {
  const box_ = $("rows");
  const first = Math.max(0, Math.floor(box_.scrollTop / ROW_PX) - 6);
  const last = Math.min(rows.length, Math.ceil((box_.scrollTop + box_.clientHeight) / ROW_PX) + 6);
  const made = [];
  for (let n = first; n < last; n++) {
    const event = rows[n];
    const row = element("div", `row ${event.level ?? ""}`, element("time", "", clock(event.at)),
      element("span", "from", element("span", `dot ${event.source}`), WHENCE[event.kind]), element("span", "name", event.name), element("span", "took", tookOf(event)));
    row.style.top = `${n * ROW_PX}px`;
    row.id = `row-${event.n}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-setsize", rows.length);
    row.setAttribute("aria-posinset", n + 1);
    row.setAttribute("aria-selected", String(chosen?.key === event.key));
    row.addEventListener("click", () => choose(event, false));
    made.push(row);
  }
  if (rows.length === 0) made.push(element("p", "empty", "No such event."));
  $("room").replaceChildren(...made);
  const isChosen = made.some((row) => row.getAttribute("aria-selected") === "true");
  if (isChosen) box_.setAttribute("aria-activedescendant", `row-${chosen.n}`); else box_.removeAttribute("aria-activedescendant");
}

/** Brings a row of the list to where it can be seen. */
function scrollToRow(n) {
  const box_ = $("rows");
  const top = n * ROW_PX;
  if (top < box_.scrollTop || top + ROW_PX > box_.scrollTop + box_.clientHeight) {
    box_.scrollTop = top - box_.clientHeight / 2;
  }
}

/** Brings the rows to what happened at this time. */
function scrollToTime(at) {
  const place = rows.findIndex((event) => event.at >= at);
  if (place >= 0) $("rows").scrollTop = Math.max(0, place - 2) * ROW_PX;
}

/** JSON as people read it; what is none, or was cut off, as it is. */
function readable(text) {
  return text.split("\n\n").map((part) => {
    try { return JSON.stringify(JSON.parse(part), null, 2); } catch { return part; }
  }).join("\n\n");
}

function writeDetail(event) {
  $("detail").hidden = event === null;
  if (event === null) return;
  $("detail-title").textContent = joined(event.name, WHENCE[event.kind], `${clock(event.at)} · ${utc(event.at)}`, tookOf(event));
  $("detail-text").textContent = event.detail ? readable(event.detail) : event.pieces ? "Pieces of audio or text, which are not kept here." : "Nothing more is known of it.";
  $("detail-text").scrollTop = 0;
}

/** Chooses a turn or an event, everywhere at once. */
function choose(what, movesEvents) {
  if (chosen?.row) chosen.row.removeAttribute("aria-current");
  chosen = what;
  if (what.row) {
    what.row.setAttribute("aria-current", "true");
    const list = $("turns");
    const [top, height] = [what.row.offsetTop, what.row.offsetHeight];
    if (top < list.scrollTop || top + height > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
    writeDetail(null);
  } else {
    writeDetail(what);
    const place = rows.indexOf(what);
    if (place >= 0) scrollToRow(place);
  }
  reveal(what.at, what.to);
  if (movesEvents) scrollToTime(what.at);
  writeRows();
}

let isFilterDue = false;
/** The list follows the window if it is asked to. */
function viewChanged() {
  if (!shown.inView || isFilterDue) return;
  isFilterDue = true;
  setTimeout(() => { isFilterDue = false; filter(); }, 120);
}

function watchLists() {
  const box_ = $("rows");
  box_.addEventListener("scroll", writeRows, { passive: true });
  box_.addEventListener("keydown", (key) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[key.key];
    if (!step || rows.length === 0) return;
    key.preventDefault();
    const place = rows.indexOf(chosen);
    const next = place < 0 ? Math.floor(box_.scrollTop / ROW_PX) : Math.min(Math.max(place + step, 0), rows.length - 1);
    choose(rows[next], false);
  });
  $("find").addEventListener("input", () => { shown.words = $("find").value; box_.scrollTop = 0; filter(); });
  $("detail-close").addEventListener("click", () => { writeDetail(null); box_.focus(); writeRows(); });
}
