// The time axis. Only what lies in the window is drawn, so that an hour is no slower than a minute.

const timeline = $("timeline");
const overview = $("overview");
const view = { from: 0, to: duration };
let chosen = null;
let pointer = null;
/** What is drawn where, for the pointer: the last one is on top. */
let places = [];
let colours = {};

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif";
const SHORTEST_MS = Math.min(40, duration);
// From top to bottom: where each lane begins and how high it is.
const LANES = {
  ruler: [0, 42], caller: [42, 80], heard: [124, 24], agent: [158, 80], said: [240, 24],
  acts: [278, 24], realtime: [312, 28], ari: [346, 28], bridge: [380, 22],
};
const HEIGHT = 416;
const LABELS = { caller: "Caller", agent: "Agent", acts: "Tools, keys", realtime: "Realtime", ari: "Asterisk", bridge: "Bridge" };

const gutter = () => (timeline.clientWidth < 600 ? 0 : 92);
const plotWidth = () => timeline.clientWidth - gutter() - (gutter() ? 14 : 0);
const xOf = (ms) => gutter() + ((ms - view.from) / (view.to - view.from)) * plotWidth();
const timeAt = (x) => view.from + ((x - gutter()) / plotWidth()) * (view.to - view.from);
const isVisible = (at, to) => to >= view.from && at <= view.to;

function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = {};
  for (const name of ["panel", "sunk", "ink", "soft", "line", "grid", "caller", "caller-tint", "agent", "agent-tint", "tool", "tool-tint",
    "key", "key-tint", "bridge", "bad", "bad-tint", "warn", "select", "shade"]) colours[name] = style.getPropertyValue(`--${name}`).trim();
}

/** A canvas as fine as the screen, to be drawn on in CSS pixels. */
function brush(canvas, height) {
  const [ratio, width] = [window.devicePixelRatio || 1, canvas.clientWidth];
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.textBaseline = "middle";
  return ctx;
}

function box(ctx, x, y, w, h, radius, fill, stroke, dash) {
  ctx.beginPath();
  ctx.roundRect(x, y, Math.max(w, 1), h, Math.min(radius, Math.max(w, 1) / 2));
  if (fill) { ctx.fillStyle = fill; ctx.fill(); }
  if (stroke) { ctx.strokeStyle = stroke; ctx.setLineDash(dash ?? []); ctx.stroke(); ctx.setLineDash([]); }
}

function line(ctx, x1, y1, x2, y2, colour, dash) {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1;
  ctx.setLineDash(dash ?? []);
  ctx.beginPath();
  ctx.moveTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  ctx.lineTo(Math.round(x2) + 0.5, Math.round(y2) + 0.5);
  ctx.stroke();
  ctx.setLineDash([]);
}

/** A text in one line within so many pixels; nothing if there is room for hardly a letter. */
function label(ctx, text, x, y, width, colour, weight = 400, px = 11) {
  if (width < 12 || !text) return;
  ctx.font = `${weight} ${px}px ${FONT}`;
  let shown = text.slice(0, Math.ceil(width / 3)).replace(/\s+/g, " ");
  if (ctx.measureText(shown).width > width || shown.length < text.length) {
    let [low, high] = [0, shown.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (ctx.measureText(`${shown.slice(0, middle)}…`).width <= width) low = middle; else high = middle - 1;
    }
    if (low < 2) return;
    shown = `${shown.slice(0, low).trimEnd()}…`;
  }
  ctx.fillStyle = colour;
  ctx.fillText(shown, x, y);
}

/** The steps of the ruler: so wide that its numbers do not touch. */
function rulerStep() {
  const least = ((view.to - view.from) / plotWidth()) * 84;
  const steps = [5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5];
  return steps.find((step) => step >= least) ?? Math.ceil(least / 36e5) * 36e5;
}

function drawRuler(ctx) {
  const step = rulerStep();
  const digits = step < 10 ? 3 : step < 100 ? 2 : step < 1000 ? 1 : 0;
  for (let at = Math.ceil(view.from / step) * step; at <= view.to; at += step) {
    const x = xOf(at);
    line(ctx, x, 22, x, HEIGHT, colours.grid);
    ctx.font = `400 11px ${FONT}`;
    ctx.fillStyle = colours.soft;
    if (x + 4 + ctx.measureText(clock(at, digits)).width < timeline.clientWidth) ctx.fillText(clock(at, digits), x + 4, 13);
    line(ctx, x, 6, x, 22, colours.line);
  }
}

