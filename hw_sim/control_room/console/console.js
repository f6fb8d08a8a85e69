// The operator's console. The server pushes whole states; this page shows the newest and sends commands.

import { DomePad, typing } from "./dome.js";
import { Gauges } from "./gauges.js";
import { Hub } from "./hub.js";
import { Line } from "./line.js";
import { callRow, faultList, keep, make, pastRow, say, stillThumb, unitRow } from "./lists.js";
import { Ring } from "./ring.js";
import { about, askedWords, clockTime, CLOCKS, dayAndTime, duration, kindWords, position, recentWords, STAGES, stillTime, timeOfDay, title } from "./words.js";

const LATE_AFTER_S = 30;
const EXTEND_S = 3600;
const RINGING = ["raised", "sent", "received"];
const $ = (id) => document.getElementById(id);

const context = new AudioContext();
const ring = new Ring(context);
const gauges = new Gauges(context, () => line, cameraWorks);
let state = { units: [], incidents: [], events: [], broker: false };
let server = false;
let chosen = null;
let line = null;
let microphone = "unknown";

const hub = new Hub("/api/ws", (fresh) => { state = fresh; stamp(); show(); }, (up) => { server = up; show(); });

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
const current = () => state.incidents.find((each) => each.incident_id === chosen && each.open) ?? null;
const unitOf = (incident) => state.units.find((each) => each.unit === incident?.unit) ?? null;

function show() {
  const open = openOnes();
  if (!current()) chosen = (open.find((each) => RINGING.includes(each.stage)) ?? open[0])?.incident_id ?? null;
  const incident = current();
  follow(incident);
  document.body.classList.toggle("idle", !incident);
  for (const id of ["call", "tools"]) $(id).hidden = !incident;
  $("none").hidden = Boolean(incident);
  $("calls-card").hidden = open.length === 0;
  if (incident) showCall(incident);
  else showNone();
  showLists(open);
  showConnection();
  const ringing = open.some((each) => RINGING.includes(each.stage));
  ring.set(ringing);
  $("sound-on").hidden = ring.allowed && microphone !== "prompt";
  announce(open);
  show.ringing = ringing;
  tick();
}

/** Say a new call once to whoever does not look at the screen. */
function announce(open) {
  const fresh = open.filter((each) => RINGING.includes(each.stage) && !announce.said.has(each.incident_id));
  for (const each of fresh) announce.said.add(each.incident_id);
  if (fresh.length) say($("announce"), `Incoming call: ${kindWords(fresh[0])}, ${fresh[0].site?.name ?? fresh[0].unit}`);
}
announce.said = new Set();

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

