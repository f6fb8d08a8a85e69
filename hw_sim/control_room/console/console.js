// The operator's console. The server pushes whole states; this page shows the newest and sends commands.
//
// This file only puts the parts together; each part says at its top what it is for. docs/console.md is for who copies it.

import { Cameras } from "./cameras.js";
import { Closing } from "./closing.js";
import { DomePad } from "./dome.js";
import { Gauges } from "./gauges.js";
import { Keys } from "./help.js";
import { Hub } from "./hub.js";
import { Line } from "./line.js";
import { callRow, keep, make, pastRow, say, unitRow } from "./lists.js";
import { More } from "./more.js";
import { Orders } from "./orders.js";
import { Picture } from "./picture.js";
import { turnByPicture } from "./picture_dome.js";
import { Ring } from "./ring.js";
import { RINGING, showCall, showTimes } from "./show_call.js";
import { Talk } from "./talk.js";
import { Conversation } from "./text.js";
import { Warnings } from "./warnings.js";
import { watchCall, Watches } from "./watch.js";
import { clockTime, dayAndTime, kindWords } from "./words.js";

const TICK_MS = 200;
const $ = (id) => document.getElementById(id);

const context = new AudioContext();
const ring = new Ring(context);
let state = { units: [], incidents: [], events: [], operators: [], broker: false };
let server = false;
let chosen = null;
let line = null;
let microphone = "unknown";

const hub = new Hub("/api/ws", (fresh) => { state = fresh; stamp(); show(); }, (up) => { server = up; sayHere.said = ""; show(); });
const orders = new Orders(hub, current);
const page = {
  call: current, line: () => line, unit: () => unitOf(current()), server: () => server, context, show: () => show(), choose,
  order: (fields, done) => orders.send(fields, done), to: (unit, fields, done) => orders.to(unit, fields, done),
  notice: (words) => orders.notice(words), by: () => orders.by,
};
const talk = new Talk(page);
const picture = new Picture(page.line, cameraWorks);
const conversation = new Conversation(page);
const cameras = new Cameras(page);
const warnings = new Warnings(page.order);
const more = new More(page);
const watches = new Watches(page);
const closing = new Closing(page);
new Gauges(context, page.line);
const noDialog = () => document.querySelector("dialog[open]") === null;
const pad = new DomePad($("pad"), $("stick"), document.querySelectorAll(".way, .zoom button"), page.order, () => Boolean(current()) && noDialog());
turnByPicture($("stage"), pad, () => Boolean(current()) && cameras.domeIsSeen);

// --- what is shown ----------------------------------------------------------------------------------------------------

/** Turn the server's ages into instants of this page's clock, so that timers run between states. */
function stamp() {
  const now_ms = performance.now();
  const known = new Map((stamp.known ?? []).map((each) => [each.incident_id, each]));
  for (const each of state.incidents) {
    const fresh_ms = Math.round(now_ms - each.duration_s * 1000);
    const old_ms = known.get(each.incident_id)?.since_ms;
    each.since_ms = old_ms !== undefined && Math.abs(old_ms - fresh_ms) < 1500 ? old_ms : fresh_ms;
  }
  stamp.known = state.incidents;
}

const openOnes = () => state.incidents.filter((each) => each.open);
const ringingOnes = () => openOnes().filter((each) => RINGING.includes(each.stage));
const watched = () => state.units.filter((each) => each.watch && !openOnes().some((open) => open.unit === each.unit)).map(watchCall);
const unitOf = (call) => state.units.find((each) => each.unit === call?.unit) ?? null;

function current() {
  return openOnes().find((each) => each.incident_id === chosen) ?? watched().find((each) => each.incident_id === chosen) ?? null;
}

/** Somebody who calls goes before a street that is only watched. */
function pick() {
  const ringing = ringingOnes()[0];
  const coming = chosen?.startsWith("watch-") && performance.now() < pick.patient_until_ms; // its state is on the way
  if (!current() && (ringing || !coming)) chosen = (ringing ?? openOnes()[0])?.incident_id ?? null;
  else if (current()?.watch && ringing) chosen = ringing.incident_id;
}

function show() {
  pick();
  const call = current();
  follow(call);
  document.body.classList.toggle("idle", !call);
  for (const id of ["call", "tools"]) $(id).hidden = !call;
  $("none").hidden = Boolean(call);
  if (call) showChosen(call);
  else showNone();
  showLists();
  showConnection();
  ring.set(ringingOnes().length > 0);
  $("sound-on").hidden = ring.allowed && microphone !== "prompt";
  announce();
  sayHere();
  tick();
}

