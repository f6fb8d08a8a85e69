// The camera pad. While something is held, short moves are sent again and again; letting go sends stop at once.
// A move that is not renewed ends by itself in the unit, so a lost stop cannot leave the dome turning.

const MOVE_EVERY_MS = 250;
const MOVE_LASTS_MS = 600;
const DEAD_ZONE = 0.18;
const MOST_IN_FLIGHT = 3;
const KEYS = {
  ArrowLeft: { pan: -1 }, ArrowRight: { pan: 1 }, ArrowUp: { tilt: 1 }, ArrowDown: { tilt: -1 },
  "+": { zoom: 1 }, "=": { zoom: 1 }, "-": { zoom: -1 }, "_": { zoom: -1 },
};
const KEY_SPEED = 0.6;

export class DomePad {
  #held = new Map();
  #timer = 0;
  #in_flight = 0;

  /** `order(fields)` sends a command and resolves when it is answered; `usable()` says whether there is a dome. */
  constructor(pad, stick, buttons, order, usable) {
    this.stick = stick;
    this.order = order;
    this.usable = usable;
    for (const button of buttons) this.#button(button);
    this.#drag(pad);
    addEventListener("keydown", (event) => this.#key(event, true));
    addEventListener("keyup", (event) => this.#key(event, false));
    addEventListener("blur", () => this.release());
    document.addEventListener("visibilitychange", () => document.hidden && this.release());
  }

  /** Let go of everything. */
  release() {
    if (this.#held.size === 0) return;
    this.#held.clear();
    this.#changed();
  }

  /** Turn at `speed` ({pan, tilt, zoom}, each -1..1) for as long as `what` is held. */
  hold(what, speed) {
    if (!this.usable()) return;
    this.#held.set(what, speed);
    this.#changed();
  }

  letGo(what) {
    if (this.#held.delete(what)) this.#changed();
  }

  /** One move that ends by itself, in the unit. */
  nudge(speed, duration_ms) {
    if (this.usable() && this.#held.size === 0) this.order({ cmd: "dome_move", ...speed, duration_ms });
  }

  #changed() {
    if (this.#held.size > 0) {
      if (!this.#timer) {
        this.#move();
        this.#timer = setInterval(() => this.#move(), MOVE_EVERY_MS);
      }
    } else {
      clearInterval(this.#timer);
      this.#timer = 0;
      this.order({ cmd: "dome_stop" });
    }
  }

  #move() {
    if (this.#in_flight >= MOST_IN_FLIGHT) return;
    const speed = { pan: 0, tilt: 0, zoom: 0 };
    for (const each of this.#held.values()) {
      for (const axis of Object.keys(speed)) speed[axis] += each[axis] ?? 0;
    }
    for (const axis of Object.keys(speed)) speed[axis] = Math.max(-1, Math.min(1, Number(speed[axis].toFixed(2))));
    this.#in_flight += 1;
    this.order({ cmd: "dome_move", ...speed, duration_ms: MOVE_LASTS_MS }).finally(() => (this.#in_flight -= 1));
  }

  #button(button) {
    const speed = {};
    for (const axis of ["pan", "tilt", "zoom"]) speed[axis] = Number(button.dataset[axis] ?? 0) * KEY_SPEED;
    const start = () => {
      button.classList.add("held");
      this.hold(button, speed);
    };
    const end = () => {
      button.classList.remove("held");
      this.letGo(button);
    };
    button.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      button.setPointerCapture(event.pointerId);
      start();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) button.addEventListener(name, end);
    button.addEventListener("keydown", (event) => (event.key === "Enter" || event.key === " ") && !event.repeat && start());
    button.addEventListener("keyup", (event) => (event.key === "Enter" || event.key === " ") && end());
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  #drag(pad) {
    const aim = (event) => {
      const box = pad.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 2 - 1;
      const y = ((event.clientY - box.top) / box.height) * 2 - 1;
      const far = Math.max(1, Math.hypot(x, y));
      const shown = { x: x / far, y: y / far };
      this.stick.style.transform = `translate(${shown.x * 62}px, ${shown.y * 62}px)`;
      const still = Math.hypot(x, y) < DEAD_ZONE;
      this.hold("drag", still ? {} : { pan: shown.x * Math.abs(shown.x), tilt: -shown.y * Math.abs(shown.y) });
    };
    const end = () => {
      this.stick.style.transform = "";
      this.letGo("drag");
    };
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      aim(event);
    });
    pad.addEventListener("pointermove", (event) => this.#held.has("drag") && aim(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) pad.addEventListener(name, end);
  }

  #key(event, down) {
    const way = KEYS[event.key];
    if (!way) return;
    if (!down) return this.letGo(`key ${event.key}`);
    if (event.ctrlKey || event.altKey || event.metaKey || typing(event.target) || !this.usable()) return;
    event.preventDefault();
    if (event.repeat) return;
    const speed = Object.fromEntries(Object.entries(way).map(([axis, sign]) => [axis, sign * KEY_SPEED]));
    this.hold(`key ${event.key}`, speed);
  }
}

export function typing(target) {
  return target instanceof Element && target.closest("input, textarea, select, dialog, video[controls]") !== null;
}
