// Which camera is seen, and which in its corner. The unit changes the stream without a new session; what is really shown
// is what it says once a second.

import { keep, make, say } from "./lists.js";
import { title } from "./words.js";

const NONE = "";
const PATIENCE_MS = 5000; // then the unit has another camera in its place, or none
const $ = (id) => document.getElementById(id);

export class Cameras {
  #asked = null;
  #seen = "";
  #of = null;

  /** `page`: { line(), notice(words) }. */
  constructor(page) {
    this.page = page;
    $("corner-choice").addEventListener("change", () => this.#ask(this.#wanted, $("corner-choice").value || null));
  }

  get #names() {
    return this.page.line()?.hello.cameras ?? [];
  }

  /** The camera that is seen, as far as is known. */
  get camera() {
    return this.page.line()?.link?.camera || this.#seen || this.#names[0] || "";
  }

  /** The camera that was asked for last: the unit says only once a second what it shows, and an order that repeated an
   * older word of it would take the choice back. */
  get #wanted() {
    const asked = this.#asked;
    return asked && asked.line === this.page.line() && performance.now() - asked.at_ms < PATIENCE_MS ? asked.camera : this.camera;
  }

  get #corner() {
    const link = this.page.line()?.link;
    return link ? link.pip ?? null : this.#asked?.pip ?? null;
  }

  /** Whether turning the dome turns what is seen. */
  get domeIsSeen() {
    const names = this.#names;
    return !names.includes("dome") || this.camera === "dome";
  }

  next() {
    const names = this.#names;
    if (names.length > 1) this.#see(names[(names.indexOf(this.#wanted) + 1) % names.length]);
  }

  toggleCorner() {
    const seen = this.#wanted;
    const other = this.#names.find((each) => each !== seen);
    if (other) this.#ask(seen, this.#asked?.pip || this.#corner ? null : other);
  }

  #see(camera) {
    const corner = this.#asked?.pip ?? this.#corner;
    this.#ask(camera, corner === camera ? null : corner);
  }

  #ask(camera, pip) {
    if (!this.page.line()?.view(camera, pip)) return this.page.notice("The camera cannot be changed: there is no live line.");
    this.#asked = { camera, pip, line: this.page.line(), at_ms: performance.now() };
    this.show();
  }

  show() {
    const line = this.page.line();
    if (this.#asked && this.#asked.line !== line) this.#asked = null;
    this.#seen = line?.link?.camera || (this.#of === line ? this.#seen : "");
    this.#of = line;
    const names = this.#names;
    $("cameras").hidden = names.length < 2;
    const camera = this.camera;
    const wanted = this.#wanted;
    keep($("camera-choice"), names.map((name) => ({ name, seen: name === camera, coming: name === wanted && name !== camera })), (each) => each.name,
      ({ name, seen, coming }) => make("button", { type: "button", class: "small", "aria-pressed": String(seen), "data-focus": "camera", onclick: () => this.#see(name) },
        coming ? `${title(name)}…` : title(name)));
    keep($("corner-choice"), [NONE, ...names.filter((each) => each !== wanted)].map((name) => ({ name })), (each) => each.name,
      ({ name }) => make("option", { value: name }, name ? title(name) : "nothing"));
    const waits = this.#asked?.pip && line.link && !line.link.pip && performance.now() - this.#asked.at_ms > PATIENCE_MS;
    say($("corner-why"), waits ? "waits for room on the link" : "");
    const corner = this.#asked ? this.#asked.pip ?? NONE : this.#corner ?? NONE;
    if (document.activeElement !== $("corner-choice") && $("corner-choice").value !== corner) $("corner-choice").value = corner;
  }
}
