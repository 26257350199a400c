// Worker threads that end in each way a thread can: the main thread starts them, and each ends as it is told.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {parentPort, Worker} from 'node:worker_threads';

const endings = ['return', 'exit', 'throw', 'terminate'];

/** Runs `count` workers of the program at `url` beside each other; `dataOf(index)` is told with the worker's `ending`. */
export async function runToEachEnding(url, count, dataOf = () => ({})) {
  await Promise.all(
    Array.from({length: count}, async (_, index) => {
      const ending = endings[index % endings.length];
      const worker = new Worker(url, {workerData: {ending, ...dataOf(index)}});
      worker.on('error', (error) => assert.equal(error.message, 'thrown on purpose'));
      const exited = new Promise((resolve) => worker.on('exit', resolve));
      if (ending === 'terminate') {
        await once(worker, 'message');
        await worker.terminate();
      }
      await exited;
    }),
  );
}

/** In a worker with work under way. Comes back only for 'return', and until 'terminate' is carried out. */
export function endAs(ending) {
  parentPort.postMessage('busy');
  if (ending === 'exit') process.exit(0);
  if (ending === 'throw') throw new Error('thrown on purpose');
  if (ending === 'terminate') setInterval(() => {}, 1000);
}
