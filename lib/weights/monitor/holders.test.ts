import {setImmediate} from 'node:timers/promises';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';

import {expect, it} from 'vitest';

import type {MemoryPart} from '../../backend/backend.js';
import {addMemoryHolder, memoryHolders} from './holders.js';

it('tells who holds what, the largest first, until they are gone', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let parts: MemoryPart[] = [
    {what: 'weights', where: 'gpu', bytes: 5},
    {what: 'cache', where: 'gpu', bytes: 0},
    {what: 'weights', where: 'gpu', bytes: 7},
    {what: 'weights', where: 'pinned', bytes: 30},
  ];
  const small = {memory: () => parts};
  addMemoryHolder('small', small);
  (() => addMemoryHolder('lost', {memory: () => [{what: 'cache', where: 'ram', bytes: 20}]}))();
  addMemoryHolder('silent', {});
  addMemoryHolder('broken', {
    memory() {
      throw new Error('disposed');
    },
  });
  expect(memoryHolders().filter(({name}) => name !== 'lost')).toEqual([
    {name: 'small', what: 'weights', where: 'pinned', bytes: 30},
    {name: 'small', what: 'weights', where: 'gpu', bytes: 12},
  ]);
  for (let round = 0; round < 50 && memoryHolders().length > 2; round++) {
    await setImmediate();
    collect();
  }
  expect(memoryHolders().map(({name}) => name)).toEqual(['small', 'small']);
  parts = [];
  expect(memoryHolders()).toEqual([]);
  expect(small.memory()).toEqual([]);
});
