// The panel's display and keys, as a kiosk on the pole would have them: the stage in words, the conversation in letters,
// quick answers, a keyboard. What is typed goes letter by letter; the daemon sends the whole display at each change.

import { keep, make, say } from "/console/lists.js";
import { difference, NEW_LINE } from "/console/t140.js";

const SEND_EVERY_MS = 100; // the daemon puts letters together for the network
const $ = (id) => document.getElementById(id);

export class Panel {
  #sent = "";
  #timer = 0;

  /** `send(message)` hands a message to the daemon. */
  constructor(send) {
    this.send = send;
    $("panel-line").addEventListener("input", () => (this.#timer ||= setTimeout(() => this.#letters(), SEND_EVERY_MS)));
    $("panel-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#letters(NEW_LINE);
      $("panel-line").value = this.#sent = "";
    });
  }

  #letters(end = "") {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const now = $("panel-line").value;
    const t140 = difference(this.#sent, now) + (now || !end ? end : "");
    this.#sent = now;
    if (t140) this.send({ type: "typed", t140 });
  }

  /** `shown`: the daemon's last `show` and its stage in `words`; null while the daemon is not there. */
  show({ connected, shown }) {
    const open = Boolean(shown?.incident);
    $("panel-card").hidden = false;
    say($("panel-state"), !connected ? "Dark: the daemon's call process is not there."
      : open ? "What is typed here is seen in the control room letter by letter." : "At rest: it wakes with a press.");
    $("panel").classList.toggle("dark", !open);
    $("panel").lang = shown?.language ?? "en";
    $("panel-line").disabled = $("panel-enter").disabled = !open;
    if (!open) $("panel-line").value = this.#sent = "";
    say($("panel-words"), open ? shown.words : "");
    const lines = (shown?.lines ?? []).map((each, n) => ({ ...each, n }));
    keep($("panel-log"), lines.filter((each) => each.done), (each) => `${each.n} ${each.who}`, ({ who, by, text }) =>
      make("li", { class: `line ${who}`, dir: "auto" }, make("b", {}, who === "caller" ? "You" : by && !by.startsWith("peer-") ? by : "Operator"), " ", text));
    const typing = lines.filter((each) => !each.done && each.who === "operator").map((each) => each.text).join(" / ");
    say($("panel-operator"), typing);
    $("panel-operator-box").hidden = !typing;
    const quick = (open ? shown.quick_answers : []).map((text, n) => ({ text, n }));
    keep($("panel-quick"), quick, (each) => `${each.n} ${each.text}`, ({ text, n }) =>
      make("button", { type: "button", "data-focus": "quick", onclick: () => this.send({ type: "quick", n }) }, text));
    $("panel-scroll").scrollTop = $("panel-scroll").scrollHeight;
  }
}
