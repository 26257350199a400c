import {expect, it} from 'vitest';

import type {Progress} from '../../progress.js';
import {BuildProgress} from './progress.js';

function told(events: Parameters<BuildProgress['take']>[0][]): [number, number | undefined, string | undefined][] {
  const found: Progress[] = [];
  const progress = new BuildProgress((each) => found.push(each));
  for (const event of events) progress.take(event);
  expect(found.every(({phase, unit}) => phase === 'build' && unit === 'steps')).toBe(true);
  return found.map(({done, total, detail}) => [done, total, detail]);
}

it('counts the steps of the outermost phase and names the innermost', () => {
  expect(
    told([
      {event: 'start', phase: 'Building', steps: 2},
      {event: 'start', phase: 'Timing', parent: 'Building', steps: 3},
      {event: 'step', phase: 'Timing', step: 0},
      {event: 'finish', phase: 'Timing'},
      {event: 'step', phase: 'Building', step: 0},
      {event: 'finish', phase: 'Building'},
    ]),
  ).toEqual([
    [0, 2, 'Building'],
    [0, 2, 'Timing 0/3'],
    [0, 2, 'Timing 1/3'],
    [0, 2, 'Timing 3/3'],
    [1, 2, 'Building'],
    [2, 2, 'Building'],
  ]);
});

it('goes on after phases that never finish, that nobody started, and that count too far', () => {
  expect(
    told([
      {event: 'step', phase: 'Unknown', step: 1},
      {event: 'finish', phase: 'Unknown'},
      {event: 'start', phase: 'Building', steps: 1},
      {event: 'start', phase: 'Forgotten', parent: 'Building', steps: 1},
      {event: 'step', phase: 'Building', step: 7},
      {event: 'finish', phase: 'Building'},
      {event: 'start', phase: 'Again', steps: 5},
    ]),
  ).toEqual([
    [0, 1, 'Building'],
    [0, 1, 'Forgotten 0/1'],
    [1, 1, 'Forgotten 0/1'],
    [1, 1, 'Forgotten 0/1'],
    [0, 5, 'Again'],
  ]);
});
