import { unzipSync } from "fflate";

const END = 0x06054b50; // "PK\5\6", the first bytes of an archive's last record
const END_SIZE = 22;
const LONGEST_COMMENT = 0xffff;

/**
 * Returns a text file from the zip archive at the end of a model file, or null.
 *
 * TFLite metadata keep labels that way. Offsets in the archive may count from its own start or
 * from the model's.
 *
 * @throws Error if the archive is broken.
 */
export function attachedFile(bytes: Uint8Array, name: string): string | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const last = bytes.length - END_SIZE;
  for (let at = last; at >= Math.max(0, last - LONGEST_COMMENT); at--) {
    if (view.getUint32(at, true) !== END) continue;
    if (at + END_SIZE + view.getUint16(at + 20, true) !== bytes.length) continue; // weights
    const directory = view.getUint32(at + 12, true);
    const offset = view.getUint32(at + 16, true);
    const start = at - directory - offset;
    const files = unzipSync(bytes.subarray(start), { filter: (file) => file.name === name });
    const content = files[name];
    return content === undefined ? null : new TextDecoder().decode(content);
  }
  return null;
}
