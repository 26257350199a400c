/** Walks a GGUF file's header: little-endian numbers and strings, each checked against what is left of the file. */

import {FormatError} from '../../errors.js';
import type {InputFile} from '../input_file.js';

const WINDOW = 1 << 20;

/** No sound header is longer: a vocabulary of a quarter of a million tokens takes some ten megabytes. */
const MAX_HEADER = 1 << 27;
/** Nor holds a longer string; a chat template takes some kilobytes. */
const MAX_STRING = 1 << 24;

const strictUtf8 = new TextDecoder('utf-8', {fatal: true, ignoreBOM: true});

export class Cursor {
  private window = Buffer.alloc(0);
  /** Where in the file the window starts. */
  private start = 0;
  /** Where in the window the next byte is. */
  private at = 0;

  constructor(private readonly file: InputFile) {}

  get path(): string {
    return this.file.path;
  }

  /** Byte offset in the file. */
  get position(): number {
    return this.start + this.at;
  }

  get remaining(): number {
    return this.file.size - this.position;
  }

  /** FormatError ERR_GGUF with the byte offset, by default where the cursor is. */
  error(problem: string, position = this.position): FormatError {
    return new FormatError('ERR_GGUF', this.file.path, `${problem} at byte ${position}`);
  }

  /** Makes the next `length` bytes available to the `take` methods. `what` is named if the file ends before. */
  async need(length: number, what: string): Promise<void> {
    if (this.window.length - this.at >= length) return;
    if (length > this.remaining) throw this.error(`truncated: ${what} takes ${length} bytes, ${this.remaining} are left`);
    const position = this.position;
    if (position + length > MAX_HEADER) throw this.error(`the header does not end within the ${MAX_HEADER} bytes allowed; ${what}`);
    const window = Buffer.allocUnsafeSlow(Math.min(Math.max(length, WINDOW), this.file.size - position));
    await this.file.readInto(window, position);
    this.window = window;
    this.start = position;
    this.at = 0;
  }

  takeUint8(): number {
    return this.window[this.at++]!;
  }

  takeUint32(): number {
    const value = this.window.readUInt32LE(this.at);
    this.at += 4;
    return value;
  }

  takeUint64(): bigint {
    const value = this.window.readBigUInt64LE(this.at);
    this.at += 8;
    return value;
  }

  /** A copy of the next bytes, at the start of a buffer of its own. */
  takeBytes(length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    bytes.set(this.window.subarray(this.at, this.at + length));
    this.at += length;
    return bytes;
  }

  /** A count or length of `what`, at most `limit`; `unit` is the fewest bytes that one of them takes. */
  async count(what: string, unit: number, limit: number): Promise<number> {
    await this.need(8, `the number of ${what}`);
    const position = this.position;
    const value = this.takeUint64();
    const most = Math.floor(this.remaining / unit);
    if (value > BigInt(most)) throw this.error(`${value} ${what} cannot fit in the ${this.remaining} bytes that follow`, position);
    if (value > BigInt(limit)) throw this.error(`${value} ${what} are more than the ${limit} allowed`, position);
    return Number(value);
  }

  /** With `strict`, bytes that are not UTF-8 are an error; otherwise they become U+FFFD. */
  async string(what: string, strict = false): Promise<string> {
    const position = this.position;
    const length = await this.count(`bytes of ${what}`, 1, MAX_STRING);
    await this.need(length, what);
    const bytes = this.window.subarray(this.at, this.at + length);
    this.at += length;
    if (!strict) return bytes.toString('utf8');
    try {
      return strictUtf8.decode(bytes);
    } catch {
      throw this.error(`${what} is not UTF-8`, position);
    }
  }

  /** The next string if the window holds it whole, else undefined: the quick road through large vocabularies. */
  tryString(): string | undefined {
    const {window, at} = this;
    if (window.length - at < 8) return undefined;
    const length = window.readUInt32LE(at);
    if (window.readUInt32LE(at + 4) !== 0 || length > window.length - at - 8) return undefined;
    this.at = at + 8 + length;
    return window.toString('utf8', at + 8, at + 8 + length);
  }
}
