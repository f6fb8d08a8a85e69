// The pole's page: sends presses and faults, shows levels.

import { keep, make, say } from "/console/lists.js";
import { socketUrl } from "/console/hub.js";
import { Panel } from "./panel.js";
import { StreetSound } from "./sound.js";

const PICTURE_EVERY_MS = 200;
const FLASH_WITHIN_MS = 1200;
const LOG_LINES = 300;
const UUID = /\b([0-9a-f]{6})[0-9a-f]{2}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g;
const $ = (id) => document.getElementById(id);
const LAMPS = ["yellow", "green", "locator", "sounder"];
const WORDS = {
  yellow: ["off", "on: the control room has it", "flashing: calling"], green: ["off", "on: answered", "flashing"],
  locator: ["dark", "lit: armed and heard", "flashing"], sounder: ["quiet", "sounding", "sounding"],
};

let socket = null;
let retry_ms = 300;
let faults = [];
const changes_ms = Object.fromEntries(LAMPS.map((name) => [name, []]));
const lit = {};

// --- the line to the server -------------------------------------------------------------------------------------------

function connect() {
  socket = new WebSocket(socketUrl("/api/ws"));
  socket.onopen = () => { retry_ms = 300; connection(true); };
  socket.onclose = () => {
    connection(false);
    held.clear();
    setTimeout(connect, retry_ms);
    retry_ms = Math.min(2 * retry_ms, 5000);
  };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "outputs") showOutputs(message);
    else if (message.type === "state") showState(message);
    else if (message.type === "log") showLog(message.lines);
    else if (message.type === "panel") panel.show(message);
    else if (message.type === "fault_set") showFaultSet(message);
  };
}

function connection(up) {
  say($("connection"), up ? "Connected" : "The simulator has gone");
  $("connection").className = `status ${up ? "good" : "bad"}`;
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

// --- the button -------------------------------------------------------------------------------------------------------

const held = new Set();

/** The contact is closed while anything holds it: a pointer, a key, somebody who leans on it. */
function hold(what, down) {
  const before = held.size > 0;
  if (down) held.add(what);
  else held.delete(what);
  const after = held.size > 0;
  if (before !== after) send({ type: after ? "press" : "release" });
  $("lean").setAttribute("aria-pressed", String(held.has("lean")));
}

$("button").addEventListener("pointerdown", (event) => {
  $("button").setPointerCapture(event.pointerId);
  hold("pointer", true);
});
for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) $("button").addEventListener(name, () => hold("pointer", false));
$("button").addEventListener("contextmenu", (event) => event.preventDefault());
$("button").addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && !event.repeat && hold(event.key, true));
$("button").addEventListener("keyup", (event) => [" ", "Enter"].includes(event.key) && hold(event.key, false));
$("button").addEventListener("blur", () => ["pointer", " ", "Enter"].forEach((each) => hold(each, false)));
const typing = (target) => target instanceof Element && target.closest("input:not([type=checkbox]), textarea") !== null;
addEventListener("keydown", (event) => event.key.toLowerCase() === "b" && !typing(event.target) && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey && hold("b", true));
addEventListener("keyup", (event) => event.key.toLowerCase() === "b" && hold("b", false));
addEventListener("blur", () => hold("b", false));
$("lean").addEventListener("click", () => hold("lean", !held.has("lean")));
$("tap").addEventListener("click", () => {
  hold("tap", true);
  setTimeout(() => hold("tap", false), 40);
});

// --- what is shown ----------------------------------------------------------------------------------------------------

function showOutputs(outputs) {
  const now_ms = performance.now();
  for (const name of LAMPS) {
    if (lit[name] !== outputs[name] && lit[name] !== undefined) changes_ms[name].push(now_ms);
    lit[name] = outputs[name];
    $("drawing").classList.toggle(`${name}-on`, outputs[name]);
  }
  $("drawing").classList.toggle("pressed", outputs.pressed);
  sound.sounder(outputs.sounder);
  lampWords();
}

/** A lamp that has changed twice within FLASH_WITHIN_MS is flashing; that is said once, not at every flash. */
function lampWords() {
  const since_ms = performance.now() - FLASH_WITHIN_MS;
  for (const name of LAMPS) {
    changes_ms[name] = changes_ms[name].filter((each) => each > since_ms);
    const flashing = changes_ms[name].length >= 2;
    say($(`${name}-words`), WORDS[name][flashing ? 2 : lit[name] ? 1 : 0]);
  }
}

