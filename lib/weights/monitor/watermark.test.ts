import {expect, it} from 'vitest';

import {Watermark} from './watermark.js';

it('tells of each mark once, and of nothing between them', () => {
  const mark = new Watermark({high: 0.9, low: 0.8});
  const passed = [0.5, 0.89, 0.9, 0.99, 0.89, 0.81, 0.95, 0.8, 0.85, 0.8, 0.9].map((share) => mark.update(share));
  expect(passed).toEqual([undefined, undefined, 'high', undefined, undefined, undefined, undefined, 'low', undefined, undefined, 'high']);
  expect(mark.isHigh).toBe(true);
});
