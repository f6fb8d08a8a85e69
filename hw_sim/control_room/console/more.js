// What an operator does with a call besides speaking: keep it open, dial it again, hand it over, take a still.

import { keep, make, say } from "./lists.js";
import { about } from "./words.js";

const EXTEND_S = 3600;
const $ = (id) => document.getElementById(id);

export class More {
  /** `page`: { call(), line(), order(fields, done) }. */
  constructor(page) {
    this.page = page;
    for (const id of ["extend", "extend-now"]) $(id).addEventListener("click", () => this.extend());
    for (const id of ["dial", "dial-now"]) $(id).addEventListener("click", () => this.dial());
    $("snapshot").addEventListener("click", () => this.snapshot());
    $("hand-over").addEventListener("click", () => this.#askHandOver());
    $("hand-cancel").addEventListener("click", () => $("hand-dialog").close());
    $("hand-form").addEventListener("submit", () => this.#handOver());
  }

  extend() {
    return this.#order({ cmd: "extend", for_s: EXTEND_S }, "Kept open for an hour more");
  }

  dial() {
    return this.#order({ cmd: "dial_back" }, "The unit is asked to call afresh");
  }

  snapshot() {
    return this.#order({ cmd: "snapshot" }, "A still of each camera is on its way");
  }

  #order(fields, done) {
    const call = this.page.call();
    if (!call || call.watch) return false;
    return this.page.order({ ...fields, incident_id: call.incident_id }, done);
  }

  #askHandOver() {
    const call = this.page.call();
    const rooms = this.page.unit()?.control_rooms ?? call?.asked ?? [];
    $("hand-form").reset();
    $("hand-room").placeholder = rooms.length ? rooms.join(", ") : "This unit knows no other";
    if (rooms.length === 1) $("hand-room").value = rooms[0];
    keep($("hand-rooms"), rooms.map((name) => ({ name })), (each) => each.name, ({ name }) => make("option", { value: name }));
    $("hand-dialog").incident_id = call.incident_id;
    $("hand-dialog").showModal();
  }

  #handOver() {
    const room = $("hand-room").value.trim();
    this.page.order({ cmd: "hand_over", incident_id: $("hand-dialog").incident_id, room, note: $("hand-note").value.trim() }, `Handed over to ${room}`);
  }

  /** `events`: what the unit has told of this call lately. */
  show(call, here, events) {
    const watch = Boolean(call.watch);
    $("more").hidden = $("snapshot").hidden = watch;
    for (const id of ["extend", "extend-now", "dial", "dial-now", "snapshot", "hand-over"]) $(id).disabled = !here;
    $("limit-row").hidden = watch || call.closes_in_s == null;
    say($("call-limit"), call.closes_in_s == null ? "" : `in ${about(call.closes_in_s)}`);
    const warning = !watch && call.time_warning;
    $("time-warning").hidden = !warning;
    if (warning) {
      const lasted = call.time_warning.seconds == null ? "" : `This call has lasted ${about(call.time_warning.seconds)}. `;
      say($("time-warning-words"), lasted + (call.closes_in_s == null ? "It stays open while you are on the line." : `It closes by itself in ${about(call.closes_in_s)}.`));
    }
    const lost = ["gone", "dialling", "shaky"].includes(this.page.line()?.phase) && ["accepted", "answered"].includes(call.stage);
    $("lost").hidden = watch || !lost;
    const last = events.filter((each) => ["handed_over", "hand_over_unanswered", "incident_answered"].includes(each.name)).at(-1);
    const open = call.handed_to && last?.name !== "incident_answered";
    say($("handed"), !call.handed_to ? "" : !open ? `Handed over to ${call.handed_to} by ${call.handed_by}`
      : last?.name === "hand_over_unanswered" ? `Nobody at ${call.handed_to} has answered. Stay on the line.`
        : `Handed over to ${call.handed_to}. Stay on the line until they have answered.`);
  }
}
