import {getEventListeners} from 'node:events';

import {describe, expect, it} from 'vitest';

import {onAbort} from './on_abort.js';

describe('onAbort', () => {
  it('hears a signal for many through one listener, and lets go of it with the last', () => {
    const {signal} = new AbortController();
    const stops = Array.from({length: 30}, () => onAbort(signal, () => {}));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (const stop of stops) stop();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('calls each that still listens, once', () => {
    const controller = new AbortController();
    const calls: string[] = [];
    const call = () => calls.push('same');
    onAbort(controller.signal, call);
    onAbort(controller.signal, call);
    const stop = onAbort(controller.signal, () => calls.push('taken back'));
    stop();
    stop();
    controller.abort();
    controller.abort();
    expect(calls).toEqual(['same', 'same']);
  });

  it('begins anew after the last let go', () => {
    const controller = new AbortController();
    const stop = onAbort(controller.signal, () => {});
    stop();
    let called = 0;
    onAbort(controller.signal, () => called++);
    stop();
    controller.abort();
    expect(called).toBe(1);
  });
});
