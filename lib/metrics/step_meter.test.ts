import {expect, it} from 'vitest';

import {ModelMetrics} from './model_metrics.js';
import {type StepCounts, StepMeter} from './step_meter.js';

function setUp() {
  const meter = new StepMeter();
  const metrics = new ModelMetrics();
  const counts = {prefillSteps: 0, decodeSteps: 0, decodeRows: 0, weights: {blocks: 0, computeWaitSeconds: 0, hostWaitSeconds: 0}};
  let reads = 0;
  const at = (now: number, busy: boolean, changes: Partial<StepCounts> = {}) => {
    Object.assign(counts, changes);
    const read = () => {
      reads++;
      return structuredClone(counts);
    };
    meter.tokensCame(now, busy, read, metrics);
  };
  const seen = (name: 'step' | 'batch' | 'weightsWait') => {
    const {sum} = metrics.histograms[name];
    return {sum, count: metrics.histograms[name].cumulative().at(-1)};
  };
  return {at, seen, reads: () => reads};
}

it('shares the time between its steps, and their rows', () => {
  const {at, seen} = setUp();
  at(1000, true, {prefillSteps: 1, decodeSteps: 1, decodeRows: 1});
  at(1020, true, {prefillSteps: 2, decodeSteps: 5, decodeRows: 13});
  expect(seen('step')).toEqual({sum: expect.closeTo(0.02), count: 5});
  expect(seen('batch')).toEqual({sum: 12, count: 4});
  expect(seen('weightsWait').count).toBe(0);
});

it('reads no more than once in 10 ms, and at the end of the last request', () => {
  const {at, seen, reads} = setUp();
  at(0, true);
  for (let now = 1; now < 10; now++) at(now, true, {decodeSteps: now, decodeRows: now});
  expect(reads()).toBe(1);
  at(9.5, false, {decodeSteps: 10, decodeRows: 10});
  expect([reads(), seen('step').count]).toEqual([2, 10]);
});

it('leaves out the time without requests', () => {
  const {at, seen} = setUp();
  at(0, true);
  at(20, false, {decodeSteps: 4, decodeRows: 4});
  at(5000, true, {decodeSteps: 5, decodeRows: 5});
  at(5030, true, {decodeSteps: 8, decodeRows: 8});
  expect(seen('step')).toEqual({sum: expect.closeTo(0.05), count: 7});
});

it('tells what steps waited for weights, where these move', () => {
  const {at, seen} = setUp();
  at(0, true, {weights: {blocks: 3, computeWaitSeconds: 1, hostWaitSeconds: 2}});
  at(100, true, {decodeSteps: 4, weights: {blocks: 9, computeWaitSeconds: 1.01, hostWaitSeconds: 2.03}});
  expect(seen('weightsWait')).toEqual({sum: expect.closeTo(0.04), count: 4});
});

it('takes nothing from counts that began again', () => {
  const {at, seen} = setUp();
  at(0, true, {decodeSteps: 50, prefillSteps: 2});
  at(20, true, {decodeSteps: 4, prefillSteps: 60});
  expect(seen('step').count).toBe(0);
});
