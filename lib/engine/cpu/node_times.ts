/** ONNX Runtime's profile of a model: how long its nodes take, in the shape of TensorRT's layers. */

import {mkdtemp, readdir, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {AbortError, TensorrtNodeError} from '../../errors.js';
import type {NativeLayerProfile} from '../../native/engine_addon.js';
import type {TensorMessage} from './messages.js';
import {CpuThread, type ThreadOptions} from './thread.js';

export interface NodeTimesOptions extends ThreadOptions {
  runs: number;
  warmUp: number;
  /** Makes the inputs of a run, which takes them with it. */
  inputs(): TensorMessage[];
  /** Asked between two runs, and ends them with AbortError. */
  stopped(): boolean;
}

/** Runs on a thread of its own, with ONNX Runtime's profiler. Throws what loading and runs throw, AbortError. */
export async function nodeTimes({runs, warmUp, inputs, stopped, ...options}: NodeTimesOptions): Promise<NativeLayerProfile> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-profile-'));
  try {
    const {thread} = await CpuThread.start({...options, profile: join(folder, 'nodes')});
    try {
      for (let run = 0; run < warmUp + runs; run++) {
        if (stopped()) throw new AbortError();
        await thread.run(inputs());
      }
      await thread.endProfiling();
    } finally {
      await thread.close();
    }
    const [file] = await readdir(folder);
    if (file === undefined) throw new TensorrtNodeError('ERR_BACKEND', 'ONNX Runtime wrote no profile');
    return parseNodeTimes(await readFile(join(folder, file), 'utf8'), warmUp);
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

interface ProfileEvent {
  cat: string;
  name: string;
  /** Microseconds. */
  dur: number;
  args?: {op_name?: string};
}

const KERNEL = '_kernel_time';

/** `text`: events in the order of their ends, so that a run comes behind its nodes. Of the first `skipped` runs nothing is told. */
export function parseNodeTimes(text: string, skipped = 0): NativeLayerProfile {
  const nodes = new Map<string, {type: string; milliseconds: number[]}>();
  const runs: number[] = [];
  let current: ProfileEvent[] = [];
  let left = skipped;
  for (const event of JSON.parse(text) as ProfileEvent[]) {
    if (event.cat === 'Node' && event.name?.endsWith(KERNEL)) current.push(event);
    if (event.cat !== 'Session' || event.name !== 'model_run') continue;
    const finished = current;
    current = [];
    if (left-- > 0) continue;
    runs.push(event.dur / 1000);
    for (const {name, dur, args} of finished) {
      const node = name.slice(0, -KERNEL.length);
      const known = nodes.get(node) ?? {type: args?.op_name ?? '', milliseconds: []};
      nodes.set(node, known);
      known.milliseconds[runs.length - 1] = (known.milliseconds[runs.length - 1] ?? 0) + dur / 1000;
    }
  }
  return {
    layers: [...nodes].map(([name, {milliseconds}]) => ({
      name,
      milliseconds: Float32Array.from({length: runs.length}, (_, run) => milliseconds[run] ?? 0),
    })),
    runs: Float32Array.from(runs),
    profiledRuns: Float32Array.from(runs),
    information: JSON.stringify({Layers: [...nodes].map(([Name, {type}]) => ({Name, LayerType: type}))}),
  };
}