function showLists(open) {
  say($("calls-count"), open.length > 1 ? String(open.length) : "");
  const row = ({ incident_id, stage, kind, origin, site, unit, since_ms }) => ({ incident_id, stage, kind, origin, site, unit, since_ms, current: incident_id === chosen });
  keep($("calls"), open.map(row), (each) => each.incident_id, (each) => callRow(each, each.current, choose));
  say($("units-count"), state.units.length > 1 ? String(state.units.length) : "");
  const units = state.units.map((each) => ({ ...each, silent_s: each.silent_s < 90 ? 0 : 90, facts: null, isolation: each.isolation && { ...each.isolation, ends_in_s: Math.round(each.isolation.ends_in_s / 60) * 60 }, signal: signalWords(each), cut_off: Boolean(cutOff()) }));
  keep($("units"), units, (each) => each.unit, (each) => unitRow(each, maintain));
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

function showCall(incident) {
  const unit = unitOf(incident);
  const ringing = RINGING.includes(incident.stage);
  const answered = incident.stage === "answered";
  $("call").className = `call card ${ringing ? "ringing" : answered ? "answered" : ""}`;
  say($("call-kind"), kindWords(incident));
  $("call-kind").className = `badge ${incident.kind === "test" ? "plain" : ""}`;
  say($("call-stage"), STAGES[incident.stage]);
  $("call-stage").className = `badge ${ringing ? "wait" : answered ? "good" : "plain"}`;
  say($("call-site"), incident.site?.name ?? incident.unit);
  say($("call-address"), incident.site?.address ?? "");
  say($("call-approach"), incident.site?.approach ?? "");
  $("approach-row").hidden = !incident.site?.approach;
  say($("call-pressed"), incident.clock === "unknown" ? `${timeOfDay(incident.received_utc_us)} (by our clock)` : dayAndTime(incident.pressed_utc_us));
  say($("call-presses"), incident.presses === 1 ? "once" : `${incident.presses} times`);
  say($("call-clock"), CLOCKS[incident.clock]);
  say($("call-position"), position(incident.site));
  say($("call-code"), incident.code || "none");
  say($("call-asked"), askedWords(incident.asked));
  $("asked-row").hidden = !incident.asked?.length;
  say($("call-recent"), recentWords(incident));
  $("recent-row").hidden = !incident.recent_incidents;
  $("limit-row").hidden = incident.closes_in_s == null;
  say($("call-limit"), incident.closes_in_s == null ? "" : `in ${about(incident.closes_in_s)}`);
  $("extend").disabled = !unit?.online || !server;
  say($("call-taken"), incident.answered_by || incident.accepted_by || "nobody yet");
  const faults = unit ? [...unit.faults] : [];
  if (incident.isolated) faults.unshift({ code: "isolated", subject: "", text: "Somebody is working on this unit: ask who is there, and send help all the same" });
  keep($("call-faults"), unit && !unit.online ? [{ code: "offline", text: "The unit's reporting line is down; the incident stays open", subject: "" }, ...faults] : faults,
    (each) => `${each.code} ${each.subject}`, (each) => faultList([each])[0]);
  showStills(incident.stills ?? []);
  showActions(incident, unit);
  keep($("presets"), (unit?.presets ?? []).map((preset) => ({ preset })), (each) => each.preset, presetButton);
  keep($("warnings"), (unit?.warnings ?? []).map((name) => ({ name })), (each) => each.name, warningButton);
}

/** The newest still of each camera under the picture, and the first of them in its place until it moves. */
function showStills(stills) {
  const newest = new Map(stills.map((each) => [each.camera, each]));
  const shown = [...newest.values()].sort((a, b) => a.camera.localeCompare(b.camera));
  $("stills").hidden = shown.length === 0;
  keep($("stills"), shown, (each) => each.camera, stillThumb);
  const poster = shown[0]?.url ?? "";
  const instead = Boolean(poster) && $("picture").videoWidth === 0;
  $("picture-wait").classList.toggle("still", instead);
  $("picture-wait").dataset.still = instead ? `Still picture, ${stillTime(shown[0])}. ` : "";
  if (($("picture").getAttribute("poster") ?? "") === poster) return;
  if (poster) $("picture").setAttribute("poster", poster);
  else $("picture").removeAttribute("poster");
}

function showActions(incident, unit) {
  const here = Boolean(unit?.online) && server;
  const voices = line?.voices ?? false;
  $("accept").disabled = !here || !RINGING.includes(incident.stage);
  $("accept").hidden = voices || incident.stage === "answered";
  $("answer").hidden = voices;
  $("answer").disabled = !here;
  say($("answer-words"), incident.stage === "answered" ? "Join the voices" : "Answer");
  $("mute").hidden = $("hold").hidden = $("voices").hidden = !voices;
  const mic = line?.microphone ?? null;
  $("mute").disabled = !mic;
  $("hold").disabled = !mic || !line.muted;
  $("mute").setAttribute("aria-pressed", String(line?.muted ?? false));
  say($("mute-words"), line?.muted ? "Muted" : "Mute");
  say($("mic-words"), !mic ? "You are not heard: no microphone" : line.heard ? "You are heard on the street" : "You are not heard now");
  $("close").disabled = !here;
}

function presetButton({ preset }) {
  const words = preset === 1 ? "1 Panel" : String(preset);
  return make("button", { type: "button", "data-focus": "preset", "aria-label": `Preset ${words}`, onclick: () => order({ cmd: "dome_preset", preset }) }, words);
}

function warningButton({ name }) {
  return make("button", { type: "button", "data-focus": "warning", onclick: () => order({ cmd: "play_warning", name }, `Playing: ${title(name)}`) }, title(name));
}

function tick() {
  const incident = current();
  const now_ms = performance.now();
  if (incident) {
    const since_s = (now_ms - incident.since_ms) / 1000;
    const waits = incident.stage !== "answered";
    say($("timer"), clockTime(since_s));
    say($("timer-words"), waits ? "waiting" : `answered after ${duration(incident.waiting_s)}`);
    $("timer-box").classList.toggle("late", waits && since_s > LATE_AFTER_S);
  }
  for (const each of document.querySelectorAll("[data-since]")) say(each, clockTime((now_ms - Number(each.dataset.since)) / 1000));
  const flash = show.ringing && Math.floor(now_ms / 1000) % 2 === 0;
  const name = openOnes().find((each) => RINGING.includes(each.stage))?.site?.name ?? "Help point";
  document.title = flash ? `● CALL: ${name}` : incident ? `${incident.site?.name ?? incident.unit} · Control room` : "Control room";
}

// --- the live line ----------------------------------------------------------------------------------------------------

function follow(incident) {
  if (line && (!incident || line.incident_id !== incident.incident_id)) {
    line.close();
    line = null;
  }
  if (incident && !line) {
    line = new Line(incident.unit, { video: $("picture"), audio: $("caller") }, context, () => { show(); });
    line.incident_id = incident.incident_id;
  }
}

function cameraWorks() {
  return !(unitOf(current())?.faults ?? []).some((each) => each.code.startsWith("camera_"));
}

// --- what the operator does -------------------------------------------------------------------------------------------

function choose(incident_id) {
  chosen = incident_id;
  show();
  $("call").focus();
}

/** Send a command for the chosen call; say in words what came of it. */
async function order(fields, done = "") {
  const incident = current();
  if (!incident) return { result: "invalid" };
  const by = $("operator").value.trim() || "Operator";
  const reply = await hub.command({ unit: incident.unit, by, ...fields });
  const bad = reply.result !== "done";
  $("told").classList.toggle("bad", bad);
  if (bad || done) say($("told"), bad ? `${title(fields.cmd)}: ${refusal(reply)}` : done);
  if (bad && ["accept", "answer", "close"].includes(fields.cmd)) notice(`${title(fields.cmd)}: ${refusal(reply)}`);
  return reply;
}

/** A maintainer's order to a unit that is not in the chosen call. */
async function maintain(unit, fields, done) {
  const reply = await hub.command({ unit, by: $("operator").value.trim() || "Operator", ...fields });
  notice(reply.result === "done" ? done : `${title(fields.cmd)}: ${refusal(reply)}`);
}

function refusal(reply) {
  const words = { refused: "the unit refused", no_answer: "no answer", invalid: "not possible" }[reply.result];
  return reply.reason ? `${words} (${reply.reason})` : words;
}

function notice(words) {
  say($("notice"), words);
  $("notice").hidden = !words;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => ($("notice").hidden = true), 8000);
}

