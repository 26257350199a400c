/** `tensorrt-node profile layers`: how long each layer of an engine takes, and which ONNX nodes it was made of. */

import {Command} from 'commander';

import type {LayersFile} from '../profile/layers_file.js';
import {addEngineOptions, addInputOptions, type EngineFlags, engineOptions, givenOrRandom, type InputFlags} from './engine_options.js';
import {withInterrupt} from './interrupt.js';
import {number} from './options.js';

interface Flags extends EngineFlags, InputFlags {
  runs?: number;
  warmUp?: number;
  top: number;
  json?: boolean;
}

export function profileLayersCommand(): Command {
  const command = new Command('layers')
    .description("time an engine's layers with TensorRT's profiler, joined to the ONNX nodes that they were made of")
    .argument('<engine>', 'an engine folder')
    .option('--runs <n>', 'runs whose layers are timed (default: 50)', number)
    .option('--warm-up <n>', 'runs before those (default: 10)', number)
    .option('--top <n>', 'layers to show', number, 40)
    .option('--json', 'write it as JSON, for `profile compare`: times in microseconds');
  return addEngineOptions(addInputOptions(command)).action(profileLayers);
}

async function profileLayers(source: string, flags: Flags): Promise<void> {
  const {runs, warmUp, top, json} = flags;
  const profile = await withInterrupt((signal) => ofEngine(source, flags, {runs, warmUp, signal}));
  if (json) {
    process.stdout.write(`${JSON.stringify(profile, null, 2)}\n`);
    return;
  }
  const {formatLayers} = await import('../profile/layers_text.js');
  process.stdout.write(formatLayers(profile, top));
  console.error(profile.description);
}

async function ofEngine(source: string, flags: Flags, options: {runs?: number; warmUp?: number; signal: AbortSignal}): Promise<LayersFile> {
  const {Engine} = await import('../engine/engine.js');
  await using engine = await Engine.load(source, {...engineOptions(flags), signal: options.signal});
  const profile = await engine.profileLayers(await givenOrRandom(engine, flags), options);
  return {kind: 'layers', source, description: engine.description, ...profile};
}
