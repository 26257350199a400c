/**
 * The builder process: TensorRT's builder aborts the process on some graphs, so it has one of its own.
 * It builds one engine, says what is in it, and ends.
 */

import {existsSync} from 'node:fs';

import type {NativeBuild, NativeBuildRequest} from '../../native/engine_addon.js';
import {requireAddon} from '../../native/load.js';
import {openToRead, readWhole} from '../whole_file.js';
import {lockFile} from './file_lock.js';
import type {FromBuilder, PlainError, ToBuilder} from './messages.js';

let build: NativeBuild | undefined;
let cancelled = false;

// Without a parent nobody wants the engine. Not process.exit: it would wait for the builder's thread.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
// The terminal sends Ctrl-C to the whole group; the parent says what becomes of the build.
process.on('SIGINT', () => {});
process.on('message', (message: ToBuilder) => {
  switch (message.type) {
    case 'build':
      void answer(message);
      break;
    case 'batch':
      build?.provideBatch(message.batch);
      break;
    case 'cancel':
      cancelled = true;
      build?.cancel();
      break;
  }
});

async function answer(message: ToBuilder & {type: 'build'}): Promise<void> {
  const last = await run(message).catch((error: unknown): FromBuilder => ({type: 'failed', error: plain(error)}));
  await send(last);
  process.exit();
}

async function run({request, mergeTimingsInto}: ToBuilder & {type: 'build'}): Promise<FromBuilder> {
  const addon = requireAddon();
  build = addon.buildEngine(request, {
    progress: (event) => void send({type: 'progress', event}),
    batchWanted: () => void send({type: 'batch-wanted'}),
  });
  if (cancelled) build.cancel();
  const timingsProblem = () => mergeTimings(request, mergeTimingsInto).catch((error: Error) => error.message);
  const result = await build.result.catch(async (error: unknown) => {
    // What was measured until then serves the next attempt.
    await timingsProblem();
    throw error;
  });
  // What the engine really takes and gives, rather than what the model promised.
  const engine = await addon.loadEngine({
    device: request.device,
    tensorrt: request.tensorrt,
    plan: await readPlan(request.plan),
    contexts: 1,
    ...(request.flags.includes('strip-plan') ? {refitFrom: request.model} : {}),
  });
  const info = engine.info();
  await engine.dispose();
  return {type: 'built', result, info, timingsProblem: await timingsProblem()};
}

async function readPlan(file: string): Promise<Uint8Array> {
  await using handle = await openToRead(file);
  return await readWhole(handle, (await handle.stat()).size);
}

async function mergeTimings({device, tensorrt, timingCacheOut}: NativeBuildRequest, into: string | undefined): Promise<undefined> {
  if (into === undefined || timingCacheOut === undefined || !existsSync(timingCacheOut)) return;
  const addon = requireAddon();
  using _lock = await lockFile((path) => addon.tryLock(path), `${into}.lock`);
  await addon.mergeTimingCache({device, tensorrt, into, from: timingCacheOut});
}

function send(message: FromBuilder): Promise<void> {
  return new Promise((resolve) => {
    // A parent that is gone has no use for it.
    process.send?.(message, undefined, undefined, () => resolve());
  });
}

function plain(error: unknown): PlainError {
  const {message, code, call, result, hint} = error instanceof Error ? (error as Error & Partial<PlainError>) : {message: String(error)};
  return {message, code, call, result, hint};
}
