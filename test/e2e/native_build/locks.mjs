// Locks of files: between owners in one process, between processes, and freed by the garbage collector.
import assert from 'node:assert/strict';
import {spawnSync} from 'node:child_process';

import {addon, file} from './fixture.mjs';

const other = `const addon = require(${JSON.stringify(process.env.TENSORRT_NODE_ADDON ?? './build/Release/tensorrt_node.node')});
process.exit(addon.tryLock(process.argv[1]) === null ? 1 : 0);`;
const freeForOthers = () => spawnSync(process.execPath, ['-e', other, file('lock')]).status === 0;

const lock = addon.tryLock(file('lock'));
assert.equal(addon.tryLock(file('lock')), null);
assert.equal(freeForOthers(), false);
lock.release();
lock.release();
assert.equal(freeForOthers(), true);

addon.tryLock(file('lock'));
for (let i = 0; i < 100 && !freeForOthers(); i++) {
  globalThis.gc();
  await new Promise(setImmediate);
}
assert.equal(freeForOthers(), true);
console.log('done');
