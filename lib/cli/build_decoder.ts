/** `tensorrt-node build` of a language model's folder: all engines that `generate` needs. */

import {stat} from 'node:fs/promises';

import type {BuildModelOptions} from '../generate/build_model.js';
import {formatDuration} from './format.js';
import {withInterrupt} from './interrupt.js';
import {createProgressDisplay} from './progress.js';

export interface DecoderFlags
  extends Pick<BuildModelOptions, 'device' | 'type' | 'maxContext' | 'maxBatch' | 'deterministic' | 'dequantize' | 'kvCacheType'> {
  json?: boolean;
}

/** That an ONNX file's build has no use for. */
export const DECODER_FLAGS: ReadonlySet<string> = new Set(['type', 'maxContext', 'maxBatch', 'deterministic', 'dequantize', 'kvCacheType']);

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

export async function buildDecoder(source: string, output: string | undefined, flags: DecoderFlags): Promise<void> {
  const {buildModel} = await import('../generate/build_model.js');
  const {device, type, maxContext, maxBatch, deterministic, dequantize, kvCacheType} = flags;
  using progress = createProgressDisplay();
  const options = {output, device, type, maxContext, maxBatch, deterministic, dequantize, kvCacheType, onProgress: progress.update};
  const result = await withInterrupt((signal) => buildModel(source, {...options, signal}));
  progress[Symbol.dispose]();
  if (flags.json) {
    console.log(JSON.stringify(result, null, 2));
    return;
  }
  const {parts, seconds, folder} = result;
  console.error(
    `engines of ${source} in ${formatDuration(1000 * seconds)}, for up to ${result.maxBatch} requests of ${result.maxContext} tokens`,
  );
  for (const {name, ranges} of parts) console.error(`${name}: ${ranges.join(', ')}`);
  if (folder === undefined) console.error('they are in the engine cache: loadModel with the same limits finds them');
  else console.log(folder);
}
