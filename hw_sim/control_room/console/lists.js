// Lists that keep their elements (and so the focus) from state to state, and the three lists of the console.

import { about, clockTime, dayAndTime, duration, faultWords, kindWords, megabytes, OUTCOMES, STAGES, stillTime, stillWords } from "./words.js";

const ISOLATE_S = 3600;

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Set text only when it differs, so that live regions and selections are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make `parent` hold one element for each item, in order; an element is made anew only when its item has changed. */
export function keep(parent, items, key, build) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const name = String(key(item));
    const print = JSON.stringify(item);
    let element = old.get(name);
    if (!element || element.print !== print) {
      const focused = element?.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
      const fresh = build(item);
      if (element?.querySelector("details[open]")) fresh.querySelector("details")?.setAttribute("open", "");
      fresh.dataset.key = name;
      fresh.print = print;
      if (element) element.replaceWith(fresh);
      if (focused) fresh.querySelector(`[data-focus="${focused}"]`)?.focus();
      element = fresh;
    }
    old.delete(name);
    return element;
  });
  for (const gone of old.values()) gone.remove();
  wanted.forEach((element, index) => {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
  });
}

export function faultList(faults) {
  return faults.map((fault) => make("li", {}, faultWords(fault)));
}

/** One still, small; it opens in a tab of its own. */
export function stillThumb(still) {
  const words = stillWords(still);
  return make("li", {},
    make("a", { href: still.url, target: "_blank", rel: "noopener", "data-focus": "still" },
      make("img", { src: still.url, alt: words, width: String(still.width), height: String(still.height) }),
      make("span", { "aria-hidden": "true" }, make("b", {}, still.camera), ` ${stillTime(still)}`)));
}

export function callRow(incident, current, choose) {
  const ringing = ["raised", "sent", "received"].includes(incident.stage);
  const watch = incident.kind === "watch";
  return make("li", {},
    make("button", {
      type: "button", class: `row${ringing ? " ringing" : ""}`, "aria-current": String(current), "data-focus": "row",
      onclick: () => choose(incident.incident_id),
    },
    make("span", { class: "grow" }, make("b", {}, incident.site?.name ?? incident.unit),
      make("small", {}, watch ? `Watched by ${incident.by}` : `${STAGES[incident.stage]} · ${kindWords(incident)}`)),
    ...(watch ? [] : [make("span", { class: "time", "data-since": incident.since_ms }, clockTime((performance.now() - incident.since_ms) / 1000))])));
}

export function unitRow(unit, maintain, watch) {
  const heard = unit.silent_s < 90;
  const good = unit.online && heard && unit.armed && !unit.cut_off;
  const words = unit.cut_off ? "Cannot be heard from here now" : !unit.online ? "Not connected" : !heard ? "Silent" : unit.armed ? "Armed and heard" : "Connected, not armed";
  const row = make("li", { class: "unit" },
    make("b", {}, unit.site?.name ?? unit.unit),
    make("small", {}, [unit.unit, unit.signal].filter(Boolean).join(" · ")),
    make("p", { class: `status ${good ? "good" : "bad"}` }, words));
  if (unit.isolation) {
    row.append(make("p", { class: "status wait" }, `${unit.isolation.by} is working on it${unit.isolation.reason ? `: ${unit.isolation.reason}` : ""} (${about(unit.isolation.ends_in_s)} left)`));
  }
  if (unit.faults.length) row.append(make("ul", { class: "faults" }, ...faultList(unit.faults)));
  const name = unit.site?.name ?? unit.unit;
  if (!unit.calls && !unit.watch) {
    row.append(make("div", { class: "chips" }, make("button", {
      type: "button", class: "small", "data-focus": "watch", "aria-label": `Watch or announce at ${name}`, onclick: () => watch(unit),
      ...(unit.online && !unit.cut_off ? {} : { disabled: "" }),
    }, "Watch or announce…")));
  }
  row.append(maintenance(unit, maintain));
  return row;
}

function maintenance(unit, maintain) {
  const button = (words, fields, done) => make("button", {
    type: "button", class: "small", "data-focus": fields.cmd, onclick: () => maintain(unit.unit, fields, done),
    ...(unit.online && !unit.cut_off ? {} : { disabled: "" }),
  }, words);
  const isolate = unit.isolation
    ? button("Work is done", { cmd: "end_isolation" }, "The unit's own alarms count again")
    : button("Isolate 1 h", { cmd: "isolate", for_s: ISOLATE_S, reason: "" }, "Its own alarms rest for an hour; a press is a panic all the same");
  return make("details", {}, make("summary", {}, "Maintenance"),
    make("div", { class: "chips" }, button("Raise a test call", { cmd: "raise_test" }, "The unit raises a test call"), isolate));
}

export function pastRow(incident, play) {
  const name = incident.site?.name ?? incident.unit;
  const tone = { genuine: "", hoax: "wait", test: "plain", fault: "wait" }[incident.outcome] ?? "plain";
  const what = make("div", { class: "what" },
    make("p", {}, make("span", { class: `badge ${tone}` }, OUTCOMES[incident.outcome] ?? "Closed by the unit"), " ", make("b", {}, name)),
    make("p", { class: "figures" },
      make("span", {}, dayAndTime(incident.received_utc_us)),
      make("span", {}, `lasted ${duration(incident.duration_s)}`),
      make("span", {}, incident.answered_by ? `answered by ${incident.answered_by} after ${duration(incident.waiting_s)}` : "not answered")));
  if (incident.note) what.append(make("p", { class: "note" }, incident.note));
  return make("li", {}, what, clipPart(incident, name, play));
}

function clipPart(incident, name, play) {
  const clip = incident.clip;
  const box = make("div", { class: "clip" });
  if (clip.state === "ready") {
    box.append(
      make("button", { type: "button", class: "play", "data-focus": "play", onclick: () => play(incident), "aria-label": `Play the recording of ${name}` }, "▶ Play"),
      make("a", { class: "button", "data-focus": "download", href: `${clip.url}?download`, download: "", "aria-label": `Download the recording of ${name}` },
        `Download ${megabytes(clip.size_bytes)}`));
  } else {
    const words = incident.stage === "closing" || clip.state === "none" ? "Recording goes on for a moment"
      : clip.state === "arriving" ? "Recording is arriving"
        : clip.error ? `Recording: ${clip.error}; trying again` : "Recording asked for";
    box.append(make("span", { class: "hint" }, words));
  }
  return box;
}
