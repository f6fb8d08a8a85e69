// Codes of the wire in a person's words.

export const KINDS = {
  panic: "Help button pressed",
  voice: "A cry for help was heard",
  intrusion: "Somebody where nobody should be",
  tamper: "The unit is being tampered with",
  test: "Test call",
};

/** What kind of call it is; a periodic test is told from one that an engineer raised. */
export function kindWords(incident) {
  return incident.kind === "test" && incident.origin === "periodic" ? "Periodic test: answer it as any call" : KINDS[incident.kind];
}

/** "asked: council, then police", or "" where no control rooms are configured. */
export function askedWords(asked) {
  return (asked ?? []).join(", then ");
}

/** How often this unit called in a day; for the operator's eye only. */
export function recentWords(incident) {
  const { recent_incidents: calls, recent_hoaxes: hoaxes } = incident;
  if (!calls) return "";
  return `${calls} ${calls === 1 ? "call" : "calls"} in the last day${hoaxes ? `, ${hoaxes} closed as a hoax` : ""}`;
}

export const STAGES = {
  raised: "Ringing", sent: "Ringing", received: "Ringing", accepted: "Accepted",
  answered: "Answered, voices open", closing: "Closing", closed: "Closed",
};

export const OUTCOMES = { genuine: "Genuine", hoax: "Hoax", test: "Test", fault: "Fault", unknown: "Not known" };

export const CLOCKS = {
  synced: "right, set by the network",
  held: "was right, has lost its time source",
  unknown: "not known to be right; go by this control room's time",
};

const FAULTS = {
  camera_lost: (s) => `The camera ${s} cannot be reached: no picture from it`,
  camera_codec: (s) => `The camera ${s} sends a kind of video that a call cannot show; it is recorded`,
  camera_stalled: (s) => `The camera ${s} has stopped sending pictures`,
  disk_full: () => "The disk is full: footage may not be kept",
  disk_error: () => "The disk refuses to write: footage may not be kept",
  disk_hung: () => "The disk does not answer: footage may not be kept",
  evidence_full: () => "Footage that is kept fills the disk: room for the next incident is short; release what nobody needs",
  evidence_missing: () => "The disk for footage is missing: nothing is recorded",
  signing_failed: () => "The unit cannot sign what it records",
  chain_went_back: () => "The log of what was recorded has become shorter: somebody should look at the unit",
  sound_lost: (s) => ({ mic: "The microphone is missing: the caller is not heard", horn: "The horn is missing: you are not heard on the street" }[s] ??
    "Microphone or horn is missing: no voice"),
  call_failed: () => "The live call cannot be made",
  modem_lost: () => "The modem is missing",
  modem_hung: () => "The modem does not answer",
  sim_missing: () => "No SIM card",
  sim_pin: () => "The SIM card wants its PIN",
  not_registered: () => "Not registered on the mobile network",
  dome_lost: () => "The dome does not obey: the camera cannot be turned",
  broker_lost: (s) => `One way of reporting is down${s ? ` (${s})` : ""}`,
  worker_lost: (s) => `Part of the unit is not running${s ? `: ${s}` : ""}`,
  button_cable: () => "The button's cable is probably cut: a press might not be noticed",
  button_disagrees: () => "One of the button's two lines does not work; a press is still noticed",
  button_lost: () => "The button cannot be read: a press would not be noticed",
  sms_refused: (s) => `Text messages to ${s || "a duty number"} are refused`,
  canceller_failed: () => "Echo on the street is not taken out: use push to talk",
  sound_file_bad: () => "One of the site's own recordings is not used",
  speech_failed: () => "Typed words cannot be spoken on the street; recorded warnings work",
  test_unanswered: () => "Nobody answered its last test call",
  button_stuck: () => "The button is stuck",
  clock_unknown: () => "The unit does not know the time",
  control_room_silent: () => "The unit has not heard this control room for a while",
  outbox_memory_only: () => "Alarms are held in memory only: a power cut would lose them",
  outbox_quarantine: () => "An alarm on the unit's disk could not be read; it is kept for an engineer",
};

export function faultWords(fault) {
  const words = FAULTS[fault.code]?.(fault.subject) ?? (fault.text || fault.code.replaceAll("_", " "));
  return words.replace(/\s+/g, " ");
}

/** 75 -> "1:15", 4000 -> "1:06:40". */
export function clockTime(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor(s / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

/** 75 -> "1 min 15 s". */
export function duration(seconds) {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
}

/** 14300 -> "about 4 h", 500 -> "about 8 min": for what need not be watched to the second. */
export function about(seconds) {
  if (seconds < 90) return "a minute or less";
  return seconds < 5400 ? `about ${Math.round(seconds / 60)} min` : `about ${Math.round(seconds / 3600)} h`;
}

export function timeOfDay(utc_us) {
  return new Date(utc_us / 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

export function dayAndTime(utc_us) {
  const at = new Date(utc_us / 1000);
  const today = at.toDateString() === new Date().toDateString();
  const day = today ? "Today" : at.toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" });
  return `${day} ${timeOfDay(utc_us)}`;
}

export function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const ABBREVIATIONS = { cctv: "CCTV" };

/** "move_on" -> "Move on". */
/** When it was taken; by our clock when the unit does not know the time. */
export function stillTime(still) {
  return still.clock === "unknown" ? `received ${timeOfDay(still.received_utc_us)}` : timeOfDay(still.utc_us);
}

export function stillWords(still) {
  return `Still picture from the camera ${still.camera}, ${still.clock === "unknown" ? "" : "taken at "}${stillTime(still)}`;
}

export function title(name) {
  if (ABBREVIATIONS[name]) return ABBREVIATIONS[name];
  const words = name.replaceAll(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function position(site) {
  if (site?.latitude == null || site?.longitude == null) return "not given";
  return `${site.latitude.toFixed(5)}, ${site.longitude.toFixed(5)}`;
}