function showChosen(call) {
  const unit = unitOf(call);
  const here = Boolean(unit?.online) && server;
  showCall(call, unit, state.operators.filter((each) => each.name !== orders.by));
  talk.show(call);
  more.show(call, here, state.events.filter((each) => each.incident_id === call.incident_id));
  watches.show(call);
  cameras.show();
  const told = state.events.filter((each) => each.name === "text" && each.incident_id === call.incident_id);
  conversation.of(call.incident_id, told.map(({ data, utc_us }) => ({ ...data, utc_us })));
  conversation.show();
  warnings.show(unit, here);
  $("text").hidden = Boolean(call.watch);
  $("close").disabled = !here;
  keep($("presets"), (unit?.presets ?? []).map((preset) => ({ preset })), (each) => each.preset, presetButton);
}

function presetButton({ preset }) {
  const words = preset === 1 ? "1 Panel" : String(preset);
  return make("button", { type: "button", "data-focus": "preset", "aria-label": `Preset ${words}`, onclick: () => orders.send({ cmd: "dome_preset", preset }) }, words);
}

/** Say a new call, and each new stage of the chosen one, once to whoever does not look at the screen. */
function announce() {
  const fresh = ringingOnes().filter((each) => !announce.said.has(each.incident_id));
  for (const each of fresh) announce.said.add(each.incident_id);
  if (fresh.length) say($("announce"), `Incoming call: ${kindWords(fresh[0])}, ${fresh[0].site?.name ?? fresh[0].unit}`);
  const call = current();
  const words = call ? `${$("call-site").textContent}: ${$("call-stage").textContent}` : "No calls";
  say($("stage-words"), words);
}
announce.said = new Set();

/** The other operators are told who is here, and at which unit. */
function sayHere() {
  const here = { type: "here", name: orders.by, unit: current()?.unit ?? "" };
  if (!server || sayHere.said === JSON.stringify(here)) return;
  sayHere.said = JSON.stringify(here);
  hub.say(here);
}

/** Why nothing reaches this page now, or "". */
function cutOff() {
  return !server ? "This page has lost its server" : state.broker ? "" : "The message broker is down";
}

function showConnection() {
  say($("connection"), cutOff() || "Connected");
  $("connection").className = `status ${cutOff() ? "bad" : "good"}`;
}

function showNone() {
  const heard = state.units.filter((each) => each.online && each.armed && each.silent_s < 90).length;
  const all = state.units.length;
  say($("none-more"), cutOff() ? `${cutOff()}: no call can reach this page.` : all === 0 ? "No unit has reported yet."
    : heard === all ? `${all === 1 ? "The unit is" : `All ${all} units are`} armed and heard.`
      : `${heard} of ${all} units ${heard === 1 ? "is" : "are"} armed and heard.`);
}

function showLists() {
  const calls = [...openOnes(), ...watched()];
  $("calls-card").hidden = calls.length === 0;
  say($("calls-count"), calls.length > 1 ? String(calls.length) : "");
  const row = ({ incident_id, stage, kind, origin, site, unit, since_ms, watch }) => ({ incident_id, stage, kind, origin, site, unit, since_ms, by: watch?.by, current: incident_id === chosen });
  keep($("calls"), calls.map(row), (each) => each.incident_id, (each) => callRow(each, each.current, choose));
  say($("units-count"), state.units.length > 1 ? String(state.units.length) : "");
  const units = state.units.map((each) => ({ ...each, silent_s: each.silent_s < 90 ? 0 : 90, facts: null, watch: Boolean(each.watch), calls: openOnes().some((open) => open.unit === each.unit), isolation: each.isolation && { ...each.isolation, ends_in_s: Math.round(each.isolation.ends_in_s / 60) * 60 }, signal: signalWords(each), cut_off: Boolean(cutOff()) }));
  keep($("units"), units, (each) => each.unit, (each) => unitRow(each, page.to, (unit) => watches.ask(unit)));
  const past = state.incidents.filter((each) => !each.open).reverse().slice(0, 50);
  $("past-none").hidden = past.length > 0;
  say($("past-count"), past.length ? String(past.length) : "");
  keep($("past"), past.map((each) => ({ ...each, since_ms: 0 })), (each) => each.incident_id, (each) => pastRow(each, play));
}

function signalWords(unit) {
  const dbm = unit.facts?.field?.["modem.signal_dbm"];
  if (typeof dbm !== "number") return "";
  const words = dbm >= -80 ? "very good" : dbm >= -90 ? "good" : dbm >= -100 ? "fair" : dbm >= -110 ? "weak" : "very weak"; // as `unitd status`
  return `${words} signal`;
}

function tick() {
  const call = current();
  const now_ms = performance.now();
  if (call) showTimes(call);
  for (const each of document.querySelectorAll("[data-since]")) say(each, clockTime((now_ms - Number(each.dataset.since)) / 1000));
  const ringing = ringingOnes()[0];
  const flash = ringing && Math.floor(now_ms / 1000) % 2 === 0;
  document.title = flash ? `● CALL: ${ringing.site?.name ?? "Help point"}` : call ? `${call.site?.name ?? call.unit} · Control room` : "Control room";
}

// --- the live line ----------------------------------------------------------------------------------------------------

