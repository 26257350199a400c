/** `tensorrt-node profile layers`: how long each layer of an engine or model takes, and which ONNX nodes it was made of. */

import {stat} from 'node:fs/promises';

import {Command, Option} from 'commander';

import type {LayersFile} from '../profile/layers_file.js';
import {addEngineOptions, addInputOptions, type EngineFlags, engineOptions, givenOrRandom, type InputFlags} from './engine_options.js';
import {UsageError} from './errors.js';
import {withInterrupt} from './interrupt.js';
import {number} from './options.js';
import {createProgressDisplay} from './progress.js';

interface Flags extends EngineFlags, InputFlags {
  runs?: number;
  warmUp?: number;
  step?: 'decode' | 'prefill';
  rows?: number;
  context?: number;
  maxContext?: number;
  top: number;
  json?: boolean;
}

type Timed = {runs?: number; warmUp?: number; signal: AbortSignal};

export function profileLayersCommand(): Command {
  const command = new Command('layers')
    .description("time an engine's layers with TensorRT's profiler, joined to the ONNX nodes that they were made of")
    .argument('<engine>', "an engine folder, or a language model's folder")
    .option('--runs <n>', 'runs whose layers are timed (default: 50, or 10 steps of a language model)', number)
    .option('--warm-up <n>', 'runs before those (default: 10, or 2 steps)', number)
    .addOption(new Option('--step <kind>', 'of a language model: which step (default: decode)').choices(['decode', 'prefill']))
    .option('--rows <n>', 'of a language model: sequences decoded at once, or tokens of a prompt (default: 1, or 512)', number)
    .option('--context <n>', 'of a language model: tokens that come before in each sequence (default: 0)', number)
    .option('--max-context <n>', 'of a language model: tokens a sequence may hold', number)
    .option('--top <n>', 'layers to show', number, 40)
    .option('--json', 'write it as JSON, for `profile compare`: times in microseconds');
  return addEngineOptions(addInputOptions(command)).action(profileLayers);
}

async function profileLayers(source: string, flags: Flags): Promise<void> {
  const {runs, warmUp, top, json} = flags;
  const profile = await withInterrupt(async (signal) => {
    const timed = {runs, warmUp, signal};
    return (await isEngine(source)) ? ofEngine(source, flags, timed) : ofModel(source, flags, timed);
  });
  if (json) {
    process.stdout.write(`${JSON.stringify(profile, null, 2)}\n`);
    return;
  }
  const {formatLayers} = await import('../profile/layers_text.js');
  process.stdout.write(formatLayers(profile, top));
  console.error(profile.description);
}

/** A folder with the manifest of an engine, or an ONNX file, which the engine's own error is about. */
async function isEngine(source: string): Promise<boolean> {
  const found = await stat(source).catch(() => undefined);
  if (!found?.isDirectory()) return true;
  const [{readManifest}, {findDecoderFolder}] = await Promise.all([
    import('../engine/manifest.js'),
    import('../backend/tensorrt/decoder_manifest.js'),
  ]);
  if ((await findDecoderFolder(source)) !== undefined) return false;
  return readManifest(source).then(
    () => true,
    (error) => error?.code !== 'ERR_NOT_FOUND',
  );
}

async function ofEngine(source: string, flags: Flags, options: Timed): Promise<LayersFile> {
  for (const name of ['step', 'rows', 'context', 'maxContext'] as const) {
    if (flags[name] !== undefined) throw new UsageError(`--${name === 'maxContext' ? 'max-context' : name} is for language models`);
  }
  const {Engine} = await import('../engine/engine.js');
  await using engine = await Engine.load(source, {...engineOptions(flags), signal: options.signal});
  const profile = await engine.profileLayers(await givenOrRandom(engine, flags), options);
  return {kind: 'layers', source, description: engine.description, ...profile};
}

async function ofModel(source: string, flags: Flags, options: Timed): Promise<LayersFile> {
  if (flags.input !== undefined || flags.shape !== undefined) throw new UsageError('--input and --shape are for engines');
  const {backend, device, maxContext, model: modelPath, step, rows, context} = flags;
  const [{loadModel}, {DEFAULT_MAX_BATCH}] = await Promise.all([import('../generate/load.js'), import('../generate/limits.js')]);
  using progress = createProgressDisplay();
  // Room for as many sequences as are timed.
  const maxBatch = step === 'prefill' ? DEFAULT_MAX_BATCH : Math.max(DEFAULT_MAX_BATCH, rows ?? 1);
  const {signal} = options;
  await using model = await loadModel(source, {
    backend,
    device,
    maxContext,
    maxBatch,
    model: modelPath,
    signal,
    onProgress: progress.update,
  });
  progress[Symbol.dispose]();
  const profile = await model.profileLayers({...options, step, rows, context});
  return {kind: 'layers', source, description: model.description, ...profile};
}
