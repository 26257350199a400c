/** Threads for ONNX Runtime, which blocks the one that calls it. */

import {type TransferListItem, Worker} from 'node:worker_threads';

import {TensorrtNodeError} from '../errors.js';
import {type RunGuard, waitAtExit} from './run_guard.js';

export interface ThreadOptions {
  name: string;
  /** Told of every call into ONNX Runtime on that thread; this thread's exit waits for them. */
  guard: RunGuard;
  transferList?: TransferListItem[];
}

/**
 * Never `terminate` it: a thread that is torn down inside ONNX Runtime takes the process with it. Tell it to close.
 */
export function startThread(file: URL, workerData: object, {name, guard, transferList}: ThreadOptions): Worker {
  const worker = new Worker(file, {
    workerData,
    name,
    transferList,
    // Not the flags of the process: --input-type, which comes with --eval, would keep a file from being run.
    execArgv: [],
    resourceLimits: {stackSizeMb: stackSizeMb()},
  });
  worker.once('exit', waitAtExit(guard));
  return worker;
}

export function threadFailed(cause: Error): TensorrtNodeError {
  return new TensorrtNodeError('ERR_BACKEND', `the CPU backend's thread failed: ${cause.message}`, undefined, {cause});
}

/**
 * ONNX Runtime matches a regular expression against the command line of the process, with a recursion for each of its
 * characters: Node's 4 MB would overflow at some 16 kB, such as a prompt. A stack takes memory only as far as it is used.
 */
function stackSizeMb(): number {
  const bytes = [process.execPath, ...process.execArgv, ...process.argv].reduce((sum, each) => sum + Buffer.byteLength(each) + 1, 0);
  return 4 + Math.ceil(bytes / 2048);
}
