import {setImmediate} from 'node:timers/promises';

import {expect, it} from 'vitest';

import {GREEDY} from '../../../test/support/greedy.js';
import {ManualBackend, TIMINGS} from '../../../test/support/manual_backend.js';
import type {BackendListener, BackendRequest} from '../../backend/backend.js';
import {AbortError} from '../../errors.js';
import {AdmittedBackend} from './admitted_backend.js';
import {MemoryPressureError} from './memory_monitor.js';

const REQUEST: BackendRequest = {tokens: Uint32Array.of(1), maxNewTokens: 1, stopTokens: new Set(), sampling: GREEDY};

function setUp() {
  const inner = new ManualBackend(10);
  const gate = {resolve() {}, reject(_: Error) {}};
  const open = new Promise<void>((resolve, reject) => void Object.assign(gate, {resolve, reject}));
  const backend = new AdmittedBackend(inner, {
    admit: ({signal} = {}) =>
      Promise.race([
        open,
        new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(new AbortError(signal.reason)))),
      ]),
  });
  const heard: string[] = [];
  const listener: BackendListener = {
    tokens: (batch) => void heard.push(`tokens ${batch.length}`),
    finished: (reason, {queue}) => void heard.push(`${reason} ${queue >= 0}`),
    failed: ({message}) => void heard.push(message),
  };
  return {inner, gate, backend, heard, handle: backend.submit(REQUEST, listener)};
}

it('passes a request on once there is memory', async () => {
  const {inner, gate, heard, handle} = setUp();
  await setImmediate();
  expect(inner.requests).toEqual([]);
  gate.resolve();
  await setImmediate();
  const [request] = inner.requests;
  request!.listener.tokens([{token: 5}]);
  handle.consumed(1);
  expect(request!.consumed).toBe(1);
  request!.listener.finished('length', TIMINGS);
  expect(heard).toEqual(['tokens 1', 'length true']);
});

it('fails it where it is refused', async () => {
  const {inner, gate, heard} = setUp();
  gate.reject(new MemoryPressureError('ram', 0.97, 0.9, 'later'));
  await setImmediate();
  expect(heard).toEqual(['97.0% of RAM are in use, and the watermark is 90.0% (later)']);
  expect(inner.requests).toEqual([]);
});

it('aborts it while it waits, and after', async () => {
  const {inner, heard, handle} = setUp();
  handle.abort();
  handle.consumed(1);
  await setImmediate();
  expect(heard).toEqual(['aborted true']);
  expect(inner.requests).toEqual([]);

  const later = setUp();
  later.gate.resolve();
  await setImmediate();
  later.handle.abort();
  await setImmediate();
  expect(later.heard).toEqual(['aborted true']);
  expect(later.inner.requests[0]!.aborted).toBe(true);
});
