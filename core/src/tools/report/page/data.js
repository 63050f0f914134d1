// What the page was given, and what is made of it before anything is drawn.

window.addEventListener("error", (event) => { document.documentElement.dataset.error = event.message; });

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { record, facts, moments } = data;
const begun = Date.parse(record.begun_utc);
// A call that was over before it began still has an axis.
const duration = Math.max(data.duration_ms, 100);

const isOver = data.ended !== null;
const SOURCES = { realtime_in: "realtime", realtime_out: "realtime", ari_in: "ari", ari_out: "ari", tool: "tool", bridge: "bridge" };
const WHENCE = {
  realtime_in: "← Realtime", realtime_out: "→ Realtime", ari_in: "← Asterisk", ari_out: "→ Asterisk", tool: "→ Tool", bridge: "Bridge",
};

/** The waveform: two bytes for each stretch of time, the roots of the shares of full scale. */
function waveOf({ stretch_ms, peaks }) {
  const text = atob(peaks);
  const codes = new Int8Array(text.length);
  for (let n = 0; n < text.length; n++) codes[n] = (text.charCodeAt(n) << 24) >> 24;
  let loudest = 0;
  for (const code of codes) loudest = Math.max(loudest, Math.abs(code));
  return { stretch: stretch_ms, codes, count: codes.length / 2, loudest };
}
const waves = { caller: waveOf(data.caller), agent: waveOf(data.agent) };

/** Sample of a code as a share of full scale. */
const level = (code) => Math.sign(code) * (code / 127) ** 2;
// Both voices on one scale, so that the eye compares them rightly; a whisper of a call is not blown up to a shout.
const loudest = Math.max(level(waves.caller.loudest), level(waves.agent.loudest), 0.05);

/** When the caller spoke, and the words if they were written down. A turn ends when the server heard its end. */
function spoken() {
  const stretches = moments.speech.map(({ at_ms, to_ms }) => ({ who: "caller", at: at_ms, to: to_ms ?? duration, text: null }));
  for (const turn of record.turns.filter((turn) => turn.who === "caller")) {
    const fits = stretches.filter((speech) => speech.text === null && Math.floor(speech.at) <= turn.at_ms);
    const own = fits.find((speech) => Math.abs(speech.to - turn.at_ms) <= 2) ?? fits.at(-1);
    if (own) own.text = turn.text ?? "";
    else stretches.push({ who: "caller", at: turn.at_ms, to: turn.at_ms, text: turn.text ?? "" });
  }
  return stretches;
}

/** All that happened in the conversation, in order of time, as the axis has it. */
function conversation() {
  const turns = spoken();
  for (const turn of record.turns) {
    const at = turn.at_ms;
    if (turn.who === "agent") {
      const wait = turn.latency ? { from: at - turn.latency.heard_ms, ...turn.latency } : null;
      turns.push({ ...turn, at, to: at + turn.heard_ms, unheard: turn.received_ms - turn.heard_ms, wait });
    } else if (turn.who === "keys") {
      turns.push({ ...turn, at, to: at });
    } else if (turn.who === "tool") {
      turns.push({ ...turn, at, to: at + (turn.duration_ms ?? 0) });
    }
  }
  for (const barge of moments.barge_ins) turns.push({ who: "barge", at: barge.at_ms, to: barge.at_ms, ...barge });
  turns.sort((a, b) => a.at - b.at);
  turns.forEach((turn, n) => { turn.n = n; turn.key = `turn ${n}`; });
  return turns;
}
const turns = conversation();

const events = data.events.list.map((event, n) => ({
  ...event, n, key: `event ${n}`, at: event.at_ms, to: event.to_ms ?? event.at_ms, source: SOURCES[event.kind],
}));

/** The model, as the server itself has named it. */
function model() {
  for (const event of events) {
    if (event.name !== "session.created" && event.name !== "session.updated") continue;
    const found = /"model"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(event.detail ?? "");
    if (found) return JSON.parse(`"${found[1]}"`);
  }
  return null;
}
