// The conversation in letters with a caller who cannot hear or speak: each side sees the other's letters as they are typed.
//
// Finished lines go into a log that a screen reader speaks; the open line is only seen, or every letter would be spoken.

import { keep, make, say } from "./lists.js";
import { difference, NEW_LINE, Writing } from "./t140.js";
import { timeOfDay } from "./words.js";

const SEND_EVERY_MS = 300; // RFC 4103, 5.1
const MOST_LINES = 200;
const CAPTION_MS = 12000; // then a finished line no longer stands before the caller's face; it is in the log below
const $ = (id) => document.getElementById(id);

export class Conversation {
  #caller = new Writing();
  #others = new Map();
  #log = [];
  #count = 0;
  #shown = "";
  #timer = 0;
  #finished = "";
  #name = "";
  #of = null;
  #captioned = "";
  #uncaption = 0;

  /** `page`: { call(), line(), order(fields, done), by(), show() }. */
  constructor(page) {
    this.page = page;
    $("text-line").addEventListener("input", () => this.#later());
    $("text-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#endLine();
    });
  }

  /** Letters that have come: of the caller, or (`by`) of another operator. */
  take(letters, by) {
    if (by && !this.#others.has(by) && this.#others.size >= 8) this.#others.clear();
    if (by && !this.#others.has(by)) this.#others.set(by, new Writing());
    const from = by ? this.#others.get(by) : this.#caller;
    for (const line of from.take(letters)) this.#add(by ? nameOf(by) : "Caller", line, by ? "other" : "caller");
    this.#show();
  }

  /** Nothing of one call may stand in another; what was being typed goes too. `lines`: what the unit has told of the
   * conversation before this page came to it, [{ from, by, words, utc_us }]. */
  of(key, lines) {
    if (this.#of === key) return;
    this.#of = key;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#caller = new Writing();
    this.#others.clear();
    this.#log = [];
    this.#shown = this.#finished = "";
    $("text-line").value = "";
    for (const { from, by, words, utc_us } of lines) this.#add(from === "caller" ? "Caller" : nameOf(by), words, from === "caller" ? "caller" : "other", utc_us);
    this.#show();
  }

  /** The way is told in words; letters that could not go before go now. */
  show() {
    const way = this.page.line()?.textWay ?? "";
    say($("text-way"), way ? "The caller sees each letter as you type it; Enter ends the line."
      : "No live line: Enter sends the line to the caller's display.");
    const answers = this.page.line()?.hello.quick_answers ?? [];
    say($("text-answers"), answers.length ? `The caller can answer with: ${answers.join(", ")}.` : "");
    const name = this.page.line()?.name ?? "";
    if (name && name !== this.#name) {
      this.#name = name; // the unit does not know whose line this goes on: all of it again
      this.#shown = "";
    }
    if (way && ($("text-line").value !== this.#shown || this.#finished)) this.#later();
  }

  #later() {
    this.#timer ||= setTimeout(() => this.#send(), SEND_EVERY_MS / 2);
  }

  /** Bring the caller's display to what stands here. Between two sendings at least SEND_EVERY_MS pass, to the last one. */
  #send() {
    this.#timer = 0;
    const now = $("text-line").value;
    const letters = this.#finished + difference(this.#finished ? "" : this.#shown, now);
    if (!letters || !this.page.line()?.text(letters, this.page.by())) return;
    this.#finished = "";
    this.#shown = now;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      if ($("text-line").value !== this.#shown || this.#finished) this.#send();
    }, SEND_EVERY_MS);
  }

  #endLine() {
    const line = $("text-line").value.trim();
    if (!line) return;
    $("text-line").value = "";
    if (this.page.line()?.textWay) {
      clearTimeout(this.#timer);
      this.#finished += `${difference(this.#finished ? "" : this.#shown, line)}${NEW_LINE}`;
      this.#shown = "";
      this.#send();
    } else {
      this.#shown = this.#finished = "";
      const call = this.page.call();
      if (call && !call.watch) this.page.order({ cmd: "send_text", incident_id: call.incident_id, text: line.slice(0, 300) });
    }
    this.#add("You", line, "own");
    this.#show();
  }

  #add(who, text, side, utc_us = Date.now() * 1000) {
    this.#count += 1;
    this.#log = [...this.#log, { n: this.#count, who, text, side, at: timeOfDay(utc_us) }].slice(-MOST_LINES);
  }

  #show() {
    keep($("text-log"), this.#log, (each) => each.n, ({ who, text, side, at }) =>
      make("li", { class: `said ${side}` }, make("b", {}, who), " ", make("span", { class: "words" }, text), " ", make("time", {}, at)));
    const open = this.#caller.open;
    say($("text-open"), open);
    $("text-open-box").hidden = !open;
    this.#caption(open || this.#caller.lines.at(-1) || "", Boolean(open));
    $("text-none").hidden = this.#log.length > 0 || Boolean(open);
    $("text-log").parentElement.scrollTop = $("text-log").parentElement.scrollHeight;
  }

  /** What the caller types stands on the picture while it is typed, and for a while after. */
  #caption(words, typing) {
    if (typing || !words) clearTimeout(this.#uncaption);
    const key = typing ? "" : `${this.#caller.lines.length} ${words}`;
    if (!typing && key === this.#captioned) return; // shown already, perhaps taken away again
    this.#captioned = key;
    $("caption").hidden = !words;
    say($("caption"), words ? `Caller types: ${words}` : "");
    if (words && !typing) {
      clearTimeout(this.#uncaption);
      this.#uncaption = setTimeout(() => ($("caption").hidden = true), CAPTION_MS);
    }
  }
}

/** By the data channel a unit knows a console only as the relay named it. */
function nameOf(by) {
  return by && !/^peer-\d+$/.test(by) ? by : "Operator";
}