/** What holds for a while, behind everything: speech, hold, and the time before the answer. */
function drawGround(ctx) {
  const shade = (at, to, lane, colour) => {
    if (!isVisible(at, to)) return;
    const [y, h] = LANES[lane];
    const [x1, x2] = [Math.max(xOf(at), gutter()), xOf(to)];
    ctx.fillStyle = colour;
    ctx.fillRect(x1, y, Math.max(x2 - x1, 1), h);
  };
  for (const turn of turns) if (turn.who === "caller") shade(turn.at, turn.to, "caller", colours["caller-tint"]);
  for (const turn of turns) if (turn.who === "agent") shade(turn.at, turn.to, "agent", colours["agent-tint"]);
  for (const held of moments.held) {
    const to = held.to_ms ?? duration;
    if (!isVisible(held.at_ms, to)) continue;
    for (const lane of ["caller", "agent"]) shade(held.at_ms, to, lane, colours.shade);
    const x = Math.max(xOf(held.at_ms), gutter());
    label(ctx, "on hold", x + 6, LANES.caller[0] + 10, xOf(to) - x - 12, colours.soft);
    places.push({ x, y: LANES.caller[0], w: xOf(to) - x, h: LANES.caller[1], at: held.at_ms, to, title: "On hold", lines: [span(to - held.at_ms)] });
  }
}

/** A waveform: for each column of pixels the least and the largest sample of it. */
function drawWave(ctx, wave, middle, half, colour, window_, left, width, scale) {
  const from = window_.from / wave.stretch;
  const perPixel = (window_.to - window_.from) / width / wave.stretch;
  ctx.fillStyle = colour;
  ctx.globalAlpha = 0.35;
  ctx.fillRect(left, middle - 0.5, width, 1);
  ctx.globalAlpha = 1;
  for (let x = 0; x < width; x++) {
    const first = Math.max(0, Math.floor(from + x * perPixel));
    const last = Math.min(wave.count, Math.max(first + 1, Math.ceil(from + (x + 1) * perPixel)));
    let [low, high] = [0, 0];
    for (let n = first; n < last; n++) {
      low = Math.min(low, wave.codes[2 * n]);
      high = Math.max(high, wave.codes[2 * n + 1]);
    }
    if (low === 0 && high === 0) continue;
    const [up, down] = [(level(high) / scale) * half, (-level(low) / scale) * half];
    ctx.fillRect(left + x, middle - up, 1, Math.max(up + down, 1));
  }
}

function drawVoices(ctx) {
  for (const who of ["caller", "agent"]) {
    const [y, h] = LANES[who];
    drawWave(ctx, waves[who], y + h / 2, h / 2 - 2, colours[who], view, gutter(), Math.ceil(plotWidth()), loudest);
  }
  const [y, h] = LANES.caller;
  for (const { at_ms: at, packets } of moments.lost) {
    if (!isVisible(at, at)) continue;
    const x = xOf(at);
    ctx.fillStyle = colours.bad;
    ctx.fillRect(x - 1, y + h - 12, 2, 12);
    places.push({ x: x - 4, y: y + h - 16, w: 8, h: 16, at, to: at, title: several(packets, "packet") + " lost", lines: [] });
  }
}

/** Turns, and the waits between them. */
function drawTurns(ctx) {
  for (const turn of turns) {
    const isCaller = turn.who === "caller";
    if ((!isCaller && turn.who !== "agent") || !isVisible(turn.wait?.from ?? turn.at, turn.to + (turn.unheard ?? 0))) continue;
    const [y, h] = LANES[isCaller ? "heard" : "said"];
    const colour = isCaller ? "caller" : "agent";
    const [x1, x2] = [xOf(turn.at), Math.max(xOf(turn.to), xOf(turn.at) + 3)];
    if (turn.wait) drawWait(ctx, turn, y, h);
    if (turn.unheard > 0) {
      const next = turns.find((other) => other.who === "agent" && other.at > turn.at);
      const end = Math.min(xOf(turn.to + turn.unheard), next ? xOf(next.wait?.from ?? next.at) : Infinity);
      box(ctx, x2 + 1.5, y + 0.5, end - x2 - 2, h - 1, 4, null, colours.agent, [3, 3]);
    }
    box(ctx, x1, y, x2 - x1, h, 4, colours[`${colour}-tint`], null);
    ctx.fillStyle = colours[colour];
    ctx.fillRect(x1, y, 2, h);
    const left = Math.max(x1, gutter());
    label(ctx, turn.text ?? "(not written down)", left + 7, y + h / 2 + 0.5, x2 - left - 12, colours.ink);
    places.push({ ...placeOf(turn), x: x1, y, w: x2 - x1, h });
  }
}

