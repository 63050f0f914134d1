// Numbers and times as people read them, and the head of the page. What others have said enters the page here and in
// the lists, as text and never as markup.

const two = (number) => String(number).padStart(2, "0");

/** A point on the axis: `1:02:03.456`, with so many digits behind the point. */
function clock(ms, digits = 3) {
  const scale = 10 ** digits;
  const total = Math.max(0, Math.round((ms / 1000) * scale));
  const whole = Math.floor(total / scale);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const fraction = digits > 0 ? `.${String(total % scale).padStart(digits, "0")}` : "";
  return (h > 0 ? `${h}:${two(m)}` : `${m}`) + `:${two(s)}${fraction}`;
}

/** How long something took. */
function span(ms) {
  if (ms < 0.95) return `${ms.toFixed(1)} ms`;
  if (ms < 9_950) return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : clock(ms, 0);
}

const utc = (ms) => (Number.isNaN(begun) ? "" : `${new Date(begun + ms).toISOString().slice(11, 23)} UTC`);
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
/** A number that need not be exact, in few letters. */
const rough = (number) => (number < 1e5 ? grouped(number) : number < 1e6 ? `${Math.round(number / 1e3)} k` : `${(number / 1e6).toFixed(1)} M`);
const several = (number, one, more) => `${grouped(number)} ${number === 1 ? one : more ?? `${one}s`}`;
const size = (bytes) => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / 1048576).toFixed(1)} MB`);

/** An element with text in it; `parts` are texts or other elements. */
function element(name, className, ...parts) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...parts.filter((part) => part !== null && part !== undefined && part !== ""));
  return made;
}

function fact(name, value, more, isBad) {
  const lines = [element("dt", "", name), element("dd", isBad ? "bad" : "", value)];
  if (more) lines.push(element("dd", "", more));
  $("facts").append(element("div", "", ...lines));
}

const joined = (...parts) => parts.filter(Boolean).join(" · ");

function notice(text, isMild, ...more) {
  $("notices").append(element("p", `notice${isMild ? " mild" : ""}`, text, ...more));
}

function notices() {
  const { capture, difference } = data.replay;
  if (capture === "cut") notice("The capture was full before the call was over: what came later is missing.", true);
  if (capture === "crashed") notice("The bridge panicked here: the last input of the capture is what it did not survive.");
  if (capture === "torn") notice("The capture breaks off, and the call may have gone on.", true);
  if (difference) {
    const where = difference.from_step === difference.to_step ? `step ${difference.to_step}`
      : `one of the steps ${difference.from_step} to ${difference.to_step}`;
    const words = difference.recorded === null ? [] : [element("pre", "",
      `recorded: ${difference.recorded || "nothing"}\nnow: ${difference.replayed || "nothing"}`)];
    notice(`From ${where} on, at ${clock(difference.at_ms)}, this is what the bridge would do now and not what it did.`, false, ...words);
  }
  if (facts.is_scrubbed) notice("What people said and who they are was taken out of this capture.", true);
  if (facts.blanked_until_ms !== null) notice(`There was no room for the audio before ${clock(facts.blanked_until_ms)}.`, true);
  if (data.events.left_out > 0) notice(`${several(data.events.left_out, "event")} more than are listed here.`, true);
  if (record.truncated) notice("Not all that was said is here: it was too much.", true);
}

function numbers() {
  const { latency, media, sessions, usage, counts } = record;
  const ready = (ms) => (ms === null ? null : span(ms));
  fact("Duration", clock(data.duration_ms, 1), record.outcome.answered ? null : "not answered");
  fact("Answered after", ready(moments.answered_ms) ?? "never",
    joined(moments.media_ready_ms !== null && `media ${span(moments.media_ready_ms)}`,
      moments.session_ready_ms !== null && `session ${span(moments.session_ready_ms)}`), moments.answered_ms === null);
  fact("Wait for an answer", latency ? span(latency.median_ms) : "–",
    latency ? `median of ${latency.count}, at most ${span(latency.max_ms)}` : "nothing was answered");
  fact("Turns", `${counts.caller_turns} / ${counts.agent_turns}`,
    joined("caller / agent", record.barge_ins > 0 && several(record.barge_ins, "barge-in")));
  const dropped = Object.entries(facts.dropped).map(([why, count]) => `${grouped(count)} ${why.replace("_", " ")}`);
  const share = (100 * media.lost_packets) / Math.max(1, facts.packets_in + media.lost_packets);
  fact("Packets lost", media.lost_packets > 0 ? `${share.toFixed(share < 1 ? 2 : 1)} %` : "none",
    joined(`${grouped(media.lost_packets)} of ${grouped(facts.packets_in + media.lost_packets)}`, ...dropped), media.lost_packets > 0);
  fact("Sessions", String(sessions.count), joined(sessions.reconnects > 0 && several(sessions.reconnects, "reconnect"),
    sessions.renewals > 0 && several(sessions.renewals, "renewal"),
    sessions.longest_gap_ms > 0 && `longest gap ${span(sessions.longest_gap_ms)}`) || "no reconnects");
  const [into, out] = [usage.text_in + usage.text_cached + usage.audio_in + usage.audio_cached, usage.text_out + usage.audio_out];
  fact("Tokens", `${rough(into)} / ${rough(out)}`, joined("in / out", record.cost_usd !== undefined && `${record.cost_usd} US$`));
  fact("Replay", data.replay.difference ? "differs" : "the same", `${grouped(data.replay.steps)} steps`,
    data.replay.difference !== null);
}

/** The head of the page. */
function writeHead() {
  const title = `Call from ${record.from ?? "a withheld number"}${record.to ? ` to ${record.to}` : ""}`;
  $("title").textContent = title;
  document.title = `${title}, ${record.begun_utc.slice(0, 16).replace("T", " ")}`;
  const badge = $("outcome");
  const good = ["caller_hung_up", "agent_hung_up", "transferred", "caller_idle", "max_duration", "shutdown"];
  badge.textContent = data.ended ?? (data.replay.capture === "crashed" ? "the bridge panicked" : "the end is not in the capture");
  badge.className = `badge ${isOver ? (good.includes(record.outcome.reason) ? "good" : "bad") : data.replay.capture === "crashed" ? "bad" : ""}`;
  badge.hidden = false;
  const versions = facts.program === facts.reporter ? `version ${facts.program}` : `captured by version ${facts.program}, shown by ${facts.reporter}`;
  $("subtitle").textContent = joined(`${record.begun_utc.replace("T", " ").replace("Z", "")} UTC`, record.call_id, facts.format,
    model(), facts.voice && `voice ${facts.voice}`, facts.dialect !== "openai" && `dialect ${facts.dialect}`, facts.model_format,
    `barge-in ${facts.barge_in}`, record.adopted && "taken on again", versions);
  notices();
  numbers();
}
