import {expect, it} from 'vitest';

import {formatMemory, memoryOption} from './format_memory.js';

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '0.98 KiB'],
  [5 * 2 ** 20, '5.00 MiB'],
  [99.96 * 2 ** 20, '100 MiB'],
  [23.5 * 2 ** 30, '23.5 GiB'],
  [3000 * 2 ** 40, '3000 TiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatMemory(bytes)).toBe(text);
});

it('never gives less than there is, as an option', () => {
  expect(memoryOption(3 * 2 ** 20)).toBe('3MiB');
  expect(memoryOption(3 * 2 ** 20 + 1)).toBe('4MiB');
});