function drawWait(ctx, turn, y, h) {
  const [x1, x2] = [xOf(turn.wait.from), xOf(turn.at)];
  if (x2 - x1 < 3) return;
  const middle = y + h / 2;
  line(ctx, x1, middle - 4, x1, middle + 4, colours.soft);
  const text = span(turn.wait.heard_ms);
  ctx.font = `400 11px ${FONT}`;
  const width = ctx.measureText(text).width;
  if (x2 - x1 > width + 20) {
    const begin = (x1 + x2 - width) / 2;
    line(ctx, x1, middle, begin - 4, middle, colours.soft);
    line(ctx, begin + width + 4, middle, x2 - 2, middle, colours.soft);
    ctx.fillStyle = colours.soft;
    ctx.fillText(text, begin, middle + 0.5);
  } else {
    line(ctx, x1, middle, x2 - 2, middle, colours.soft);
  }
  places.push({ ...placeOf(turn), x: x1, y, w: x2 - x1, h });
}

/** What a turn says when it is pointed at. */
function placeOf(turn) {
  const base = { at: turn.at, to: turn.to, turn };
  const when = `${clock(turn.at)} – ${clock(turn.to)}`;
  if (turn.who === "caller") return { ...base, title: "Caller", text: turn.text ?? "(not written down)", lines: [when] };
  if (turn.who === "keys") return { ...base, title: "Keyed in", text: turn.keys ?? several(turn.count, "key"), lines: [clock(turn.at)] };
  if (turn.who === "tool") {
    return { ...base, title: turn.name ?? "Tool", text: turn.arguments, lines: [joined(turn.result, turn.duration_ms !== undefined && span(turn.duration_ms), clock(turn.at))] };
  }
  if (turn.who === "barge") {
    return { ...base, title: "Barge-in", lines: [`${span(turn.heard_ms)} of the agent were heard, ${span(turn.dropped_ms)} thrown away`, clock(turn.at)] };
  }
  const { wait } = turn;
  const waited = wait && joined(`heard after ${span(wait.heard_ms)}`, wait.begun_ms !== undefined && `begun after ${span(wait.begun_ms)}`,
    `first audio after ${span(wait.first_audio_ms)}`);
  const cut = turn.interrupted && `heard ${span(turn.heard_ms)} of ${span(turn.received_ms)}`;
  return { ...base, title: "Agent", text: turn.text || (turn.said ? "" : "(no words)"), lines: [waited, cut, when].filter(Boolean) };
}

function drawActs(ctx) {
  const [y, h] = LANES.acts;
  for (const turn of turns) {
    const kind = turn.who === "tool" ? "tool" : turn.who === "keys" ? "key" : null;
    if (!kind) continue;
    const text = kind === "tool" ? turn.name ?? "tool" : turn.keys ?? `${turn.count} keys`;
    ctx.font = `400 11px ${FONT}`;
    const x = xOf(turn.at);
    // As wide as it took, and at least as its name if that is short.
    const width = Math.max(xOf(turn.to) - x, Math.min(ctx.measureText(text).width + 14, 110));
    if (x > timeline.clientWidth || x + width < gutter()) continue;
    box(ctx, x, y, width, h, 4, colours[`${kind}-tint`]);
    ctx.fillStyle = turn.result === "failed" || turn.result === "refused" ? colours.bad : colours[kind];
    ctx.fillRect(x, y, 2, h);
    label(ctx, text, x + 7, y + h / 2 + 0.5, width - 12, colours.ink);
    places.push({ ...placeOf(turn), x, y, w: width, h });
  }
}