function follow(call) {
  if (line && (!call || line.incident_id !== call.incident_id)) {
    line.close();
    line = null;
    picture.forget();
  }
  if (call && !line) {
    const elements = { picture: $("picture"), corner: $("corner"), voice: $("caller") };
    line = new Line(call.unit, elements, context, {
      change: () => show(), text: (letters, by) => conversation.take(letters, by), still: (still) => picture.still(still), ending: () => picture.keepLast(),
    });
    line.incident_id = call.incident_id;
  }
}

function cameraWorks() {
  return !(unitOf(current())?.faults ?? []).some((each) => each.code.startsWith("camera_"));
}

// --- what the operator does -------------------------------------------------------------------------------------------

function choose(incident_id) {
  chosen = incident_id;
  pick.patient_until_ms = performance.now() + 5000;
  show();
  $("call").focus();
}

/** Before the first call: let the ring tone sound, and ask for the microphone, so that Answer need not wait for it. */
async function soundOn() {
  await context.resume();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    for (const track of stream.getTracks()) track.stop();
  } catch {
    orders.notice("Without a microphone you will hear callers but cannot speak.");
  }
  await lookAtMicrophone();
}

async function lookAtMicrophone() {
  try {
    const permission = await navigator.permissions.query({ name: "microphone" });
    microphone = permission.state;
    permission.onchange = lookAtMicrophone;
  } catch {
    microphone = "unknown"; // this browser does not tell
  }
  show();
}

function play(incident) {
  say($("clip-title"), incident.site?.name ?? incident.unit);
  say($("clip-sub"), `${dayAndTime(incident.received_utc_us)} · SHA-256 ${incident.clip.sha256.slice(0, 16)}…`);
  $("clip").src = incident.clip.url;
  $("clip-download").href = `${incident.clip.url}?download`;
  $("clip-dialog").showModal();
  $("clip").play().catch(() => {});
}

$("clip-close").addEventListener("click", () => $("clip-dialog").close());
$("clip-dialog").addEventListener("close", () => { $("clip").pause(); $("clip").removeAttribute("src"); $("clip").load(); });
$("sound-on").addEventListener("click", soundOn);
$("operator").addEventListener("change", sayHere);
addEventListener("pointerdown", () => context.state === "suspended" && context.resume().then(show), { capture: true });
context.addEventListener("statechange", show);

/** With push to talk Space talks wherever the focus is, but on what is itself held or typed into; Enter presses buttons. */
const spaceIsTaken = (event) => Boolean(event.target.closest?.(".way, .zoom, #hold, input, textarea, select, summary, a, video[controls]"));
const inCall = (run) => () => (current() && !current().watch ? run() : false);
new Keys([
  { key: /^a$/i, shown: "A", words: "Accept", run: inCall(() => talk.accept()) },
  { key: /^t$/i, shown: "T", words: "Answer: talk and listen", run: () => { talk.answer(); } },
  { key: /^ $/, shown: "Space", words: "Talk while held (push to talk)", run: (event) => (talk.wantsSpace && !spaceIsTaken(event) ? talk.hold(true) : false) },
  { key: /^p$/i, shown: "P", words: "Push to talk, or open all the time", run: () => talk.pushToTalk() },
  { key: /^m$/i, shown: "M", words: "Mute your microphone", run: () => talk.mute() },
  { key: /^w$/i, shown: "W", words: "Write to the caller", run: inCall(() => $("text-line").focus()) },
  { key: /^v$/i, shown: "V", words: "Next camera", run: () => cameras.next() },
  { key: /^i$/i, shown: "I", words: "Second camera in the corner", run: () => cameras.toggleCorner() },
  { key: /^s$/i, shown: "S", words: "Take a still", run: inCall(() => { more.snapshot(); }) },
  { key: /^e$/i, shown: "E", words: "Keep the call open for an hour more", run: inCall(() => { more.extend(); }) },
  { key: /^d$/i, shown: "D", words: "Have the unit call afresh", run: inCall(() => { more.dial(); }) },
  { key: /^c$/i, shown: "C", words: "Close the incident", run: () => closing.ask() },
], () => Boolean(current()) && noDialog());
addEventListener("keydown", (event) => {
  const preset = Number(event.key);
  if (!/^[1-9]$/.test(event.key) || event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.target.closest?.("input, textarea, select, dialog")) return;
  if (unitOf(current())?.presets.includes(preset)) orders.send({ cmd: "dome_preset", preset });
});
addEventListener("keyup", (event) => {
  if (event.key !== " ") return;
  if (talk.wantsSpace && !spaceIsTaken(event) && noDialog() && event.target instanceof HTMLButtonElement) event.preventDefault();
  talk.hold(false);
});

lookAtMicrophone();
setInterval(tick, TICK_MS);
show();

// For the browser test and for whoever looks under the bonnet.
window.console_page = { get line() { return line; }, get state() { return state; }, context, pad, picture };
