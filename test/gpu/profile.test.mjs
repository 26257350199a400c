// On a real GPU: traces have what the GPU did, and the process goes on as if nobody had looked. Skipped without CUPTI.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, before, describe, test} from 'node:test';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

import {profiler} from '../../dist/index.js';
import {Device} from '../../dist/native/device.js';
import {readTrace} from '../../dist/profile/trace_reader.js';
import {tinyModel} from './generate/fixture.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'tensorrt-node-profile-'));
after(() => rmSync(folder, {recursive: true, force: true}));
const program = (name) => fileURLToPath(new URL(`profile/${name}.mjs`, import.meta.url));

let problem;
before(async () => {
  const recording = await profiler.start({file: path.join(folder, 'probe.json')});
  problem = recording.problem;
  await recording.stop();
});

describe('a recording', () => {
  test('has copies with their bytes, streams and times', async (t) => {
    if (problem !== undefined) return t.skip(problem);
    const file = path.join(folder, 'copies.json');
    const device = Device.open(0);
    const recording = await profiler.start({file, gpu: true});
    const [up, down] = [device.createStream('test up'), device.createStream('test down')];
    const memory = device.allocate(2 ** 22, up);
    const host = device.allocatePinned(2 ** 22);
    for (const bytes of [1, 4097, 2 ** 22]) {
      up.copyToDevice(memory, host, {byteLength: bytes});
      await up.done();
      down.copyToHost(host, memory, {byteLength: bytes});
      await down.done();
    }
    const result = await recording.stop();
    assert.equal(result.dropped, 0);
    const {activities} = await readTrace(file);
    const copies = activities.filter(({kind, streamName}) => kind === 'copy' && streamName?.startsWith('test'));
    const told = copies.sort((a, b) => a.start - b.start).map(({streamName, direction, bytes}) => [streamName, direction, bytes]);
    const pair = (bytes) => [
      ['test up', 'toDevice', bytes],
      ['test down', 'toHost', bytes],
    ];
    assert.deepEqual(told, [1, 4097, 2 ** 22].flatMap(pair));
    for (const stream of [up, down]) stream.dispose();
  });

  test('may come and go before a model is loaded and after, and changes nothing that it says', {timeout: 120_000}, async (t) => {
    if (problem !== undefined) return t.skip(problem);
    const {stdout} = await promisify(execFile)(process.execPath, [program('recordings'), await tinyModel(), folder]);
    const {traces, replies} = JSON.parse(stdout);
    assert.equal(replies, 1);
    for (const {name, dropped, launches, kernels, decoding, requests} of traces) {
      assert.equal(requests, 1, name);
      assert.equal(dropped, 0, name);
      assert(launches + kernels >= 47, name);
      assert(decoding >= 47, `${name}: ${decoding} of the decode phase`);
    }
    // Launches as a whole, of graphs that were captured before the recording, too.
    for (const {name, launches} of traces.slice(0, 2)) assert(launches >= 40, name);
    assert(traces[2].kernels > 5 * traces[0].launches);
  });
});
