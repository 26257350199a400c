// Records to argv[2] while it does a thing or two, and ends as argv[3] says.
import {setTimeout} from 'node:timers/promises';
import {isMainThread, Worker} from 'node:worker_threads';

import {observed, observeRequest} from '../../../dist/observers.js';
import {profiler} from '../../../dist/profile/profiler.js';

const [file, ending] = process.argv.slice(2);
const nothing = {tokens() {}, finished() {}, failed() {}};
const about = {model: 'm', backend: 'cpu', promptTokens: 3, maxNewTokens: 2, temperature: 0, session: undefined};
const request = () => observeRequest({...about, startedAt: performance.now()}, nothing);

function answer() {
  const asked = request();
  asked.tokens([{token: 1}]);
  asked.finished('length', {queue: 0, prefill: 0, decode: 0, prefilledTokens: 3});
}

const ENDINGS = {
  async return() {},
  async exit() {
    process.exit(3);
  },
  async throw() {
    throw new Error('planted');
  },
  async term() {
    process.kill(process.pid, 'SIGTERM');
    await setTimeout(10_000);
  },
  /** In the middle of a stop. */
  async stopping() {
    void recording.stop();
    process.exit(0);
  },
  /** Of the thread that records. */
  async terminate() {
    console.log('recorded');
    await setTimeout(60_000);
  },
  /** More than can be on their way at once, in one turn of the event loop. */
  async flood() {
    for (let index = 0; index < 40_000; index++) answer();
    console.log(JSON.stringify(await recording.stop()));
  },
  /** Until the file may not grow, which the shell has limited. */
  async full() {
    const failure = await setTimeout(1500)
      .then(() => recording.stop())
      .catch(({name, code, path, result}) => ({name, code, path, result}));
    await observed('load', 'after', async () => {});
    const again = await profiler.start({file: `${file}.again`, gpu: false});
    console.log(JSON.stringify({failure, again: await again.stop()}));
  },
};

let recording;
if (ending === 'terminate' && isMainThread) {
  const worker = new Worker(new URL(import.meta.url), {argv: [file, ending], stdout: true});
  await new Promise((resolve) => worker.stdout.once('data', resolve));
  // For the recorder to write what was said.
  await setTimeout(600);
  await worker.terminate();
} else {
  recording = await profiler.start({file, gpu: true});
  await observed('load', 'm', () => setTimeout(300));
  answer();
  await ENDINGS[ending]();
}
