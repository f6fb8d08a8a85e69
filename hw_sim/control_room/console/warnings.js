// What the horn says to the street: recorded warnings, words that are typed here, and the operator's own voice.

import { keep, make } from "./lists.js";
import { title } from "./words.js";

const $ = (id) => document.getElementById(id);

export class Warnings {
  /** `order(fields, done)` sends a command for the chosen call. */
  constructor(order) {
    this.order = order;
    $("speak-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#speak();
    });
  }

  async #speak() {
    const text = $("speak-text").value.trim();
    if (!text) return;
    const reply = await this.order({ cmd: "speak", text, language: $("speak-language").value }, `The horn says: ${text}`);
    if (reply.result === "done") $("speak-text").value = "";
  }

  show(unit, here) {
    const names = unit?.warnings ?? [];
    keep($("warnings"), names.map((name) => ({ name })), (each) => each.name, ({ name }) =>
      make("button", { type: "button", "data-focus": "warning", onclick: () => this.order({ cmd: "play_warning", name }, `Playing: ${title(name)}`) }, title(name)));
    $("speak-button").disabled = !here;
    const languages = ["", ...(unit?.languages ?? [])];
    $("speak-language").parentElement.hidden = languages.length < 3;
    keep($("speak-language"), languages.map((name) => ({ name })), (each) => each.name, ({ name }) =>
      make("option", { value: name }, name ? languageName(name) : "the site's own"));
  }
}

function languageName(code) {
  try {
    return new Intl.DisplayNames(undefined, { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}
