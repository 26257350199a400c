/** `tensorrt-node run`: one run of an engine, .npy files in and out. */

import {mkdir} from 'node:fs/promises';

import {Command} from 'commander';

import type {Engine} from '../engine/engine.js';
import {statistics} from '../engine/statistics.js';
import type {Tensor} from '../engine/tensor.js';
import {addEngineOptions, type EngineFlags, engineOptions, named, outputFiles, readInputs} from './engine_options.js';
import {formatDuration} from './format.js';
import {withInterrupt} from './interrupt.js';
import {createProgressDisplay} from './progress.js';
import {formatTable} from './table.js';

interface Flags extends EngineFlags {
  input?: Map<string, string>;
  output?: Map<string, string>;
  outputFolder?: string;
  json?: boolean;
}

export function runCommand(): Command {
  const command = new Command('run')
    .description('run an engine once on tensors from .npy files')
    .argument('<engine>', 'an engine folder, or an ONNX file')
    .option('-i, --input <name=file>', "an input's .npy file; repeatable", named)
    .option('-o, --output <name=file>', 'write an output as a .npy file; repeatable', named)
    .option('--output-folder <folder>', 'write all outputs here, each as its name with .npy behind it')
    .option('--json', 'write what came out as JSON');
  return addEngineOptions(command).action(run);
}

async function run(source: string, flags: Flags): Promise<void> {
  const {Engine} = await import('../engine/engine.js');
  await withInterrupt(async (signal) => {
    using progress = createProgressDisplay();
    await using engine = await Engine.load(source, {...engineOptions(flags), signal, onProgress: progress.update});
    progress[Symbol.dispose]();
    const names = engine.outputs.map(({name}) => name);
    const files = outputFiles(names, flags.output ?? new Map(), flags.outputFolder);
    const inputs = await readInputs(engine, flags.input ?? new Map());
    const start = performance.now();
    const outputs = await engine.run(inputs, {signal});
    const milliseconds = performance.now() - start;
    await write(outputs, files, flags.outputFolder);
    report(engine, outputs, files, milliseconds, flags.json);
  });
}

async function write(
  outputs: Readonly<Record<string, Tensor>>,
  files: ReadonlyMap<string, string>,
  folder: string | undefined,
): Promise<void> {
  const {writeNpy} = await import('../npy/npy.js');
  if (folder !== undefined) await mkdir(folder, {recursive: true});
  for (const [name, file] of files) await writeNpy(file, outputs[name]!);
}

function report(
  {description, backend}: Engine,
  outputs: Readonly<Record<string, Tensor>>,
  files: ReadonlyMap<string, string>,
  milliseconds: number,
  json: boolean | undefined,
): void {
  const found = Object.entries(outputs).map(([name, tensor]) => {
    const {type, dims} = tensor;
    return {name, type, dims, ...statistics(tensor), file: files.get(name)};
  });
  if (json) {
    console.log(JSON.stringify({backend, description, milliseconds, outputs: found}, null, 2));
    return;
  }
  const right = {align: 'right'} as const;
  const columns = [
    {title: 'output'},
    {title: 'type'},
    {title: 'dims'},
    {title: 'min', ...right},
    {title: 'max', ...right},
    {title: 'mean', ...right},
  ];
  const rows = found.map(({name, type, dims, min, max, mean, nan}) => [
    name,
    type,
    `[${dims.join(', ')}]`,
    number(min),
    number(max),
    nan > 0 ? `${number(mean)} (${nan} NaN)` : number(mean),
  ]);
  process.stdout.write(formatTable(columns, rows));
  console.error(`ran in ${formatDuration(milliseconds)} on ${description}`);
}

function number(value: number | null): string {
  return value === null ? '-' : String(Number(value.toPrecision(6)));
}
