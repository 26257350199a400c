/** Loads a native decoder, with an abort that is heard and a progress function that may throw. */

import {AbortError, throwIfAborted} from '../../errors.js';
import type {Addon} from '../../native/addon.js';
import type {NativeDecoder, NativeDecoderListener, NativeDecoderRequest} from '../../native/decoder_addon.js';
import {translated, typedWithFiles} from '../../native/errors.js';
import {addonTooOld} from '../../native/load.js';
import {onAbort} from '../../on_abort.js';

export interface LoadDecoderOptions {
  signal?: AbortSignal;
  /** Bytes of weights read, then graphs captured, of all. What it throws ends the load. */
  onProgress?: (what: 'weights' | 'graphs', done: number, total: number) => void;
}

/** Throws CudaError, TensorrtError, FileError; TensorrtNodeError, ERR_ADDON for an addon that has no decoders; AbortError; what `onProgress` throws. */
export async function loadNativeDecoder(
  addon: Pick<Addon, 'loadDecoder'>,
  request: NativeDecoderRequest,
  listener: NativeDecoderListener,
  {signal, onProgress}: LoadDecoderOptions = {},
): Promise<NativeDecoder> {
  throwIfAborted(signal);
  if (addon.loadDecoder === undefined) throw addonTooOld();
  let failure: {error: unknown} | undefined;
  const loading = translated(() =>
    addon.loadDecoder!(request, listener, (what, done, total) => {
      if (failure !== undefined) return;
      try {
        onProgress?.(what, done, total);
      } catch (error) {
        failure = {error};
        loading.cancel();
      }
    }),
  );
  const forget = signal && onAbort(signal, () => loading.cancel());
  const unwanted = () => failure ?? (signal?.aborted ? {error: new AbortError(signal.reason)} : undefined);
  try {
    const decoder = await loading.result;
    // It may be loaded by the time it hears that it is not wanted.
    if (unwanted() !== undefined) await decoder.dispose();
    else return decoder;
  } catch (error) {
    throw unwanted()?.error ?? typedWithFiles(error);
  } finally {
    forget?.();
  }
  throw unwanted()!.error;
}
