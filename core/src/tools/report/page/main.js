// Hands: pointer, wheel, fingers, keys. And the beginning of it all.

/** What is drawn at this point; what lies on top first, and events by how near they are. */
function placeAt(x, y) {
  const within = places.filter((place) => x >= place.x && x <= place.x + place.w && y >= place.y && y <= place.y + place.h);
  const marks = within.filter((place) => !place.isGround);
  if (marks.length === 0) return within.at(-1) ?? null;
  const distance = (place) => (place.event ? Math.abs(xOf(place.event.at) - x) : 0);
  return marks.reduce((best, place) => (distance(place) <= distance(best) ? place : best));
}

function writeTip(x, y) {
  const tip = $("tip");
  const bounds = timeline.getBoundingClientRect();
  const place = placeAt(x, y);
  timeline.classList.toggle("pointing", Boolean(place && (place.turn || place.event)));
  const at = timeAt(x);
  if (x < gutter() || at < 0 || at > duration) { tip.hidden = true; return; }
  const parts = place ? [element("strong", "", place.title), place.text ? element("p", "", place.text.slice(0, 400)) : null,
    ...place.lines.map((text) => element("span", "", text))] : [element("strong", "", clock(at)), element("span", "", utc(at))];
  tip.replaceChildren(...parts.filter(Boolean));
  tip.hidden = false;
  const { offsetWidth: w, offsetHeight: h } = tip;
  const left = bounds.left + x + 14 + w > innerWidth - 8 ? bounds.left + x - 14 - w : bounds.left + x + 14;
  const top = bounds.top + y + 18 + h > innerHeight - 8 ? bounds.top + y - 12 - h : bounds.top + y + 18;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, top)}px`;
}

function watchTimeline() {
  const fingers = new Map();
  let travelled = 0;
  const where = (event) => { const bounds = timeline.getBoundingClientRect(); return { x: event.clientX - bounds.left, y: event.clientY - bounds.top }; };
  const apart = () => { const [a, b] = [...fingers.values()]; return { middle: (a.x + b.x) / 2, width: Math.max(Math.abs(a.x - b.x), 10) }; };

  timeline.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, where(event));
    travelled = fingers.size > 1 ? Infinity : 0;
    timeline.setPointerCapture(event.pointerId);
  });
  timeline.addEventListener("pointermove", (event) => {
    const now = where(event);
    const before = fingers.get(event.pointerId);
    pointer = now;
    if (!before) { writeTip(now.x, now.y); redraw(); return; }
    $("tip").hidden = true;
    const old = fingers.size === 2 ? apart() : null;
    travelled += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
    fingers.set(event.pointerId, now);
    if (old) {
      const at = timeAt(old.middle);
      const next = apart();
      zoom(old.width / next.width, at);
      pan((old.middle - next.middle) / plotWidth());
    } else if (travelled > 4) {
      timeline.classList.add("dragging");
      pan((before.x - now.x) / plotWidth());
    }
  });
  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    timeline.classList.remove("dragging");
    if (event.type === "pointerup" && travelled <= 4) {
      const { x, y } = where(event);
      const place = placeAt(x, y);
      if (place?.turn) choose(place.turn, true);
      else if (place?.event) choose(place.event, false);
      else if (x >= gutter()) scrollToTime(timeAt(x));
    }
  };
  timeline.addEventListener("pointerup", lift);
  timeline.addEventListener("pointercancel", lift);
  timeline.addEventListener("pointerleave", () => { pointer = null; $("tip").hidden = true; redraw(); });
  timeline.addEventListener("dblclick", (event) => zoom(0.4, timeAt(where(event).x)));
  timeline.addEventListener("wheel", (event) => {
    event.preventDefault();
    $("tip").hidden = true;
    const pixels = event.deltaMode === 1 ? 18 : event.deltaMode === 2 ? 400 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(((event.deltaX || event.deltaY) * pixels) / plotWidth());
    else zoom(Math.exp(event.deltaY * pixels * 0.0022), timeAt(where(event).x));
  }, { passive: false });
}

function watchOverview() {
  const move = (event) => {
    const bounds = overview.getBoundingClientRect();
    const at = ((event.clientX - bounds.left - gutter()) / plotWidth()) * duration;
    const half = (view.to - view.from) / 2;
    show(at - half, at + half);
  };
  overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); move(event); });
  overview.addEventListener("pointermove", (event) => { if (overview.hasPointerCapture(event.pointerId)) move(event); });
}

/** The turn behind or before what is chosen, or else the window's middle. */
function stepTurn(forward) {
  const at = chosen?.at ?? (view.from + view.to) / 2;
  const others = turns.filter((turn) => (forward ? turn.at > at || (turn.at === at && turn.n > (chosen?.n ?? Infinity)) : turn.at < at));
  const next = forward ? others[0] : others.at(-1);
  if (next) choose(next, true);
}

function watchKeys() {
  const acts = {
    ArrowLeft: (event) => pan(event.shiftKey ? -0.9 : -0.15), ArrowRight: (event) => pan(event.shiftKey ? 0.9 : 0.15),
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), "0": () => show(0, duration),
    Home: () => show(0, view.to - view.from), End: () => show(duration - (view.to - view.from), duration),
    n: () => stepTurn(true), p: () => stepTurn(false),
  };
  timeline.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : acts[event.key] ?? acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
  $("zoom-in").addEventListener("click", () => zoom(0.6));
  $("zoom-out").addEventListener("click", () => zoom(1 / 0.6));
  $("fit").addEventListener("click", () => show(0, duration));
}

/** What was drawn, for who checks this page without eyes. */
function tellWhatIsThere() {
  Object.assign(document.documentElement.dataset, {
    turns: turns.length, events: events.length, stretches: waves.caller.count + waves.agent.count, places: places.length,
    drawnMs: Math.round(performance.now()), report: "drawn",
  });
}

readColours();
writeHead();
writeTurns();
writeFilters();
filter();
watchLists();
watchTimeline();
watchOverview();
watchKeys();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
new ResizeObserver(() => { redraw(); writeRows(); }).observe(timeline);
drawNow();
tellWhatIsThere();