function accept() {
  if (!$("accept").disabled && !$("accept").hidden) order({ cmd: "accept", incident_id: chosen });
}

async function answer() {
  const incident = current();
  if (!incident || !line || $("answer").disabled || $("answer").hidden) return;
  context.resume();
  const opening = line.openVoices();
  if (incident.stage !== "answered") {
    const reply = await order({ cmd: "answer", incident_id: incident.incident_id });
    if (reply.result !== "done") return;
  }
  const problem = await opening;
  if (problem) notice(`You hear the caller but cannot speak: ${problem}.`);
  show();
}

/** After a click the focus moves on to "hold to talk", so that Space does what its label says. */
async function mute(event) {
  if (!line?.voices || !line.microphone) return;
  await line.setMuted(!line.muted);
  if (event && line?.muted) $("hold").focus();
}

function hold(talking) {
  if (talking && ($("hold").disabled || $("hold").hidden)) return;
  $("hold").classList.toggle("held", talking);
  line?.setTalking(talking);
}

function askToClose() {
  const incident = current();
  if (!incident || $("close").disabled) return;
  $("close-form").reset();
  $("close-dialog").incident_id = incident.incident_id;
  say($("close-site"), incident.site?.name ?? incident.unit);
  $("close-dialog").showModal();
}

/** Before the first call: let the ring tone sound, and ask for the microphone, so that Answer need not wait for it. */
async function soundOn() {
  await context.resume();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    for (const track of stream.getTracks()) track.stop();
  } catch {
    notice("Without a microphone you will hear callers but cannot speak.");
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
  say($("clip-sub"), `${dayAndTime(incident.received_utc_us)} · ${shortSum(incident.clip)}`);
  $("clip").src = incident.clip.url;
  $("clip-download").href = `${incident.clip.url}?download`;
  $("clip-dialog").showModal();
  $("clip").play().catch(() => {});
}

