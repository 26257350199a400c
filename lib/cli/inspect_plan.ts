/** `tensorrt-node inspect plan`: what an engine folder holds, and what TensorRT made of the model. */

import {Command} from 'commander';

import type {EngineTensor} from '../engine/engine.js';
import type {EngineLayer} from '../engine/layers.js';
import type {EngineManifest} from '../engine/manifest.js';
import {OptionError} from '../errors.js';
import {describe} from './errors.js';
import {formatBytes} from './format.js';
import {withInterrupt} from './interrupt.js';
import {number} from './options.js';
import {formatTable} from './table.js';

interface Flags {
  device?: number;
  model?: string;
  tensorrtPath?: string;
  json?: boolean;
}

interface PlanInspection {
  manifest: EngineManifest;
  inputs: readonly EngineTensor[];
  outputs: readonly EngineTensor[];
  memory: {planBytes: number; deviceMemoryBytes: number; streamableWeightsBytes?: number};
  layers: EngineLayer[] | {reason: string};
}

export function inspectPlanCommand(): Command {
  return new Command('plan')
    .description('tell of an engine folder: tensors, profiles, memory, and the layers of its plan where TensorRT can load it')
    .argument('<engine>', 'an engine folder')
    .option('--device <n>', 'GPU, as CUDA numbers them', number)
    .option('--model <file>', 'the ONNX model, for a plan without weights')
    .option('--tensorrt-path <path>', 'libnvinfer.so.10, or the folder it is in')
    .option('--json', 'write it as JSON')
    .action(async (folder: string, flags: Flags) => {
      const inspection = await withInterrupt((signal) => inspectPlan(folder, flags, signal));
      process.stdout.write(flags.json ? `${JSON.stringify(inspection, null, 2)}\n` : formatPlan(inspection));
    });
}

async function inspectPlan(folder: string, {device, model, tensorrtPath}: Flags, signal: AbortSignal): Promise<PlanInspection> {
  const [{Engine}, {readManifest}, {readPlan}] = await Promise.all([
    import('../engine/engine.js'),
    import('../engine/manifest.js'),
    import('../engine/plan.js'),
  ]);
  const manifest = await readManifest(folder);
  const {inputs, outputs, deviceMemoryBytes, plan} = manifest;
  const told: PlanInspection = {manifest, inputs, outputs, memory: {planBytes: plan.bytes, deviceMemoryBytes}, layers: []};
  try {
    await using engine = await Engine.load(folder, {backend: 'tensorrt', device, model, tensorrtPath, signal});
    const {streamableWeightsBytes} = engine.statistics();
    return {
      ...told,
      inputs: engine.inputs,
      outputs: engine.outputs,
      memory: {...told.memory, streamableWeightsBytes},
      layers: engine.layers(),
    };
  } catch (error) {
    if (signal.aborted || (error instanceof OptionError && error.option === 'device')) throw error;
    // The plan may be sound and this machine lack what it needs; a plan that is not the manifest's is refused.
    await readPlan(folder, manifest, signal);
    return {...told, layers: {reason: describe(error)}};
  }
}

function formatPlan({manifest, inputs, outputs, memory, layers}: PlanInspection): string {
  const {name, precision, tensorrt, gpu, builtAt, source} = manifest;
  const sections = [
    `${name}: ${precision}, TensorRT ${tensorrt.version} for ${gpu.name}, built ${builtAt}${source.file ? ` from ${source.file}` : ''}\n`,
    tensorTable(inputs, outputs),
    memoryLine(memory),
    'reason' in layers ? `No layers: ${layers.reason}\n` : layerTable(layers),
  ];
  return sections.join('\n');
}

function tensorTable(inputs: readonly EngineTensor[], outputs: readonly EngineTensor[]): string {
  const rows = [
    ...inputs.flatMap(({name, type, dims, profiles = []}) => {
      const [first, ...others] = profiles.map(({min, opt, max}) => [min, opt, max].map((each) => each.join('x')).join(' / '));
      return [['input', name, type, shape(dims), first ?? ''], ...others.map((profile) => ['', '', '', '', profile])];
    }),
    ...outputs.map(({name, type, dims}) => ['output', name, type, shape(dims), '']),
  ];
  return formatTable(
    [{title: 'tensor'}, {title: 'name', maxWidth: 48}, {title: 'type'}, {title: 'dims'}, {title: 'profiles: min / opt / max'}],
    rows,
  );
}

function memoryLine({planBytes, deviceMemoryBytes, streamableWeightsBytes}: PlanInspection['memory']): string {
  const streamable = streamableWeightsBytes ? `, ${formatBytes(streamableWeightsBytes)} of weights that can be streamed` : '';
  return `Plan ${formatBytes(planBytes)}, activations ${formatBytes(deviceMemoryBytes)} a context${streamable}\n`;
}

function layerTable(layers: readonly EngineLayer[]): string {
  const rows = layers.map(({name, type = '', precision = '', outputs = [], weightBytes, tactic = ''}) => [
    name,
    type,
    precision,
    outputs.map(({dims}) => shape(dims)).join(' '),
    weightBytes === undefined ? '' : formatBytes(weightBytes),
    tactic,
  ]);
  const columns = [
    {title: 'layer', maxWidth: 48},
    {title: 'type'},
    {title: 'precision'},
    {title: 'output', maxWidth: 32},
    {title: 'weights', align: 'right'} as const,
    {title: 'tactic', maxWidth: 64},
  ];
  const told = layers.some(({type}) => type !== undefined);
  const hint = told ? '' : "\nNames alone: build with profiling verbosity 'detailed' for types, precisions and tactics\n";
  return `${formatTable(
    told ? columns : columns.slice(0, 1),
    rows.map((row) => (told ? row : row.slice(0, 1))),
  )}${hint}`;
}

function shape(dims: readonly number[]): string {
  return `[${dims.map((dim) => (dim < 0 ? '?' : dim)).join(', ')}]`;
}
