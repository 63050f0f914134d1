// What a hand does, and what the page says then: each step notes what it has found under a name of its own.
const $ = (id) => document.getElementById(id);
const line = $("timeline");
const note = (name, value) => { document.documentElement.dataset[name] = value; };
const frame = () => new Promise((done) => setTimeout(done, 50));
const range = () => $("range").textContent.split(" · ")[0];
const at = (kind, type, x, y, more) => {
  const { left, top } = line.getBoundingClientRect();
  line.dispatchEvent(new kind(type, { clientX: left + x, clientY: top + y, bubbles: true, cancelable: true, pointerId: 1, ...more }));
};
const press = (key) => line.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const find = (words) => { $("find").value = words; $("find").dispatchEvent(new Event("input")); };
// A pointer that is made up cannot be captured.
line.setPointerCapture = () => {};

(async () => {
  await frame();
  note("whole", range());
  at(WheelEvent, "wheel", 92, 100, { deltaY: -700 });
  await frame();
  note("wheel", range());
  at(PointerEvent, "pointerdown", 600, 100);
  for (const x of [500, 400]) at(PointerEvent, "pointermove", x, 100);
  at(PointerEvent, "pointerup", 400, 100);
  await frame();
  note("drag", range());
  press("0");
  await frame();
  note("again", range());
  press("+");
  press("ArrowRight");
  await frame();
  note("keys", range());
  document.querySelectorAll(".turn.agent")[1].click();
  await frame();
  note("turn", document.querySelector(".turn[aria-current]").textContent);
  note("near", range());
  at(PointerEvent, "pointermove", 640, 252);
  note("tip", $("tip").hidden ? "" : $("tip").textContent);
  document.querySelector("#filters button").click();
  note("without", $("event-count").textContent);
  document.querySelector("#filters button").click();
  find("externalMedia");
  note("found", document.querySelector(".row .name").textContent);
  document.querySelector(".row").click();
  await frame();
  note("detail", $("detail-text").textContent.slice(0, 60));
  find("");
  document.querySelectorAll(".turn.agent")[2].click();
  await frame();
  at(PointerEvent, "pointermove", 640, 252);
  await frame();
  note("hand", "done");
})();
