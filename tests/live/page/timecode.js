// The time code of hw_sim/world/timecode.py, read from the pixels of the block alone (2 rows of 20 cells).

const ROWS = 2;
const COLS = 20;
const LEAST_CONTRAST = 60;

/** The monotonic milliseconds in the picture, or null. `image`: ImageData of exactly the block. */
export function readTimeCode(image) {
  const cell = (row, col) => {
    const y = Math.floor(((row + 0.5) * image.height) / ROWS);
    const x = Math.floor(((col + 0.5) * image.width) / COLS);
    let sum = 0;
    for (let dx = -1; dx <= 1; dx++) {
      const at = 4 * (y * image.width + x + dx);
      sum += image.data[at] + image.data[at + 1] + image.data[at + 2];
    }
    return sum / 9;
  };
  const white = Math.min(cell(0, 0), cell(1, 0));
  const black = Math.max(cell(0, 1), cell(1, 1));
  if (white - black < LEAST_CONTRAST) return null;
  let value = 0;
  let check = 0b1010;
  let nibble = 0;
  for (let bit = 0; bit < 36; bit++) {
    const row = bit < 18 ? 0 : 1;
    const is_white = cell(row, 2 + (bit % 18)) > (white + black) / 2 ? 1 : 0;
    nibble = nibble * 2 + is_white;
    if (bit % 4 !== 3) continue;
    if (bit < 32) {
      value = value * 16 + nibble;
      check ^= nibble;
    } else if (nibble !== check) return null;
    nibble = 0;
  }
  return value;
}
