import {expect, it} from 'vitest';

import {stepBytes} from './step_limits.js';

it('counts hidden rows twice, gathered ones, logits and what choosing takes', () => {
  const limits = {slots: 8, decodeRows: 8, narrowRows: 16, prefillRows: 2048, scoreRows: 16};
  // 2 x 16 MiB; 16 x 8 KiB; 16 x 192 KiB; 16 x (48 x 160 + 192 KiB) in 3.5 MiB; records; pages.
  const MIB = 2 ** 20;
  expect(stepBytes({hiddenSize: 4096, vocabularySize: 49152}, limits, 128)).toBe(32 * MIB + 128 * 1024 + 3 * MIB + 3.5 * MIB + 3072 + 4096);
});

it('grows with the slots, whose logits are wanted at once', () => {
  const bytes = (slots: number) =>
    stepBytes({hiddenSize: 64, vocabularySize: 100_000}, {slots, decodeRows: 16, narrowRows: 16, prefillRows: 64, scoreRows: 16}, 4);
  expect(bytes(256)).toBeGreaterThan(14 * bytes(16));
});