/** Links and events: a tick for each, upwards what comes in and downwards what goes out. */
function drawEvents(ctx) {
  const [y, h] = LANES.realtime;
  for (const session of moments.sessions) {
    const to = session.to_ms ?? duration;
    if (!isVisible(session.at_ms, to)) continue;
    const up = session.up_ms ?? to;
    box(ctx, xOf(session.at_ms) + 0.5, y + 0.5, xOf(up) - xOf(session.at_ms), h - 1, 4, null, colours.line, [3, 3]);
    if (session.up_ms !== undefined) box(ctx, xOf(up), y, xOf(to) - xOf(up), h, 4, colours.shade);
    if (session.lost !== undefined) { ctx.fillStyle = colours.bad; ctx.fillRect(xOf(to) - 1, y, 2, h); }
    places.push({
      x: xOf(session.at_ms), y, w: xOf(to) - xOf(session.at_ms) + 2, h, at: session.at_ms, to, isGround: true, title: `Realtime link ${session.link}`,
      lines: [session.up_ms !== undefined && `up after ${span(session.up_ms - session.at_ms)}`, session.lost !== undefined && `lost: ${session.lost || "closed"}`,
        `${clock(session.at_ms)} – ${clock(to)}`].filter(Boolean),
    });
  }
  for (const { at_ms, to_ms } of moments.unlinked) {
    const to = to_ms ?? duration;
    if (isVisible(at_ms, to)) box(ctx, xOf(at_ms), LANES.ari[0], xOf(to) - xOf(at_ms), LANES.ari[1], 4, colours["bad-tint"]);
  }
  for (const event of events) if (isVisible(event.at, event.to)) drawEvent(ctx, event);
}

function drawEvent(ctx, event) {
  const lane = event.source === "tool" ? "bridge" : event.source;
  const [y, h] = LANES[lane];
  const isIn = event.kind.endsWith("_in");
  const middle = y + h / 2;
  const x = xOf(event.at);
  const colour = event.level === "error" ? colours.bad : event.level === "warn" ? colours.warn
    : { realtime: colours.agent, ari: colours.caller, tool: colours.tool, bridge: colours.bridge }[event.source];
  ctx.fillStyle = colour;
  if (lane === "bridge") {
    const size_ = event.level ? 4 : 2.5;
    ctx.globalAlpha = event.level ? 1 : 0.75;
    ctx.beginPath();
    ctx.arc(x, middle, size_, 0, 7);
    ctx.fill();
  } else {
    const top = isIn ? y + 3 : middle + 1;
    // What came in pieces, or was answered, is as long as that took.
    const width = Math.max(xOf(event.to) - x, 1.5);
    if (width > 1.5) { ctx.globalAlpha = 0.28; ctx.fillRect(x, top, width, h / 2 - 4); }
    ctx.globalAlpha = 0.85;
    ctx.fillRect(x - 0.75, top, 1.5, h / 2 - 4);
  }
  ctx.globalAlpha = 1;
  const top = lane === "bridge" ? y : isIn ? y : middle;
  places.push({ x: x - 3, y: top, w: Math.max(xOf(event.to) - x, 0) + 6, h: lane === "bridge" ? h : h / 2, at: event.at, to: event.to, event,
    title: event.name, lines: [joined(WHENCE[event.kind], clock(event.at), tookOf(event))] });
}

/** How long a request took, or of how many pieces something is. */
function tookOf(event) {
  if (event.pieces > 1) return joined(`${grouped(event.pieces)} pieces`, span(event.to - event.at), size(event.bytes));
  return event.to > event.at ? span(event.to - event.at) : "";
}

/** Vertical lines through it all: the answer, the end, barge-ins, and what is chosen. */
function drawMarks(ctx) {
  const bottom = HEIGHT - 8;
  const mark = (at, text, colour, dash, toLeft) => {
    if (at === null || !isVisible(at, at)) return;
    const x = xOf(at);
    line(ctx, x, 26, x, bottom, colour, dash);
    ctx.font = `600 11px ${FONT}`;
    const width = ctx.measureText(text).width;
    const isLeft = toLeft || x + width + 8 > timeline.clientWidth;
    ctx.fillStyle = colours.panel;
    ctx.fillRect(isLeft ? x - width - 6 : x + 2, 25, width + 4, 15);
    ctx.fillStyle = colour;
    ctx.fillText(text, isLeft ? x - width - 4 : x + 4, 33);
  };
  mark(moments.answered_ms, "answered", colours.soft, [2, 3]);
  mark(moments.ending_ms, "ends", colours.soft, [2, 3], true);
  for (const turn of turns) {
    if (turn.who !== "barge" || !isVisible(turn.at, turn.at)) continue;
    const x = xOf(turn.at);
    line(ctx, x, LANES.caller[0], x, LANES.said[0] + LANES.said[1], colours.bad);
    ctx.fillStyle = colours.bad;
    ctx.beginPath();
    ctx.moveTo(x - 5, LANES.caller[0] - 8);
    ctx.lineTo(x + 6, LANES.caller[0] - 8);
    ctx.lineTo(x + 0.5, LANES.caller[0] - 1);
    ctx.fill();
    places.push({ ...placeOf(turn), x: x - 6, y: LANES.caller[0] - 10, w: 12, h: 14 });
  }
  if (chosen && isVisible(chosen.at, chosen.to)) {
    const [x1, x2] = [Math.max(xOf(chosen.at), gutter()), xOf(chosen.to)];
    ctx.fillStyle = colours.shade;
    ctx.fillRect(x1, 22, x2 - x1, bottom - 22);
    line(ctx, x1, 22, x1, bottom, colours.select);
    if (x2 - x1 > 2) line(ctx, x2, 22, x2, bottom, colours.select);
  }
  if (pointer && pointer.x >= gutter()) line(ctx, pointer.x, 22, pointer.x, bottom, colours.soft, [1, 2]);
}

