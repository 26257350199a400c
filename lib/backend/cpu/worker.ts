/** The CPU backend's thread: ONNX Runtime blocks the thread that calls it, so that is not the user's. */

import {parentPort, workerData} from 'node:worker_threads';

import * as ort from 'onnxruntime-node';
import {toPlainError} from '../../onnxruntime/plain_error.js';
import {DecoderSession} from './decoder_session.js';
import type {FromWorker, ToWorker, WorkerOptions} from './messages.js';
import {Scheduler} from './scheduler.js';

const port = parentPort!;
const options = workerData as WorkerOptions;

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function serve(decoder: DecoderSession): void {
  const scheduler = new Scheduler(decoder, options, {
    tokens: (id, batch) => send({kind: 'tokens', id, batch}),
    finished: (id, reason, timings) => send({kind: 'finished', id, reason, timings}),
    failed: (id, error) => send({kind: 'failed', id, error: toPlainError(error)}),
  });

  const handle = {
    submit: ({id, request}) => scheduler.submit(id, request),
    abort: ({id}) => scheduler.abort(id),
    createSequence: ({sequence}) => scheduler.createSequence(sequence),
    forkSequence: ({sequence, copy}) => scheduler.forkSequence(sequence, copy),
    disposeSequence: ({sequence}) => scheduler.disposeSequence(sequence),
    score: ({id, tokens}) => void score(decoder, id, tokens),
    close: () => void close(decoder),
  } satisfies {[K in ToWorker['kind']]: (message: Extract<ToWorker, {kind: K}>) => void};
  port.on('message', (message: ToWorker) => (handle[message.kind] as (message: ToWorker) => void)(message));
  send({kind: 'ready', vocabSize: decoder.vocabSize, version: ort.env.versions.node ?? ort.env.versions.common});
}

async function score(decoder: DecoderSession, id: number, tokens: Uint32Array): Promise<void> {
  const cache = decoder.createCache();
  try {
    const logits = new Float32Array(tokens.length * decoder.vocabSize);
    for (let start = 0; start < tokens.length; start += options.prefillChunk) {
      logits.set(await decoder.run(tokens.subarray(start, start + options.prefillChunk), cache, 'all'), start * decoder.vocabSize);
    }
    send({kind: 'scored', id, logits}, [logits.buffer]);
  } catch (error) {
    send({kind: 'failed', id, error: toPlainError(error)});
  } finally {
    cache.dispose();
  }
}

async function close(decoder: DecoderSession): Promise<void> {
  await decoder[Symbol.asyncDispose]();
  port.close();
}

try {
  serve(await DecoderSession.load(options.modelPath, options));
} catch (error) {
  send({kind: 'loadFailed', error: toPlainError(error)});
  port.close();
}
