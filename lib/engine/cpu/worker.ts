/** A CPU engine's thread: one model, one run at a time. */

import {workerData} from 'node:worker_threads';

import * as ort from 'onnxruntime-node';

import {toPlainError} from '../../onnxruntime/plain_error.js';
import type {FromThread, ThreadData, ToThread} from './messages.js';
import {ModelSession} from './model_session.js';

const {port, sent, modelPath, sha256, ...options} = workerData as ThreadData;

function send(message: FromThread, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
  Atomics.add(sent, 0, 1);
  Atomics.notify(sent, 0);
}

function serve(first: ModelSession): void {
  let session = first;
  const handle = async (message: ToThread): Promise<void> => {
    if (message.kind === 'close') {
      await session[Symbol.asyncDispose]();
      port.close();
      return;
    }
    const {id} = message;
    try {
      if (message.kind === 'run') {
        const outputs = await session.run(message.inputs);
        send(
          {kind: 'done', id, outputs},
          outputs.map(({buffer}) => buffer),
        );
      } else if (message.kind === 'endProfiling') {
        await session.endProfiling();
        send({kind: 'done', id, outputs: []});
      } else {
        const next = await ModelSession.load(message.modelPath, options);
        try {
          session.checkSame(message.modelPath, next);
        } catch (error) {
          await next[Symbol.asyncDispose]();
          throw error;
        }
        await session[Symbol.asyncDispose]();
        session = next;
        send({kind: 'done', id, outputs: []});
      }
    } catch (error) {
      send({kind: 'failed', id, error: toPlainError(error)});
    }
  };
  // In order: a model is not replaced, nor given up, while it runs.
  let last = Promise.resolve();
  port.on('message', (message: ToThread) => {
    last = last.then(() => handle(message));
  });
  const {inputs, outputs} = first;
  send({kind: 'ready', version: ort.env.versions.node ?? ort.env.versions.common, inputs, outputs});
}

// Whoever blocks until the next message must not wait for one that never comes.
process.on('exit', () => {
  Atomics.add(sent, 0, 1);
  Atomics.notify(sent, 0);
});

try {
  serve(await ModelSession.load(modelPath, {...options, sha256}));
} catch (error) {
  send({kind: 'loadFailed', error: toPlainError(error)});
  port.close();
}
