// Threads of JavaScript end in each way they can, with runs under way; the pools get everything back.
import assert from 'node:assert/strict';
import {isMainThread, workerData} from 'node:worker_threads';

import {endAs, runToEachEnding} from '../../support/worker_endings.mjs';
import {dense, device, load, plan, tensor} from './fixture.mjs';

if (isMainThread) {
  const bytes = await plan(dense());
  await runToEachEnding(new URL(import.meta.url), 12, (index) => ({bytes, disposed: index >= 8}));
  assert.equal(device.pinnedStats().usedBlocks, 0);
  assert.equal(device.deviceStats().usedBlocks, 0);
  console.log('done');
} else {
  const {ending, bytes, disposed} = workerData;
  const loaded = await load(bytes);
  const binding = loaded.bind([[2, 4]], {graph: true, timing: false});
  const input = [tensor([2, 2, 2, 2], [1, 4])];
  for (let i = 0; i < 5; i++) await Promise.all([binding.run(), loaded.run(input).result]);
  const pending = [binding.run(), ...Array.from({length: 10}, () => loaded.run(input).result)];
  for (const each of pending) each.catch(() => {});
  if (disposed) {
    binding.dispose();
    loaded.dispose();
  }
  endAs(ending);
  await Promise.allSettled(pending);
}
