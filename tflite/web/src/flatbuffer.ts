/**
 * A table of a flatbuffer, read field by field.
 *
 * Every access is checked against the file's end, and a broken file throws a RangeError:
 * the files come from the user.
 */
export class Table {
  constructor(
    private readonly view: DataView,
    private readonly position: number,
  ) {}

  /** Returns the root table of a file. */
  static root(bytes: Uint8Array): Table {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new Table(view, view.getUint32(0, true));
  }

  /** Returns the unsigned byte in a field, or `missing`. */
  byte(field: number, missing = 0): number {
    const at = this.at(field);
    return at === null ? missing : this.view.getUint8(at);
  }

  /** Returns the unsigned 32-bit number in a field, or 0. */
  number(field: number): number {
    const at = this.at(field);
    return at === null ? 0 : this.view.getUint32(at, true);
  }

  /** Returns the unsigned 64-bit number in a field, or 0. */
  long(field: number): number {
    const at = this.at(field);
    return at === null ? 0 : Number(this.view.getBigUint64(at, true));
  }

  /** Returns the text in a field, or null. */
  text(field: number): string | null {
    const bytes = this.bytes(field);
    return bytes && new TextDecoder().decode(bytes);
  }

  /** Returns the vector of bytes in a field, or null. */
  bytes(field: number): Uint8Array | null {
    const vector = this.vector(field, 1);
    if (vector === null) return null;
    return new Uint8Array(this.view.buffer, this.view.byteOffset + vector.start, vector.length);
  }

  /** Returns the vector of signed 32-bit numbers in a field; empty if it is missing. */
  integers(field: number): number[] {
    return this.elements(field, (at) => this.view.getInt32(at, true));
  }

  /** Returns the vector of 32-bit floats in a field; empty if it is missing. */
  floats(field: number): number[] {
    return this.elements(field, (at) => this.view.getFloat32(at, true));
  }

  /** Returns the table in a field, or null. */
  table(field: number): Table | null {
    const at = this.at(field);
    return at === null ? null : this.follow(at);
  }

  /** Returns the vector of tables in a field; empty if it is missing. */
  tables(field: number): Table[] {
    return this.elements(field, (at) => this.follow(at));
  }

  private elements<T>(field: number, read: (at: number) => T): T[] {
    const vector = this.vector(field, 4);
    if (vector === null) return [];
    return Array.from({ length: vector.length }, (_, index) => read(vector.start + 4 * index));
  }

  private vector(field: number, size: number): { start: number; length: number } | null {
    const at = this.at(field);
    if (at === null) return null;
    const start = at + this.view.getUint32(at, true);
    const length = this.view.getUint32(start, true);
    if (start + 4 + size * length > this.view.byteLength) {
      throw new RangeError("a vector ends behind the file");
    }
    return { start: start + 4, length };
  }

  private follow(at: number): Table {
    return new Table(this.view, at + this.view.getUint32(at, true));
  }

  /** Returns where a field stands, or null. */
  private at(field: number): number | null {
    const directory = this.position - this.view.getInt32(this.position, true);
    const entry = 4 + 2 * field;
    if (entry >= this.view.getUint16(directory, true)) return null;
    const offset = this.view.getUint16(directory + entry, true);
    return offset === 0 ? null : this.position + offset;
  }
}