function showState(state) {
  say($("site"), state.site);
  document.title = `${state.site} · ${state.unit}`;
  keep($("processes"), Object.entries(state.processes).map(([name, runs]) => ({ name, runs })), (each) => each.name,
    ({ name, runs }) => make("span", { class: `process${runs ? "" : " gone"}`, title: runs ? "running" : "not running" }, runs ? name : `${name} down`));
  say($("horn"), state.horn ? `“${state.horn}”` : lit.green ? "The operator may speak" : "Nothing");
  $("horn").classList.toggle("silent", !state.horn);
  $("drawing").classList.toggle("horn-on", Boolean(state.horn));
  $("sound").hidden = !state.sound;
  $("messages-card").hidden = state.messages.length === 0;
  keep($("messages"), state.messages.map((each, index) => ({ ...each, index })), (each) => `${each.index}`,
    ({ number, text }) => make("li", {}, make("b", {}, `to ${number}`), make("p", { class: "sms" }, text)));
  faults = state.faults;
  keep($("faults"), faults, (each) => each.name, faultRow);
}

function faultRow(fault) {
  const on = fault.state !== "off";
  const put = (value) => () => send({ type: "fault", name: fault.name, value });
  const positions = fault.momentary || fault.choices.length === 0 ? fault.choices : [["off", "working"], ...fault.choices];
  const buttons = positions.map(([value, words]) => make("button",
    fault.momentary ? { type: "button", "data-focus": value, onclick: put(value) }
      : { type: "button", "data-focus": value, "aria-pressed": String(fault.state === value), onclick: put(value) }, words));
  return make("li", { class: `fault${on ? " on" : ""}` },
    make("div", { class: "head" }, make("b", {}, fault.label), ...(on ? [make("span", { class: "badge wait" }, "broken")] : [])),
    ...(buttons.length ? [make("div", { class: "switch", role: "group", "aria-label": fault.label }, ...buttons)] : []),
    make("p", { class: "hint" }, fault.expect));
}

function showFaultSet({ name, value, ok, reason }) {
  $("fault-words").classList.toggle("bad", !ok);
  const label = faults.find((each) => each.name === name)?.label ?? name;
  const words = faults.find((each) => each.name === name)?.choices.find(([choice]) => choice === value)?.[1] ?? value;
  say($("fault-words"), `${label}: ${!ok ? reason : value === "off" ? "working again" : words}`);
}

function showLog(lines) {
  const log = $("log");
  for (const line of lines) {
    const at = line.utc_us ? new Date(line.utc_us / 1000) : null;
    const time = at ? `${at.toLocaleTimeString([], { hourCycle: "h23" })}.${String(at.getMilliseconds()).padStart(3, "0")}` : "";
    log.append(make("li", { class: line.level }, make("span", {}, time), make("span", {}, line.source), make("p", { title: line.text }, line.text.replaceAll(UUID, "$1"))));
  }
  while (log.childElementCount > LOG_LINES) log.firstElementChild.remove();
  if ($("follow").checked) log.scrollTop = log.scrollHeight;
}

// --- picture ----------------------------------------------------------------------------------------------------------

let shown_url = null;

async function picture() {
  const began_ms = performance.now();
  if (!document.hidden) {
    try {
      const answer = await fetch("/picture.jpg?width=640", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const url = URL.createObjectURL(await answer.blob());
      $("picture").src = url;
      await $("picture").decode();
      if (shown_url) URL.revokeObjectURL(shown_url);
      shown_url = url;
      $("picture-wait").hidden = true;
    } catch {
      $("picture-wait").hidden = false;
      say($("picture-wait"), "No picture");
    }
  }
  setTimeout(picture, Math.max(50, PICTURE_EVERY_MS - (performance.now() - began_ms)));
}

// --- sound ------------------------------------------------------------------------------------------------------------

const panel = new Panel(send);
const sound = new StreetSound((words) => say($("sound-words"), words), (level) => { $("horn-level").value = level; });
for (const which of ["listen", "speak"]) {
  $(which).addEventListener("click", async () => {
    const on = await sound[which](!sound.is[which]);
    $(which).setAttribute("aria-pressed", String(on));
  });
}

connect();
picture();
setInterval(lampWords, 300);
window.pole_page = { sound };
