// Seeing, or speaking at, a unit where nobody has called: with a reason, for a time, and written down by the unit.

import { say } from "./lists.js";
import { about } from "./words.js";

const RENEW_S = 300;
const $ = (id) => document.getElementById(id);

/** A watch in the shape of a call, so that the page shows it in the same place. */
export function watchCall(unit) {
  return {
    incident_id: `watch-${unit.unit}`, unit: unit.unit, kind: "watch", stage: "watching", open: true, site: unit.site,
    watch: unit.watch, presses: 0, stills: [], clock: unit.clock,
  };
}

export class Watches {
  /** `page`: { units(), to(unit, fields, done), choose(call id), by() }. */
  constructor(page) {
    this.page = page;
    $("watch-cancel").addEventListener("click", () => $("watch-dialog").close());
    $("watch-form").addEventListener("submit", () => this.#begin());
    $("watch-end").addEventListener("click", () => this.end());
    $("watch-more").addEventListener("click", () => this.#order(this.page.call().unit, this.page.call().watch.announce, RENEW_S, this.page.call().watch.reason));
  }

  /** Ask for the reason first. */
  ask(unit) {
    $("watch-form").reset();
    $("watch-dialog").unit = unit.unit;
    say($("watch-site"), unit.site?.name ?? unit.unit);
    $("watch-dialog").showModal();
    $("watch-reason").focus();
  }

  async #begin() {
    const chosen = new FormData($("watch-form"));
    const unit = $("watch-dialog").unit;
    const reply = await this.#order(unit, chosen.get("what") === "announce", Number(chosen.get("minutes")) * 60, $("watch-reason").value.trim());
    if (reply.result === "done") this.page.choose(`watch-${unit}`);
  }

  #order(unit, announce, for_s, reason) {
    const most_s = announce ? 600 : 3600;
    return this.page.to(unit, { cmd: announce ? "announce" : "watch", for_s: Math.min(for_s, most_s), reason },
      announce ? "The horn is open to you; the microphone on the street stays shut" : "You see the street; the microphone there stays shut");
  }

  end() {
    const call = this.page.call();
    if (call?.watch) this.page.to(call.unit, { cmd: "end_watch" }, "The watch is over");
  }

  show(call) {
    $("watch-bar").hidden = !call.watch;
    if (!call.watch) return;
    const { by, reason, announce, ends_in_s } = call.watch;
    say($("watch-words"), `${announce ? "Announcement" : "Watch"} by ${by}: ${reason}. The microphone on the street is shut. Ends in ${about(ends_in_s)}.`);
  }
}
