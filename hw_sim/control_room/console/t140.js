// Real-time text: what ITU-T T.140 needs of a conversation in letters. Pure: no page, no network.
//
// U+0008 takes the last letter back, U+2028 (or CR, LF) ends a line. Letters are counted by code points, as a person
// who presses the erase key sees them, so that one U+0008 takes back a whole one.

export const ERASE = "\u0008";
export const NEW_LINE = "\u2028";
const LOST = "\ufffd";
const MOST_LETTERS = 1000;
const MOST_LINES = 200;

/** What to send so that a far end that shows `before` shows `after`: erase to where they part, then the rest. */
export function difference(before, after) {
  const old = [...before];
  const fresh = [...after];
  let same = 0;
  while (same < old.length && same < fresh.length && old[same] === fresh[same]) same += 1;
  return ERASE.repeat(old.length - same) + fresh.slice(same).join("");
}

/** Pieces of at most `most` UTF-16 units, never through a letter. */
export function pieces(text, most) {
  const found = [""];
  for (const letter of text) {
    if (found.at(-1).length + letter.length > most) found.push("");
    found[found.length - 1] += letter;
  }
  return found.filter(Boolean);
}

/** One writer's side of the conversation: `lines` that are finished (text only), and the `open` one. */
export class Writing {
  #letters = [];
  lines = [];
  total = 0;

  get open() {
    return this.#letters.join("");
  }

  /** Take in what came; returns the lines that it finished. */
  take(text) {
    const finished = [];
    let after_return = false;
    for (const letter of text) {
      const ends = letter === NEW_LINE || letter === "\r" || letter === "\n" || letter === "\u2029";
      if (ends) {
        if (!(letter === "\n" && after_return)) finished.push(this.#end());
      } else if (letter === ERASE || letter === "\u007f") this.#letters.pop();
      else if (letter === LOST || letter >= " ") {
        if (letter !== "\ufeff" && this.#letters.length < MOST_LETTERS) this.#letters.push(letter);
      }
      after_return = letter === "\r";
    }
    return finished.filter(Boolean);
  }

  #end() {
    const line = this.open.trim();
    this.#letters = [];
    if (line) {
      this.total += 1;
      this.lines = [...this.lines, line].slice(-MOST_LINES);
    }
    return line;
  }
}
