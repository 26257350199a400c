import {expect, it} from 'vitest';

import type {DecoderAddon, NativeDecoder, NativeDecoderRequest} from '../../native/decoder_addon.js';
import {loadNativeDecoder} from './load_decoder.js';

const request = {} as NativeDecoderRequest;
const listener = {tokens: () => {}};
type OnProgress = Parameters<DecoderAddon['loadDecoder']>[2];

/** Settles when the test says; a cancelled load rejects, unless it is done already. */
class FakeAddon implements DecoderAddon {
  disposed = 0;
  cancelled = 0;
  onProgress!: OnProgress;
  finish!: () => void;
  readonly decoder = {dispose: async () => void this.disposed++} as unknown as NativeDecoder;

  loadKernels(): void {}

  loadDecoder(_request: unknown, _listener: unknown, onProgress: OnProgress) {
    this.onProgress = onProgress;
    let reject: (error: Error) => void;
    const result = new Promise<NativeDecoder>((resolve, refuse) => {
      this.finish = () => resolve(this.decoder);
      reject = refuse;
    });
    const cancel = (): void => {
      this.cancelled++;
      reject(Object.assign(new Error('aborted'), {code: 'ERR_ABORTED'}));
    };
    return {result, cancel};
  }
}

it('loads, and tells how far it is', async () => {
  const addon = new FakeAddon();
  const told: unknown[][] = [];
  const loading = loadNativeDecoder(addon, request, listener, {onProgress: (...all) => told.push(all)});
  addon.onProgress('weights', 5, 10);
  addon.onProgress('graphs', 1, 2);
  addon.finish();
  expect(await loading).toBe(addon.decoder);
  expect(told).toEqual([
    ['weights', 5, 10],
    ['graphs', 1, 2],
  ]);
});

it('is aborted, with the reason', async () => {
  const addon = new FakeAddon();
  const controller = new AbortController();
  const loading = loadNativeDecoder(addon, request, listener, {signal: controller.signal});
  controller.abort('why');
  await expect(loading).rejects.toMatchObject({name: 'AbortError', cause: 'why'});
  expect(addon.cancelled).toBe(1);
});

it('frees what was loaded by the time of the abort', async () => {
  const addon = new FakeAddon();
  const controller = new AbortController();
  const loading = loadNativeDecoder(addon, request, listener, {signal: controller.signal});
  addon.finish();
  controller.abort('why');
  await expect(loading).rejects.toMatchObject({name: 'AbortError', cause: 'why'});
  expect(addon.disposed).toBe(1);
});

it('ends with what the progress function throws, which is called no more', async () => {
  const addon = new FakeAddon();
  let calls = 0;
  const onProgress = () => {
    calls++;
    throw new RangeError('of the caller');
  };
  const loading = loadNativeDecoder(addon, request, listener, {onProgress});
  addon.onProgress('weights', 1, 2);
  addon.onProgress('graphs', 1, 2);
  await expect(loading).rejects.toThrow(RangeError);
  expect([calls, addon.cancelled]).toEqual([1, 1]);
});

it('says what an addon without decoders is', async () => {
  await expect(loadNativeDecoder({}, request, listener)).rejects.toMatchObject({code: 'ERR_ADDON'});
});
