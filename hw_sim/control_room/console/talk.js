// The voices: answering, this computer's microphone (always open or push to talk, muted or not), and what is open on the
// street (the caller's microphone, the horn, quiet mode). Push to talk and mute are this page's; the rest is the unit's
// and the same for every operator.

import { say } from "./lists.js";

const RINGING = ["raised", "sent", "received"];
const MODE = "talk-mode";
const $ = (id) => document.getElementById(id);

export class Talk {
  #held = false;
  muted = false;

  /** `page`: { call(), line(), unit(), server(), order(fields, done), notice(words), show(), context }. */
  constructor(page) {
    this.page = page;
    this.push = localStorage.getItem(MODE) === "push";
    $("accept").addEventListener("click", () => this.accept());
    $("answer").addEventListener("click", () => this.answer());
    $("mute").addEventListener("click", () => this.mute());
    $("push").addEventListener("click", () => this.pushToTalk(true));
    const hold = $("hold");
    hold.addEventListener("pointerdown", (event) => {
      hold.setPointerCapture(event.pointerId);
      this.hold(true);
    });
    for (const name of ["pointerup", "pointercancel", "blur"]) hold.addEventListener(name, () => this.hold(false));
    hold.addEventListener("keydown", (event) => [" ", "Enter"].includes(event.key) && !event.repeat && this.hold(true));
    hold.addEventListener("keyup", (event) => [" ", "Enter"].includes(event.key) && this.hold(false));
    hold.addEventListener("contextmenu", (event) => event.preventDefault());
    addEventListener("blur", () => this.hold(false));
    for (const [id, level] of [["mute-caller", "mute_microphone"], ["mute-horn", "mute_horn"], ["quiet", "quiet"]]) {
      $(id).addEventListener("click", () => this.#setSound(level));
    }
  }

  /** Whether holding the space bar means something now. */
  get wantsSpace() {
    return Boolean(this.page.line()?.voices) && this.push;
  }

  accept() {
    const call = this.page.call();
    if (!$("accept").disabled && !$("accept").hidden) this.page.order({ cmd: "accept", incident_id: call.incident_id });
  }

  async answer() {
    const call = this.page.call();
    const line = this.page.line();
    if (!call || !line || $("answer").disabled || $("answer").hidden) return;
    this.page.context.resume();
    this.muted = false;
    line.talking = !this.push;
    const opening = line.openVoices(Boolean(call.watch));
    if (!call.watch && call.stage !== "answered") {
      const reply = await this.page.order({ cmd: "answer", incident_id: call.incident_id });
      if (reply.result !== "done") return;
    }
    const problem = await opening;
    if (problem) this.page.notice(call.watch ? `You cannot speak: ${problem}.` : `You hear the caller but cannot speak: ${problem}.`);
    this.page.show();
    const at = document.activeElement; // the button that was pressed is gone
    if (!at || at === document.body || !at.checkVisibility()) $(this.push ? "hold" : "call").focus();
  }

  mute() {
    if ($("mute").disabled || $("mute").hidden) return;
    this.muted = !this.muted;
    this.#apply();
  }

  /** After a click the focus moves on to "hold to talk", so that Space does what its label says. */
  pushToTalk(clicked = false) {
    if ($("push").disabled || $("push").hidden) return;
    this.push = !this.push;
    localStorage.setItem(MODE, this.push ? "push" : "open");
    this.#apply();
    if (clicked && this.push) $("hold").focus();
  }

  hold(held) {
    if (held && ($("hold").disabled || $("hold").hidden)) return;
    if (this.#held === held) return;
    this.#held = held;
    $("hold").classList.toggle("held", held);
    this.#apply();
  }

  #apply() {
    this.page.line()?.setTalking(!this.muted && (!this.push || this.#held));
    this.page.show();
  }

  #setSound(level) {
    const call = this.page.call();
    if (!call || call.watch) return;
    const sound = { mute_microphone: false, mute_horn: false, quiet: false, ...call.sound };
    this.page.order({ cmd: "set_sound", incident_id: call.incident_id, ...sound, [level]: !sound[level] });
  }

  show(call) {
    const line = this.page.line();
    const here = Boolean(this.page.unit()?.online) && this.page.server();
    const voices = line?.voices ?? false;
    const watch = Boolean(call.watch);
    $("accept").disabled = !here || !RINGING.includes(call.stage);
    $("accept").hidden = watch || voices || call.stage === "answered";
    $("answer").hidden = voices || (watch && !call.watch.announce);
    $("answer").disabled = !here;
    say($("answer-words"), watch ? "Speak" : call.stage === "answered" ? "Join the voices" : "Answer");
    for (const id of ["mute", "push", "voices"]) $(id).hidden = !voices;
    $("hold").hidden = !voices || !this.push;
    const mic = line?.microphone ?? null;
    $("mute").disabled = $("push").disabled = !mic;
    $("hold").disabled = !mic || this.muted;
    toggle($("mute"), this.muted);
    say($("mute-words"), this.muted ? "Muted" : "Mute");
    toggle($("push"), this.push);
    say($("mic-words"), !mic ? "You are not heard: no microphone" : call.sound?.mute_horn ? "You are not heard: the horn is muted"
      : line.heardThere ? "You are heard on the street" : this.muted ? "You are not heard: muted" : "You are not heard now: hold to talk");
    $("caller-voice").hidden = watch;
    this.#showStreet(call, here);
  }

  #showStreet(call, here) {
    $("street").hidden = Boolean(call.watch);
    for (const [id, level, on, off] of [
      ["mute-caller", "mute_microphone", "Caller's microphone is off", "Turn the caller's microphone off"],
      ["mute-horn", "mute_horn", "Horn is off", "Turn the horn off"],
      ["quiet", "quiet", "Quiet mode is on", "Quiet mode"],
    ]) {
      const set = Boolean(call.sound?.[level]);
      toggle($(id), set);
      say($(id), set ? on : off);
      $(id).disabled = !here;
    }
  }
}

function toggle(button, on) {
  button.setAttribute("aria-pressed", String(on));
}
