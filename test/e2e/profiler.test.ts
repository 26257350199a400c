/** Recordings by the public API, on a machine without a GPU. */

import {existsSync} from 'node:fs';
import {setTimeout} from 'node:timers/promises';

import {profiler} from 'tensorrt-node';
import {afterEach, expect, it} from 'vitest';

// The built ones, as the package that records hears of what they tell.
import {observed, observeRequest} from '../../dist/observers.js';
import {readTrace} from '../../dist/profile/trace_reader.js';
import {TIMINGS} from '../support/manual_backend.js';
import {temporaryFolder} from '../support/temporary_folder.js';

const folder = temporaryFolder();

afterEach(async () => void (await profiler.stop()));

function request() {
  const startedAt = performance.now();
  const about = {model: 'm', backend: 'cpu', promptTokens: 3, maxNewTokens: 2, temperature: 0, startedAt, session: undefined} as const;
  return observeRequest(about, {tokens() {}, finished() {}, failed() {}})!;
}

it('records requests with their phases, work with models, garbage collection and a blocked event loop', async () => {
  const recording = await profiler.start({file: folder('host.json'), gpu: false, speeds: {memory: 3e12}});
  expect(recording.problem).toBe('not asked for');
  const first = request();
  const second = request();
  await observed('load', 'm', () => setTimeout(20));
  const blocked = performance.now();
  while (performance.now() - blocked < 40);
  await setTimeout(20);
  first.tokens([{token: 1}]);
  first.finished('length', {...TIMINGS, queue: 1, prefill: 2, decode: 3});
  second.failed(new Error('planted'));
  const result = await recording.stop();
  expect(await recording.stop()).toBe(result);

  const {hostEvents, info, state} = await readTrace(folder('host.json'));
  expect(info).toEqual({source: 'host', timeOrigin: performance.timeOrigin, speeds: {memory: 3e12}});
  expect(state).toEqual({ended: true, events: result.events, dropped: 0});
  const of = (track: string) => hostEvents.filter((event) => event.track === track);
  expect(of('request 1').map(({name}) => name)).toEqual(['request 1', 'queue', 'prefill', 'decode']);
  const [whole, queue, prefill] = of('request 1');
  expect(whole!.args).toEqual({model: 'm', promptTokens: 3, completionTokens: 1, outcome: 'length'});
  expect([queue!.start, queue!.end]).toEqual([whole!.start, prefill!.start]);
  expect(prefill!.end - prefill!.start).toBeCloseTo(2e6, -1);
  expect(of('request 2')).toMatchObject([{args: {outcome: 'error'}}]);
  expect(of('models')).toMatchObject([{name: 'load m'}]);
  expect(of('event loop').some(({start, end}) => end - start > 20e6)).toBe(true);
});

it('records requests that are under way when it stops, and hears nothing of them after that', async () => {
  const recording = await profiler.start({file: folder('under way.json'), gpu: false});
  const going = request();
  going.tokens([{token: 1}, {token: 2}]);
  const {events} = await recording.stop();
  going.finished('length', TIMINGS);
  const {hostEvents, state} = await readTrace(folder('under way.json'));
  expect(hostEvents.filter(({track}) => track === 'request 1')).toMatchObject([
    {name: 'request 1', args: {model: 'm', promptTokens: 3, completionTokens: 2, outcome: 'under way'}},
  ]);
  expect(state).toMatchObject({ended: true, events});
});

it('records one trace at a time, and hears of nothing once it has stopped', async () => {
  const recording = await profiler.start({file: folder('one.json'), gpu: false});
  await expect(profiler.start({file: folder('two.json'), gpu: false})).rejects.toMatchObject({code: 'ERR_BUSY'});
  expect(existsSync(folder('two.json'))).toBe(false);
  expect(await profiler.stop()).toMatchObject({file: folder('one.json'), dropped: 0});
  expect(await profiler.stop()).toBeUndefined();
  const before = (await recording.stop()).events;
  await observed('load', 'm', async () => {});
  expect((await readTrace(folder('one.json'))).state).toMatchObject({ended: true, events: before});
});

it('stops with its signal', async () => {
  const controller = new AbortController();
  const recording = await profiler.start({file: folder('aborted.json'), gpu: false, signal: controller.signal});
  controller.abort();
  await recording.stop();
  expect((await readTrace(folder('aborted.json'))).state).toMatchObject({ended: true});
  await expect(profiler.start({file: folder('x.json'), gpu: false, signal: controller.signal})).rejects.toMatchObject({
    code: 'ERR_ABORTED',
  });
});

it.each([
  [{file: ''}, "file must be a path, got ''"],
  [{file: 'x', gpu: 'yes'}, "gpu must be true or false, got 'yes'"],
  [{file: 'x', cuptiPath: ''}, "cuptiPath must be the path of libcupti, got ''"],
  [{file: 'x', graphNodes: 'all'}, "graphNodes must be true or false, got 'all'"],
  [{file: 'x', gpu: false, maxBytes: 5}, 'maxBytes must be an integer of at least 1048576, got 5'],
  [{file: 'x', speeds: {memory: 0}}, 'speeds.memory must be a number of at least 1, got 0'],
  [{file: 'x', maxbytes: 5}, 'options.maxbytes must be one of'],
])('refuses %j', async (options, message) => {
  await expect(profiler.start(options as never)).rejects.toThrow(message);
});

it('can start again after a start that failed', async () => {
  await expect(profiler.start({file: folder('none', 'x.json'), gpu: false})).rejects.toMatchObject({code: 'ERR_FILE'});
  await using recording = await profiler.start({file: folder('again.json'), gpu: false});
  expect(recording.file).toBe(folder('again.json'));
});
