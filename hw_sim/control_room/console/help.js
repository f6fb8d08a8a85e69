// Keys: one table for what they do and for the page that tells of them. They can be turned off (WCAG 2.1, 2.1.4): who
// speaks to the computer, or leans on the keyboard, must not close a call by it.

import { typing } from "./dome.js";
import { make } from "./lists.js";

const OFF = "keys-off";
const $ = (id) => document.getElementById(id);
const OF_THE_DOME = [["← ↑ ↓ →", "Turn the dome while held"], ["+ −", "Zoom while held"], ["1 … 9", "Send the dome to a preset"],
  ["Mouse", "On the picture: drag turns, a click brings to the middle, the wheel zooms"]];

export class Keys {
  /** `keys`: [{ key, shown, words, run() }], `run` returning false when the key means nothing now; `usable()`. */
  constructor(keys, usable) {
    this.on = localStorage.getItem(OFF) !== "yes";
    const rows = [...keys.map(({ shown, words }) => [shown, words]), ...OF_THE_DOME, ["?", "This list"]];
    $("help-keys").append(...rows.map(([shown, words]) => make("div", {}, make("dt", {}, make("kbd", {}, shown)), make("dd", {}, words))));
    $("keys-on").checked = this.on;
    $("keys-on").addEventListener("change", () => {
      this.on = $("keys-on").checked;
      localStorage.setItem(OFF, this.on ? "" : "yes");
    });
    for (const id of ["help", "help-close"]) $(id).addEventListener("click", () => this.#help());
    addEventListener("keydown", (event) => {
      if (typing(event.target) || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
      if (event.key === "?") this.#help();
      else if (!this.on || !usable()) return;
      else if (!keys.some(({ key, run }) => key.test(event.key) && run(event) !== false)) return;
      event.preventDefault();
    });
  }

  #help() {
    if ($("help-dialog").open) $("help-dialog").close();
    else $("help-dialog").showModal();
  }
}
