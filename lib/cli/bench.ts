/** `tensorrt-node bench`: how long an engine's runs take, beside another's if asked. */

import {Command, Option} from 'commander';

import type {BenchmarkMode, BenchmarkResult, Percentiles} from '../engine/benchmark.js';
import type {Engine} from '../engine/engine.js';
import {type Difference, difference} from '../engine/statistics.js';
import {describeTensor, type Tensor} from '../engine/tensor.js';
import {addEngineOptions, addInputOptions, type EngineFlags, engineOptions, givenOrRandom, type InputFlags} from './engine_options.js';
import {withInterrupt} from './interrupt.js';
import {number} from './options.js';
import {createProgressDisplay} from './progress.js';
import {formatTable} from './table.js';

interface Flags extends EngineFlags, InputFlags {
  mode: BenchmarkMode | 'all';
  iterations: number;
  warmUp: number;
  compare?: string;
  json?: boolean;
}

interface Measured extends Omit<BenchmarkResult, 'outputs'> {
  engine: string;
  description: string;
  /** By output, from those of the first engine. */
  difference?: Record<string, Difference | null>;
}

const MODES = ['run', 'bind', 'runSync'] as const;

export function benchCommand(): Command {
  const command = new Command('bench')
    .description('measure an engine: latency, throughput, and what of it the host takes')
    .argument('<engine>', 'an engine folder, or an ONNX file');
  addInputOptions(command)
    .addOption(new Option('--mode <mode>', 'the call to measure').choices([...MODES, 'all']).default('bind'))
    .option('--iterations <n>', 'runs to measure', number, 200)
    .option('--warm-up <n>', 'runs before those', number, 20)
    .option('--compare <engine>', "the same inputs on another engine folder or ONNX file, or 'cpu' for this one there")
    .option('--json', 'write the figures as JSON');
  return addEngineOptions(command).action(bench);
}

async function bench(source: string, flags: Flags): Promise<void> {
  const {Engine} = await import('../engine/engine.js');
  const {compare, contexts = 1, json} = flags;
  await withInterrupt(async (signal) => {
    const load = (path: string, more: EngineFlags = {}) => Engine.load(path, {...engineOptions(flags), ...more, signal});
    const results: Measured[] = [];
    let inputs: Record<string, Tensor>;
    let reference: Record<string, Tensor>;
    {
      await using engine = await load(source);
      inputs = await givenOrRandom(engine, flags);
      reference = await measure(source, engine, inputs, flags, contexts, signal, results);
    }
    // Not before the first is gone: they would take each other's memory and cores.
    if (compare !== undefined) {
      await using other =
        compare === 'cpu'
          ? await load(source, {backend: 'cpu'})
          : await load(compare, {backend: 'auto', model: undefined, weightStreamingBudget: undefined});
      const at = results.length;
      const outputs = await measure(compare, other, inputs, flags, contexts, signal, results);
      results[at]!.difference = Object.fromEntries(
        Object.entries(reference).map(([name, tensor]) => [
          name,
          outputs[name] === undefined ? null : (difference(tensor, outputs[name]) ?? null),
        ]),
      );
    }
    if (json)
      console.log(JSON.stringify({inputs: Object.entries(inputs).map(([name, {type, dims}]) => ({name, type, dims})), results}, null, 2));
    else print(inputs, results);
  });
}

/** Returns the outputs of the last run. */
async function measure(
  name: string,
  engine: Engine,
  inputs: Record<string, Tensor>,
  {mode, iterations, warmUp}: Flags,
  concurrency: number,
  signal: AbortSignal,
  results: Measured[],
): Promise<Record<string, Tensor>> {
  const {benchmark} = await import('../engine/benchmark.js');
  let last: Record<string, Tensor> = {};
  for (const each of mode === 'all' ? MODES : [mode]) {
    using progress = createProgressDisplay();
    const {outputs, ...result} = await benchmark(engine, inputs, {
      mode: each,
      iterations,
      warmUp,
      concurrency: each === 'runSync' ? 1 : concurrency,
      signal,
      // A bar that is drawn costs more than a run: now and then is enough.
      onProgress: (done, total) => {
        if (done % Math.ceil(total / 20) === 0) progress.update({phase: `bench ${each}`, done, total, unit: 'steps'});
      },
    });
    results.push({engine: name, description: engine.description, ...result});
    last = outputs;
  }
  return last;
}

function print(inputs: Record<string, Tensor>, results: readonly Measured[]): void {
  for (const [name, {type, dims}] of Object.entries(inputs)) console.error(`${name}: ${describeTensor(type, dims)}`);
  const right = {align: 'right'} as const;
  const columns = [
    {title: 'engine', maxWidth: 32},
    {title: 'call'},
    ...['p50', 'p90', 'p95', 'p99', 'mean', 'min', 'max', 'GPU p50', 'host p50', 'runs/s'].map((title) => ({title, ...right})),
  ];
  const rows = results.map(({engine, mode, concurrency, latency, gpu, hostOverhead, throughput}) => [
    engine,
    concurrency === 1 ? mode : `${mode} x ${concurrency}`,
    ...(['p50', 'p90', 'p95', 'p99', 'mean', 'min', 'max'] as const).map((key) => duration(latency, key)),
    duration(gpu, 'p50'),
    duration(hostOverhead, 'p50'),
    throughput.toFixed(throughput < 100 ? 1 : 0),
  ]);
  process.stdout.write(formatTable(columns, rows));
  for (const {difference: found} of results) {
    for (const [name, off] of Object.entries(found ?? {})) {
      const text = off === null ? 'shapes differ' : `largest difference ${off.maxAbsolute.toPrecision(3)}, cosine ${off.cosine.toFixed(6)}`;
      console.error(`${name}: ${text}`);
    }
  }
  for (const description of new Set(results.map((each) => each.description))) console.error(description);
}

/** Microseconds below ten milliseconds. */
function duration(found: Percentiles | undefined, key: keyof Percentiles): string {
  if (found === undefined) return '-';
  const milliseconds = found[key];
  return milliseconds < 10 ? `${(milliseconds * 1000).toFixed(0)} µs` : `${milliseconds.toFixed(2)} ms`;
}
