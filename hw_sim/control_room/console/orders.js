// Commands to the unit, and what came of them in words.

import { say } from "./lists.js";
import { title } from "./words.js";

const LOUD = ["accept", "answer", "close", "extend", "hand_over", "dial_back", "set_sound", "watch", "announce", "send_text"];
const NOTICE_MS = 8000;
const $ = (id) => document.getElementById(id);

export class Orders {
  #timer = 0;

  /** `hub`: Hub; `call()`: the chosen call or null. */
  constructor(hub, call) {
    this.hub = hub;
    this.call = call;
    $("operator").value = localStorage.getItem("operator") ?? "Operator 1";
    $("operator").addEventListener("change", () => localStorage.setItem("operator", $("operator").value));
  }

  get by() {
    return $("operator").value.trim() || "Operator";
  }

  /** Send a command for the chosen call; say in words what came of it. Resolves to the reply. */
  async send(fields, done = "") {
    const call = this.call();
    if (!call) return { result: "invalid" };
    const reply = await this.hub.command({ unit: call.unit, by: this.by, ...fields });
    const bad = reply.result !== "done";
    $("told").classList.toggle("bad", bad);
    if (bad || done) say($("told"), bad ? `${title(fields.cmd)}: ${refusal(reply)}` : done);
    if (bad && LOUD.includes(fields.cmd)) this.notice(`${title(fields.cmd)}: ${refusal(reply)}`);
    return reply;
  }

  /** A command to a unit that is not in the chosen call. */
  async to(unit, fields, done) {
    const reply = await this.hub.command({ unit, by: this.by, ...fields });
    this.notice(reply.result === "done" ? done : `${title(fields.cmd)}: ${refusal(reply)}`);
    return reply;
  }

  notice(words) {
    say($("notice"), words);
    $("notice").hidden = !words;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => ($("notice").hidden = true), NOTICE_MS);
  }
}

function refusal(reply) {
  const words = { refused: "the unit refused", no_answer: "no answer", invalid: "not possible" }[reply.result];
  return reply.reason ? `${words} (${reply.reason})` : words;
}
