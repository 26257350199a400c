/** What a recording leaves, however its process ends. Activities are made up by the clock, some 20,000 a second. */

import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, readFileSync} from 'node:fs';
import {setTimeout} from 'node:timers/promises';

import {describe, expect, it} from 'vitest';

import {readTrace} from '../../dist/profile/trace_reader.js';
import {createRandom} from '../support/random.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {projectFile, run, runNode} from './helpers/child.js';

const folder = temporaryFolder();
const program = projectFile('test/e2e/trace/recorder.mjs');
const env = {TENSORRT_NODE_ADDON: projectFile('bench/profile/synthetic_addon.cjs'), SYNTHETIC_RATE: '20000'};

const record = (file: string, ending: string) => runNode([program, file, ending], env);

describe('a process that records', () => {
  it.each([
    ['return', 0],
    ['exit', 3],
    ['throw', 1],
    ['stopping', 0],
  ])('and ends by %s leaves all that happened, and is not kept from ending', async (ending, status) => {
    const file = folder(`${ending}.json`);
    const result = await record(file, ending);
    expect([result.status, result.stderr.replace(/[\s\S]*planted[\s\S]*/, '')]).toEqual([status, '']);
    const {state, activities, hostEvents} = await readTrace(file);
    expect(state).toMatchObject({ended: true, dropped: 0, events: activities.length + hostEvents.length});
    const names = hostEvents.filter(({track}) => track === 'models' || track === 'request 1').map(({name}) => name);
    expect(names.sort()).toEqual(['decode', 'load m', 'prefill', 'queue', 'request 1']);
    // Of the GPU, all up to the end.
    const load = hostEvents.find(({name}) => name === 'load m')!;
    expect(activities.length).toBeGreaterThan(5000);
    expect(Math.max(...activities.map(({end}) => end))).toBeGreaterThan(load.end);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toBeInstanceOf(Array);
  });

  it.each(['term', 'terminate'])('and ends by %s leaves a file that is read, without its last moments', async (ending) => {
    const file = folder(`${ending}.json`);
    await record(file, ending);
    const {state, activities} = await readTrace(file);
    expect(state).toMatchObject({ended: false, dropped: 0});
    expect(activities.length).toBeGreaterThan(1000);
  });

  it('and is killed leaves a file that is read, whenever that is', async () => {
    const random = createRandom(7);
    for (let round = 0; round < 5; round++) {
      const file = folder(`killed ${round}.json`);
      const child = spawn(process.execPath, [program, file, 'terminate'], {env: {...process.env, ...env, SYNTHETIC_RATE: '100000'}});
      while (!existsSync(file)) await setTimeout(5);
      await setTimeout(100 + random.below(800));
      child.kill('SIGKILL');
      await once(child, 'exit');
      const {info, activities} = await readTrace(file);
      expect(info.source).toBe('CUPTI 130001');
      expect(activities.every(({start, end}) => end >= start)).toBe(true);
    }
  });
});

it('events that come faster than they are taken are counted as lost', async () => {
  const {stdout} = await record(folder('flood.json'), 'flood');
  const {events, dropped, lost} = JSON.parse(stdout);
  expect(lost).toBeGreaterThan(160_000 - 70_000);
  expect(dropped).toBe(lost);
  const {state, hostEvents, activities} = await readTrace(folder('flood.json'));
  expect(state).toMatchObject({ended: true, events, dropped, lost});
  // Four of each of 40,001 requests, and what the collection of garbage and the event loop add.
  const ofRequests = hostEvents.filter(({track}) => /^request/.test(track)).length;
  expect(ofRequests).toBeGreaterThan(60_000);
  expect(ofRequests + lost).toBeGreaterThanOrEqual(4 * 40_001);
  expect(events).toBe(hostEvents.length + activities.length);
});

it('a disk that fills up is an error of the recording, whose file is whole, and nothing else ends', async () => {
  const file = folder('full.json');
  // Files may have a MiB, as on a disk that has no more.
  const {status, stdout, stderr} = await run('sh', ['-c', 'ulimit -f 2048; exec "$0" "$@"', process.execPath, program, file, 'full'], {
    ...env,
    SYNTHETIC_RATE: '5000',
  });
  expect([status, stderr]).toEqual([0, '']);
  expect(JSON.parse(stdout)).toMatchObject({
    failure: {name: 'FileError', code: 'ERR_FILE', path: file, result: 'EFBIG'},
    again: {dropped: 0},
  });
  expect(JSON.parse(readFileSync(file, 'utf8'))).toBeInstanceOf(Array);
  const {state, activities, hostEvents} = await readTrace(file);
  expect(state).toMatchObject({ended: false, events: activities.length + hostEvents.length});
  expect(activities.length).toBeGreaterThan(1000);
});
