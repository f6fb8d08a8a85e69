// Closing an incident: what it was, and in words what was done. A hoax and a fault need those words: somebody will ask.

import { say } from "./lists.js";

const NEED_WORDS = ["hoax", "fault"];
const $ = (id) => document.getElementById(id);

export class Closing {
  /** `page`: { call(), order(fields, done) }. */
  constructor(page) {
    this.page = page;
    $("close").addEventListener("click", () => this.ask());
    $("close-cancel").addEventListener("click", () => $("close-dialog").close());
    $("close-form").addEventListener("change", () => this.#words());
    $("close-note").addEventListener("input", () => this.#words());
    $("close-form").addEventListener("submit", () => {
      const outcome = new FormData($("close-form")).get("outcome");
      page.order({ cmd: "close", incident_id: $("close-dialog").incident_id, outcome, note: $("close-note").value.trim() });
    });
  }

  ask() {
    const call = this.page.call();
    if (!call || call.watch || $("close").disabled) return;
    $("close-form").reset();
    this.#words();
    $("close-dialog").incident_id = call.incident_id;
    say($("close-site"), call.site?.name ?? call.unit);
    $("close-dialog").showModal();
  }

  #words() {
    const needed = NEED_WORDS.includes(new FormData($("close-form")).get("outcome"));
    $("close-note").required = needed;
    say($("close-note-words"), needed ? "Note (needed: what makes you sure?)" : "Note");
    const empty = needed && !$("close-note").value.trim();
    $("close-note").setCustomValidity(empty ? "Say in a few words what makes you sure." : "");
  }
}
