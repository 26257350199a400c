import {expect, it} from 'vitest';

import {LineBuffer} from './line_buffer.js';

function added(add: (lines: LineBuffer) => void): string {
  const lines = new LineBuffer(0);
  add(lines);
  return lines.bytes.toString();
}

const WHOLE = [0, 7, 10, 99, 100, 999, 1000, 123_456, 999_999_999, 1e9, 4_294_967_295, 1e12, 123_456_789_012_345, 2 ** 53 - 1];

it.each(WHOLE)('writes %d', (value) => {
  expect(added((lines) => lines.addInteger(value))).toBe(String(value));
});

it.each(WHOLE)('writes %d ns as microseconds that are read back to the nanosecond', (value) => {
  const text = added((lines) => lines.addMicros(value));
  expect(text).toBe(`${BigInt(value) / 1000n}.${String(BigInt(value) % 1000n).padStart(3, '0')}`);
});

it('writes times of one second and of the next', () => {
  const times = [5_000_000_001, 5_999_999_999, 6_000_000_000, 12, 6_000_001_000];
  const text = added((lines) => {
    for (const time of times) {
      lines.addMicros(time);
      lines.addText(' ');
    }
  });
  expect(text).toBe('5000000.001 5999999.999 6000000.000 0.012 6000001.000 ');
});

it('grows with what is added, and is cut to what is wanted', () => {
  const lines = new LineBuffer(0);
  const long = 'ä€'.repeat(20_000);
  lines.addText(long);
  const {length} = lines;
  lines.addBytes(Buffer.from('the rest'));
  expect(lines.bytes.toString()).toBe(`${long}the rest`);
  lines.cut(length);
  expect(lines.bytes.toString()).toBe(long);
  lines.cut(0);
  expect(lines.length).toBe(0);
});
