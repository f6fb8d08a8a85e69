// The data channel `stills`: pictures in parts that fit a message (docs/design/seams.md, "Pictures of a call").
//
// Each part: number of the still (32 bits), index of the part, count of parts (16 bits each), then bytes. All parts of a
// number, in order: the length of a JSON head (16 bits), the head, the JPEG. A higher number gives up the one before.

const HEADER_BYTES = 8;
const MOST_PARTS = 64;
const MOST_PART_BYTES = 16 * 1024;

export class StillParts {
  #number = -1;
  #parts = [];
  #missing = 0;

  /** A whole still { camera, at_utc_us, jpeg } when `data` (ArrayBuffer) completes one, else null: also for nonsense. */
  take(data) {
    if (!(data instanceof ArrayBuffer) || data.byteLength <= HEADER_BYTES || data.byteLength > MOST_PART_BYTES) return null;
    const head = new DataView(data);
    const [number, index, count] = [head.getUint32(0), head.getUint16(4), head.getUint16(6)];
    if (count < 1 || count > MOST_PARTS || index >= count || number < this.#number) return null;
    if (number > this.#number) {
      this.#number = number;
      this.#parts = new Array(count).fill(null);
      this.#missing = count;
    }
    if (this.#parts.length !== count || this.#parts[index]) return null;
    this.#parts[index] = new Uint8Array(data, HEADER_BYTES);
    this.#missing -= 1;
    return this.#missing === 0 ? whole(this.#parts) : null;
  }
}

function whole(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of parts) {
    bytes.set(each, at);
    at += each.length;
  }
  if (bytes.length < 2) return null;
  const head_bytes = new DataView(bytes.buffer).getUint16(0);
  try {
    const { camera, at_utc_us } = JSON.parse(new TextDecoder().decode(bytes.subarray(2, 2 + head_bytes)));
    const jpeg = bytes.slice(2 + head_bytes);
    if (typeof camera !== "string" || typeof at_utc_us !== "number" || jpeg[0] !== 0xff || jpeg[1] !== 0xd8) return null;
    return { camera, at_utc_us, jpeg };
  } catch {
    return null;
  }
}