function shortSum(clip) {
  return `SHA-256 ${clip.sha256.slice(0, 16)}…`;
}

$("accept").addEventListener("click", accept);
$("answer").addEventListener("click", answer);
$("mute").addEventListener("click", mute);
$("hold").addEventListener("pointerdown", (event) => { $("hold").setPointerCapture(event.pointerId); hold(true); });
for (const name of ["pointerup", "pointercancel", "blur"]) $("hold").addEventListener(name, () => hold(false));
$("hold").addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && !event.repeat && hold(true));
$("hold").addEventListener("keyup", (event) => [" ", "Enter"].includes(event.key) && hold(false));
$("close").addEventListener("click", askToClose);
$("extend").addEventListener("click", () => order({ cmd: "extend", incident_id: chosen, for_s: EXTEND_S }, "Kept open for an hour more"));
$("close-cancel").addEventListener("click", () => $("close-dialog").close());
$("close-form").addEventListener("submit", () => {
  const outcome = new FormData($("close-form")).get("outcome");
  order({ cmd: "close", incident_id: $("close-dialog").incident_id, outcome, note: $("close-note").value.trim() });
});
$("clip-close").addEventListener("click", () => $("clip-dialog").close());
$("clip-dialog").addEventListener("close", () => { $("clip").pause(); $("clip").removeAttribute("src"); $("clip").load(); });
$("sound-on").addEventListener("click", soundOn);
addEventListener("pointerdown", () => context.state === "suspended" && context.resume().then(show), { capture: true });
context.addEventListener("statechange", show);

$("operator").value = localStorage.getItem("operator") ?? "Operator 1";
$("operator").addEventListener("change", () => localStorage.setItem("operator", $("operator").value));

const pad = new DomePad($("pad"), $("stick"), document.querySelectorAll(".way, .zoom button"), order,
  () => Boolean(current()) && !$("close-dialog").open && !$("clip-dialog").open);

addEventListener("keydown", (event) => {
  if (typing(event.target) || event.ctrlKey || event.altKey || event.metaKey || event.repeat || !current()) return;
  const key = event.key.toLowerCase();
  const presets = unitOf(current())?.presets ?? [];
  if (key === "a") accept();
  else if (key === "t") answer();
  else if (key === "m") mute();
  else if (key === "c") askToClose();
  else if (key === " " && !(event.target instanceof HTMLButtonElement) && line?.voices) hold(true);
  else if (/^[1-9]$/.test(key) && presets.includes(Number(key))) order({ cmd: "dome_preset", preset: Number(key) });
  else return;
  event.preventDefault();
});
addEventListener("keyup", (event) => event.key === " " && hold(false));

lookAtMicrophone();
setInterval(tick, 250);
show();

// For the browser test and for whoever looks under the bonnet.
window.console_page = { get line() { return line; }, get state() { return state; }, context, pad };
