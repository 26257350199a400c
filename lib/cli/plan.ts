/** `tensorrt-node plan`: where a language model's weights would be, what it takes, and how fast it would be. */

import {Command, Option} from 'commander';

import type {PlanModelOptions} from '../generate/plan_model.js';
import type {PlacementLimits} from '../weights/placement_option.js';
import {UsageError} from './errors.js';
import {withInterrupt} from './interrupt.js';
import {kvCacheOption, number} from './options.js';
import {blocksTable, contextsTable, memoryTable, quantizedLines} from './plan_tables.js';
import {createProgressDisplay} from './progress.js';

interface Flags
  extends Pick<
    PlanModelOptions,
    'device' | 'type' | 'offloadFolder' | 'model' | 'deterministic' | 'dequantize' | 'kvCacheType' | 'measure'
  > {
  context?: number;
  batch?: number;
  placement?: string;
  gpuMemory?: string;
  ram?: string;
  json?: boolean;
}

const EXAMPLES = `
Examples:
  tensorrt-node plan models/chat
  tensorrt-node plan models/chat --placement gpu=4GiB,ram=32GiB --context 4096 --batch 16
  tensorrt-node plan models/chat --gpu-memory 24GiB --ram 64GiB     for a GPU that is not here

Ends with 0, with 1 if it does not fit or cannot be planned, with 2 if the command line is wrong.`;

export function planCommand(): Command {
  return new Command('plan')
    .description('tell where the weights of a language model would be, what it takes of the memory, and how fast it would be')
    .argument('<model>', 'a model folder, an ONNX file in one, or an engine folder')
    .option('--context <n>', 'tokens of a sequence, prompt and reply together', number)
    .option('--batch <n>', 'requests at once', number)
    .option('--placement <where>', "'auto', or limits: gpu=4GiB, ram=32GiB, both with a comma; 80% is a part of what is free")
    .option('--offload-folder <folder>', 'where weights on disk are kept in the form that steps take')
    .option('--device <n>', 'GPU, as CUDA numbers them', number)
    .addOption(new Option('--type <name>', 'what TensorRT computes in').choices(['float16', 'bfloat16']))
    .option('--deterministic', 'as of loadModel')
    .option('--dequantize', 'as of loadModel')
    .addOption(kvCacheOption())
    .option('--model <path>', "with an engine folder: the model's folder or ONNX file, where it is elsewhere")
    .option('--gpu-memory <size>', 'plan for a GPU of so much memory, which need not be here: speeds are assumed')
    .option('--ram <size>', 'plan for so much host memory that may be pinned')
    .option('--measure', 'measure how fast this machine moves weights again')
    .option('--json', 'write it as JSON')
    .addHelpText('after', EXAMPLES)
    .action(plan);
}

async function plan(source: string, flags: Flags): Promise<void> {
  const {context, batch, placement, json, ...others} = flags;
  const {planModel} = await import('../generate/plan_model.js');
  using progress = createProgressDisplay();
  const options: PlanModelOptions = {
    ...others,
    maxContext: context,
    maxBatch: batch,
    placement: placement === undefined ? undefined : parsePlacement(placement),
    onProgress: progress.update,
  };
  const result = await withInterrupt((signal) => planModel(source, {...options, signal}));
  progress[Symbol.dispose]();
  if (json) {
    console.log(JSON.stringify(result, null, 2));
    return;
  }
  const {maxContext, maxBatch, layers, type: computed, kvCacheType: cache} = result;
  console.error(
    `${result.model}: ${layers} layers, ${computed}${cache === 'auto' ? '' : `, keys and values in ${cache}`}, for ${maxBatch} requests of ${maxContext} tokens`,
  );
  for (const line of quantizedLines(result)) console.error(line);
  if (result.gpu.name === undefined) console.error('speeds are those of an H100, as the GPU planned for is not looked at');
  process.stdout.write([blocksTable(result), memoryTable(result), contextsTable(result)].join('\n'));
}

/** 'auto', 'gpu=4GiB', 'gpu=50%,ram=32GiB'. */
export function parsePlacement(text: string): 'auto' | PlacementLimits {
  if (text === 'auto') return text;
  const limits: PlacementLimits = {};
  for (const part of text.split(',')) {
    const [name, size, ...rest] = part.split('=');
    if ((name !== 'gpu' && name !== 'ram') || !size || rest.length > 0 || limits[name] !== undefined) {
      throw new UsageError(`--placement ${text} is neither auto nor limits such as gpu=4GiB,ram=32GiB`);
    }
    limits[name] = size;
  }
  return limits;
}
