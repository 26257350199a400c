import {expect, it} from 'vitest';

import {stepBytes} from './step_limits.js';

it('counts hidden rows twice, gathered ones, logits and what choosing takes', () => {
  const limits = {slots: 8, decodeRows: 8, narrowRows: 16, prefillRows: 2048, scoreRows: 16};
  const rows = (2 * 2048 + 16) * 8192 + 16 * (49152 * 4 + 48 * 160 + 49152 * 4);
  expect(stepBytes({hiddenSize: 4096, vocabularySize: 49152}, limits, 128)).toBe(
    Math.ceil(rows / 2 ** 21) * 2 ** 21 + 16 * 172 + 8 * 128 * 4,
  );
});

it('grows with the slots, whose logits are wanted at once', () => {
  const bytes = (slots: number) =>
    stepBytes({hiddenSize: 64, vocabularySize: 100_000}, {slots, decodeRows: 16, narrowRows: 16, prefillRows: 64, scoreRows: 16}, 4);
  expect(bytes(256)).toBeGreaterThan(14 * bytes(16));
});