function drawLabels(ctx) {
  const isNarrow = gutter() === 0;
  if (!isNarrow) {
    ctx.fillStyle = colours.panel;
    ctx.fillRect(0, 0, gutter(), HEIGHT);
    line(ctx, gutter() - 1, 0, gutter() - 1, HEIGHT, colours.line);
  }
  for (const [lane, text] of Object.entries(LABELS)) {
    const [y, h] = LANES[lane];
    const isVoice = lane === "caller" || lane === "agent";
    const colour = isVoice ? colours[lane] : colours.soft;
    if (!isNarrow) {
      label(ctx, text, 14, y + h / 2, gutter() - 20, colour, isVoice ? 600 : 400, 12);
      continue;
    }
    // Without a margin a label stands on what is drawn, at a place of its own.
    ctx.font = `600 10px ${FONT}`;
    ctx.globalAlpha = 0.85;
    box(ctx, 3, y - 3, ctx.measureText(text).width + 8, 14, 3, colours.panel);
    ctx.globalAlpha = 1;
    label(ctx, text, 7, y + 4.5, 90, colour, 600, 10);
  }
}

function drawOverview() {
  const height = 34;
  const ctx = brush(overview, height);
  const [left, width] = [gutter(), plotWidth()];
  const whole = { from: 0, to: duration };
  drawWave(ctx, waves.caller, 11, 9, colours.caller, whole, left, Math.ceil(width), loudest);
  drawWave(ctx, waves.agent, 24, 9, colours.agent, whole, left, Math.ceil(width), loudest);
  const x = (ms) => left + (ms / duration) * width;
  if (view.to - view.from < duration * 0.999) {
    ctx.globalAlpha = 0.72;
    ctx.fillStyle = colours.sunk;
    ctx.fillRect(left, 0, x(view.from) - left, height);
    ctx.fillRect(x(view.to), 0, left + width - x(view.to), height);
    ctx.globalAlpha = 1;
    box(ctx, x(view.from), 1, Math.max(x(view.to) - x(view.from), 4), height - 2, 3, null, colours.select);
  }
  if (left) label(ctx, "Whole call", 14, height / 2, left - 20, colours.soft, 400, 12);
}

let isDue = false;
/** Draws everything when the screen is next drawn, once, however often it is asked for. */
function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(drawNow);
}

function drawNow() {
  isDue = false;
  places = [];
  const ctx = brush(timeline, HEIGHT);
  for (const draw of [drawRuler, drawGround, drawVoices, drawTurns, drawActs, drawEvents, drawMarks, drawLabels]) draw(ctx);
  drawOverview();
  $("range").textContent = `${clock(view.from, 2)} – ${clock(view.to, 2)} · ${span(view.to - view.from)}`;
}

/** Shows this window, or as much of it as there is. */
function show(from, to) {
  const width = Math.min(Math.max(to - from, SHORTEST_MS), duration);
  view.from = Math.min(Math.max(from, 0), duration - width);
  view.to = view.from + width;
  redraw();
  viewChanged();
}

/** Zooms so that what is at this time stays where it is. */
function zoom(factor, at = (view.from + view.to) / 2) {
  const width = Math.min(Math.max((view.to - view.from) * factor, SHORTEST_MS), duration);
  const share = (at - view.from) / (view.to - view.from);
  show(at - share * width, at - share * width + width);
}

const pan = (share) => show(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));

/** Moves the window to something, and closer if it is hardly to be seen. */
function reveal(at, to) {
  const width = view.to - view.from;
  const wanted = Math.min(width, Math.max((to - at) * 4, 8_000));
  const isThere = at >= view.from && to <= view.to && (to - at) * 40 > width;
  if (isThere) return redraw();
  show((at + to - wanted) / 2, (at + to + wanted) / 2);
}
