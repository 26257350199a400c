/** A model's plan as tables for people. */

import type {ModelPlan, PlannedBlock} from '../generate/plan_model.js';
import {formatMemory} from '../weights/format_memory.js';
import {formatBytes} from './format.js';
import {type Column, formatTable} from './table.js';

const right = (title: string): Column => ({title, align: 'right'});

/** Each block with its tier and bytes; those alike that follow each other are one line. */
export function blocksTable({blocks}: Pick<ModelPlan, 'blocks'>): string {
  const rows = runsOf(blocks).map(({first, last, count, tier, bytes, keptBytes}) => [
    count === 1 ? first : `${first} to ${last.replace(/^\D+/, '')}`,
    keptBytes === undefined ? TIERS[tier] : `${TIERS[tier]}, ${formatMemory(keptBytes)} of it in VRAM`,
    formatMemory(bytes),
    count === 1 ? '' : formatMemory(bytes * count),
  ]);
  return formatTable([{title: 'weights'}, {title: 'where'}, right('each'), right('together')], rows);
}

/** Which weights stay quantized, where the model has such. */
export function quantizedLines({quantized: {bytes, dequantized}}: Pick<ModelPlan, 'quantized'>): string[] {
  const [first, ...others] = dequantized;
  return [
    ...(bytes > 0 ? [`${formatMemory(bytes)} of weights stay quantized, as they are stored`] : []),
    ...(first === undefined
      ? []
      : [`quantized in the file, floats in memory: ${first}${others.length > 0 ? ` and ${others.length} others` : ''}`]),
  ];
}

/** Where the GPU's memory goes, and how fast tokens come. */
export function memoryTable({gpu, ram, disk, speeds, tokensPerSecond, maxBatch, places}: ModelPlan): string {
  const source = ({bytesPerSecond, source}: ModelPlan['speeds']['disk']) => `${formatBytes(bytesPerSecond)}/s, ${source}`;
  const rows = [
    ['weights that stay', formatMemory(gpu.weightsBytes), ''],
    ...(places > 0 ? [['weights passing through', formatMemory(gpu.placesBytes), `${places} places`]] : []),
    ['keys and values', formatMemory(gpu.cacheBytes), ''],
    ['rows, logits, tables', formatMemory(gpu.stepsBytes), ''],
    ["engines' scratch", formatMemory(gpu.scratchBytes), gpu.scratch === 'estimated' ? 'estimated' : ''],
    ['TensorRT, kernels, graphs', formatMemory(gpu.runtimeBytes), 'assumed'],
    ['together', formatMemory(gpu.modelBytes), `of ${formatMemory(gpu.totalBytes - gpu.usedBytes)} free`],
    ['pinned host memory', formatMemory(ram.pinnedBytes), `of ${formatMemory(ram.availableBytes)}`],
    ...(disk.stepBytes > 0 ? [['read from disk in a step', formatMemory(disk.stepBytes), '']] : []),
    ['one stream', `${rate(tokensPerSecond.one)} tok/s`, 'predicted'],
    ...(maxBatch > 1 ? [[`${maxBatch} streams together`, `${rate(tokensPerSecond.all)} tok/s`, 'predicted']] : []),
    ['reads of weights', '', source(speeds.weightReads)],
    ...(ram.pinnedBytes > 0 ? [['copies to the GPU', '', source(speeds.hostToDevice)]] : []),
    ...(disk.stepBytes > 0 ? [['reads from disk', '', source(speeds.disk)]] : []),
  ];
  return formatTable([{title: gpu.name ?? 'GPU'}, right(''), {title: ''}], rows);
}

/** What longer sequences take. */
export function contextsTable({contexts, layers, maxBatch}: Pick<ModelPlan, 'contexts' | 'layers' | 'maxBatch'>): string {
  const rows = contexts.map(({tokens, sequenceBytes, fit}) => [
    String(tokens),
    formatMemory(sequenceBytes),
    ...(fit === undefined
      ? ['does not fit', '', '', '', '']
      : [
          `${fit.sequences} of ${maxBatch}`,
          formatMemory(fit.cacheBytes),
          formatMemory(fit.gpuBytes),
          `${fit.residentLayers} of ${layers}`,
          rate(fit.tokensPerSecond),
        ]),
  ]);
  const columns = ['context', 'a sequence', 'sequences', 'all of them', 'GPU memory', 'layers in VRAM', 'tok/s'];
  return formatTable(columns.map(right), rows);
}

const TIERS = {gpu: 'VRAM', ram: 'RAM', disk: 'disk'} as const;

interface Run {
  first: string;
  last: string;
  count: number;
  tier: PlannedBlock['tier'];
  bytes: number;
  keptBytes: number | undefined;
}

function runsOf(blocks: readonly PlannedBlock[]): Run[] {
  const runs: Run[] = [];
  for (const {name, layer, tier, bytes, keptBytes} of blocks) {
    const run = runs.at(-1);
    const alike = run !== undefined && run.tier === tier && run.bytes === bytes && run.keptBytes === keptBytes;
    if (alike && layer !== undefined && run.first.startsWith('layer')) {
      run.last = name;
      run.count++;
    } else {
      runs.push({first: name, last: name, count: 1, tier, bytes, keptBytes});
    }
  }
  return runs;
}

/** Three digits. */
function rate(perSecond: number): string {
  return perSecond >= 99.95 ? perSecond.toFixed(0) : perSecond.toPrecision(3);
}
