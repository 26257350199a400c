// Threads of JavaScript end while they build, or while a calibrator waits for them; another thread builds next.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {isMainThread, parentPort, Worker, workerData} from 'node:worker_threads';

import {addon, calibration, request, silent} from './fixture.mjs';

if (isMainThread) {
  for (const ending of ['terminate', 'exit']) {
    for (const calibrating of [false, true]) {
      const worker = new Worker(new URL(import.meta.url), {workerData: {ending, calibrating}});
      const exited = new Promise((resolve) => worker.on('exit', resolve));
      if (ending === 'terminate') {
        await once(worker, 'message');
        await worker.terminate();
      }
      await exited;
      const result = await addon.buildEngine(await request(), silent).result;
      assert(result.planBytes > 0);
    }
  }
  console.log('done');
} else {
  const {ending, calibrating} = workerData;
  const wanted = await request(undefined, calibrating ? {flags: ['int8'], calibration} : {});
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    parentPort.postMessage('building');
    if (ending === 'exit') process.exit(0);
  };
  addon.buildEngine(wanted, {progress: calibrating ? () => {} : end, batchWanted: end});
}
