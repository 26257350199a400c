/** Text on its way to a file, as bytes: numbers and known text go in without becoming strings. */

const MIN_BYTES = 2 ** 14;
const [ZERO, POINT] = [48, 46];

/** The digits of 000 to 999. */
const DIGITS = Uint8Array.from({length: 3000}, (_, at) => ZERO + (Math.floor(at / 3 / [100, 10, 1][at % 3]!) % 10));

export class LineBuffer {
  #bytes: Buffer;
  #length = 0;
  /** Digits of the last time's part above a second, which most times share. */
  #seconds = -1;
  #secondDigits = new Uint8Array(0);

  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(bytes, MIN_BYTES));
  }

  get length(): number {
    return this.#length;
  }

  /** What was added; valid until more is. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets what was added after the first `length` bytes. */
  cut(length: number): void {
    this.#length = length;
  }

  addText(text: string): void {
    // As long as UTF-8 can be.
    this.#makeRoom(3 * text.length);
    this.#length += this.#bytes.write(text, this.#length);
  }

  addBytes(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A whole number from 0 below 2^53. */
  addInteger(value: number): void {
    this.#makeRoom(24);
    if (value < 1e9) this.#addSmall(value);
    else {
      const high = Math.floor(value / 1e9);
      this.#addSmall(high);
      this.#addThree(Math.floor((value - high * 1e9) / 1e6));
      this.#addThree(Math.floor((value % 1e6) / 1000));
      this.#addThree(value % 1000);
    }
  }

  /** Nanoseconds from 0 below 2^53, as microseconds with three places. */
  addMicros(nanoseconds: number): void {
    this.#makeRoom(24);
    const seconds = Math.floor(nanoseconds / 1e9);
    const rest = nanoseconds - seconds * 1e9;
    const thousandths = Math.floor(rest / 1e6);
    const micros = Math.floor(rest / 1000) - thousandths * 1000;
    if (seconds > 0) {
      if (seconds !== this.#seconds) {
        this.#secondDigits = Buffer.from(String(seconds));
        this.#seconds = seconds;
      }
      for (const digit of this.#secondDigits) this.#bytes[this.#length++] = digit;
      this.#addThree(thousandths);
      this.#addThree(micros);
    } else if (thousandths > 0) {
      this.#addSmall(thousandths);
      this.#addThree(micros);
    } else this.#addSmall(micros);
    this.#bytes[this.#length++] = POINT;
    this.#addThree(rest % 1000);
  }

  /** Below 10^9. */
  #addSmall(value: number): void {
    const start = this.#length;
    let digits = 1;
    for (let power = 10; power <= value; power *= 10) digits++;
    let left = value;
    for (let at = start + digits - 1; at >= start; at--) {
      const next = Math.floor(left / 10);
      this.#bytes[at] = ZERO + (left - next * 10);
      left = next;
    }
    this.#length += digits;
  }

  #addThree(value: number): void {
    const [bytes, at] = [this.#bytes, this.#length];
    bytes[at] = DIGITS[3 * value]!;
    bytes[at + 1] = DIGITS[3 * value + 1]!;
    bytes[at + 2] = DIGITS[3 * value + 2]!;
    this.#length += 3;
  }

  #makeRoom(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * (this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
