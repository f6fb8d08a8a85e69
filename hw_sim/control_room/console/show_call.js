// What is known of the chosen call: where, what, how long it waited, who has it, what is wrong, its stills.

import { faultList, keep, say, stillThumb } from "./lists.js";
import { askedWords, clockTime, CLOCKS, dayAndTime, kindWords, position, recentWords, STAGES, stillTime, timeOfDay } from "./words.js";

export const RINGING = ["raised", "sent", "received"];
const LATE_AFTER_S = 30;
const MOST_STILLS = 12;
const SAME_MOMENT_US = 3_000_000; // of one press or order, in the cameras' order
const $ = (id) => document.getElementById(id);

export function showCall(call, unit, operators) {
  const ringing = RINGING.includes(call.stage);
  const good = call.stage === "answered" || Boolean(call.watch);
  $("call").className = `call card ${ringing ? "ringing" : good ? "answered" : ""}`;
  say($("call-kind"), call.watch ? (call.watch.announce ? "Announcement" : "Watch") : kindWords(call));
  $("call-kind").className = `badge ${call.kind === "test" || call.watch ? "plain" : ""}`;
  say($("call-stage"), call.watch ? "Nobody has called" : STAGES[call.stage]);
  $("call-stage").className = `badge ${ringing ? "wait" : call.stage === "answered" ? "good" : "plain"}`;
  say($("call-site"), call.site?.name ?? call.unit);
  say($("call-address"), call.site?.address ?? "");
  const also = operators.filter((each) => each.unit === call.unit).map((each) => each.name);
  say($("call-also"), also.length ? `Also here: ${[...new Set(also)].join(", ")}` : "");
  showFacts(call);
  const faults = unit ? [...unit.faults] : [];
  if (call.isolated) faults.unshift({ code: "isolated", subject: "", text: "Somebody is working on this unit: ask who is there, and send help all the same" });
  if (unit && !unit.online) faults.unshift({ code: "offline", text: "The unit's reporting line is down; the incident stays open", subject: "" });
  keep($("call-faults"), faults, (each) => `${each.code} ${each.subject}`, (each) => faultList([each])[0]);
  showStills(call.stills ?? []);
  $("close").hidden = Boolean(call.watch);
}

function showFacts(call) {
  $("facts").hidden = Boolean(call.watch);
  if (call.watch) return;
  say($("call-approach"), call.site?.approach ?? "");
  $("approach-row").hidden = !call.site?.approach;
  say($("call-pressed"), call.clock === "unknown" ? `${timeOfDay(call.received_utc_us)} (by our clock)` : dayAndTime(call.pressed_utc_us));
  say($("call-presses"), call.presses === 1 ? "once" : `${call.presses} times`);
  say($("call-clock"), CLOCKS[call.clock]);
  say($("call-position"), position(call.site));
  say($("call-code"), call.code || "not given");
  say($("call-asked"), askedWords(call.asked));
  $("asked-row").hidden = !call.asked?.length;
  say($("call-recent"), recentWords(call));
  $("recent-row").hidden = !call.recent_incidents;
  say($("call-taken"), call.answered_by || call.accepted_by || "nobody yet");
}

/** The newest stills under the picture, and the newest of the first camera in its place until it moves. */
function showStills(stills) {
  const moment = (still) => Math.floor(still.utc_us / SAME_MOMENT_US);
  const shown = [...stills].sort((a, b) => moment(b) - moment(a) || a.camera.localeCompare(b.camera)).slice(0, MOST_STILLS);
  $("stills").hidden = shown.length === 0;
  keep($("stills"), shown, (each) => each.url, stillThumb);
  const newest = new Map([...stills].sort((a, b) => a.utc_us - b.utc_us).map((each) => [each.camera, each]));
  const first = [...newest.values()].sort((a, b) => a.camera.localeCompare(b.camera))[0];
  const poster = first?.url ?? "";
  const instead = Boolean(poster) && $("picture").videoWidth === 0;
  $("picture-wait").classList.toggle("still", instead);
  $("picture-wait").dataset.still = instead ? `Still picture, ${stillTime(first)}. ` : "";
  if (($("picture").getAttribute("poster") ?? "") === poster) return;
  if (poster) $("picture").setAttribute("poster", poster);
  else $("picture").removeAttribute("poster");
}

/** The timers, several times a second: how long since the press, and what of that went by before somebody was there. */
export function showTimes(call) {
  $("timer-box").hidden = Boolean(call.watch);
  if (call.watch) return;
  const since_s = (performance.now() - call.since_ms) / 1000;
  const waits = call.stage !== "answered";
  say($("timer"), clockTime(since_s));
  $("timer-box").classList.toggle("late", waits && since_s > LATE_AFTER_S);
  const rows = [["latency-accept", "Accepted", call.accept_s], ["latency-answer", "Answered", call.answer_s]];
  for (const [id, words, final_s] of rows) {
    say($(id), final_s == null ? `${words}: waiting ${since_s < 100 ? since_s.toFixed(1) : Math.round(since_s)} s` : `${words} after ${final_s < 100 ? final_s.toFixed(1) : Math.round(final_s)} s`);
    $(id).classList.toggle("running", final_s == null);
  }
}
