import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {NativeBuildRequest} from '../../native/engine_addon.js';
import {BuildError} from './build_error.js';
import {BuildLog} from './build_log.js';
import {type BuilderRun, runBuilder} from './builder_process.js';
import type {Batch, BatchSource} from './calibration/batch_source.js';
import type {ProgressEvent} from './messages.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-builder-'));
});
afterAll(() => rm(folder, {recursive: true}));

const REQUEST: NativeBuildRequest = {
  device: 0,
  tensorrt: [],
  model: 'm.onnx',
  plan: 'p',
  stronglyTyped: false,
  flags: [],
  profilingVerbosity: 'detailed',
  profiles: [],
  layers: [],
};

/** Runs a program of these lines as the builder: `on(type, action)` hears messages, `send` answers. */
async function build(lines: string, run: Partial<BuilderRun> = {}): ReturnType<typeof runBuilder> {
  const program = join(folder, `${Math.random()}.mjs`);
  await writeFile(
    program,
    `const send = (message) => new Promise((done) => process.send(message, done));
     const on = (type, action) => process.on('message', (message) => message.type === type && action(message));
     process.on('disconnect', () => process.exit(9));
     ${lines}`,
  );
  return runBuilder({request: REQUEST, log: new BuildLog(undefined), onProgress() {}, program, ...run});
}

class Batches implements BatchSource {
  closed = false;
  given = 0;
  constructor(readonly make: (index: number) => Batch | null) {}
  async next(): Promise<Batch | null> {
    return this.make(this.given++);
  }
  async close(): Promise<void> {
    this.closed = true;
  }
}

describe('runBuilder', () => {
  it('passes the request, progress and the answer on', async () => {
    const progress: ProgressEvent[] = [];
    const built = await build(
      `on('build', async ({request, mergeTimingsInto}) => {
         await send({type: 'progress', event: {event: 'start', phase: 'p', steps: 1}});
         await send({type: 'built', result: {request, mergeTimingsInto}, info: {}});
         process.exit();
       })`,
      {onProgress: (event) => progress.push(event), mergeTimingsInto: 't'},
    );
    expect(built).toMatchObject({result: {request: REQUEST, mergeTimingsInto: 't'}, info: {}});
    expect(progress).toEqual([{event: 'start', phase: 'p', steps: 1}]);
  });

  it('believes an answer, whatever the process does afterwards', async () => {
    const crash = `on('build', async () => { await send({type: 'built', result: {}, info: {}}); process.kill(process.pid, 'SIGABRT'); })`;
    await expect(build(crash)).resolves.toMatchObject({type: 'built'});
  });

  it.each<[string, string, object]>([
    [
      'ends well but says nothing',
      'process.exit()',
      {message: 'the builder process exited with status 0', process: {code: 0, signal: null}},
    ],
    [
      'throws',
      `throw new Error('lost')`,
      {message: expect.stringContaining('exited with status 1'), log: expect.arrayContaining(['Error: lost'])},
    ],
    [
      'aborts in the middle of a line',
      `on('build', () => { process.stderr.write('[tensorrt] E one\\n[tensorrt] W tw', () => process.kill(process.pid, 'SIGABRT')); })`,
      {message: 'the builder process was ended by SIGABRT, as when a library aborts; it said last: tw', log: ['one', 'tw']},
    ],
    [
      'is killed',
      `process.kill(process.pid, 'SIGKILL')`,
      {message: expect.stringContaining('SIGKILL, as the system does when memory runs out')},
    ],
    [
      'fails',
      `on('build', async () => { await send({type: 'failed', error: {code: 'ERR_TENSORRT', message: 'no', call: 'build', hint: 'try'}}); process.exit(); })`,
      {message: 'no (try)', hint: 'try', cause: expect.objectContaining({name: 'TensorrtError', call: 'build'})},
    ],
    [
      'runs out of memory',
      `on('build', async () => { await send({type: 'failed', error: {code: 'ERR_OUT_OF_MEMORY', message: 'no'}}); process.exit(); })`,
      {cause: expect.objectContaining({name: 'CudaError', code: 'ERR_OUT_OF_MEMORY'})},
    ],
  ])('makes an error of a process that %s', async (_name, lines, error) => {
    const failure = await build(lines).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(BuildError);
    expect(failure).toMatchObject({code: 'ERR_BUILD', ...error});
  });

  it('tells what the loaded TensorRT lacks as such', async () => {
    const refuse = `on('build', async () => { await send({type: 'failed', error: {code: 'ERR_UNSUPPORTED', message: 'tiling'}}); process.exit(); })`;
    await expect(build(refuse)).rejects.toMatchObject({name: 'UnsupportedError', message: 'tiling'});
  });

  it('asks a process to stop, and ends one that does not', async () => {
    for (const answer of ['process.exit()', '']) {
      const controller = new AbortController();
      const log = new BuildLog(({message}) => {
        if (message === 'working') controller.abort('enough');
      });
      const run = build(`on('cancel', () => { ${answer} }); on('build', () => console.error('[tensorrt] I working'));`, {
        log,
        signal: controller.signal,
      });
      await expect(run).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'enough'});
    }
  });

  it('does not wait for what a killed process leaves behind', async () => {
    const controller = new AbortController();
    const pids: number[] = [];
    const log = new BuildLog(({message}) => {
      pids.push(Number(message));
      controller.abort('enough');
    });
    // A process of its own that holds the builder's standard error.
    const run = build(
      `import {spawn} from 'node:child_process';
       on('build', () => {
         const {pid} = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {stdio: ['ignore', 'ignore', 'inherit'], detached: true});
         console.error('[tensorrt] I ' + pid);
       });`,
      {log, signal: controller.signal},
    );
    try {
      await expect(run).rejects.toMatchObject({code: 'ERR_ABORTED', cause: 'enough'});
      // It is still there: nothing else ended the wait.
      expect(process.kill(pids[0]!, 0)).toBe(true);
    } finally {
      process.kill(pids[0]!, 'SIGKILL');
    }
  });

  it('feeds batches as they are wanted, and closes their source', async () => {
    const bytes = Uint8Array.of(1, 2, 3, 4);
    const batches = new Batches((index) => (index < 2 ? {x: {buffer: bytes.buffer, byteOffset: 0, byteLength: 4, dims: [1]}} : null));
    const built = await build(
      `const got = [];
       on('build', () => send({type: 'batch-wanted'}));
       on('batch', async ({batch}) => {
         got.push(batch && [...new Uint8Array(batch.x.buffer)]);
         if (batch) return send({type: 'batch-wanted'});
         await send({type: 'built', result: got, info: {}});
         process.exit();
       })`,
      {batches},
    );
    expect(built.result).toEqual([[1, 2, 3, 4], [1, 2, 3, 4], null]);
    expect(batches).toMatchObject({given: 3, closed: true});
  });

  it('ends a process whose batches fail, with that as the cause', async () => {
    const cause = new RangeError('no film');
    const batches = new Batches(() => {
      throw cause;
    });
    const run = build(`on('build', () => send({type: 'batch-wanted'})); on('cancel', () => process.exit())`, {batches});
    await expect(run).rejects.toMatchObject({code: 'ERR_BUILD', message: 'calibration failed: no film', cause});
    expect(batches.closed).toBe(true);
  });
});
