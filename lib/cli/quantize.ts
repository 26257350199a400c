/** `tensorrt-node quantize`: weights of 4 or 8 bits. */

import {Command, Option} from 'commander';

import type {QuantizeOptions} from '../quantize/options.js';
import {formatBytes, formatDuration} from './format.js';
import {withInterrupt} from './interrupt.js';
import {number} from './options.js';
import {createProgressDisplay} from './progress.js';

interface Flags extends Omit<QuantizeOptions, 'block' | 'keep'> {
  block?: string;
  keep?: string[];
  json?: boolean;
}

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('write a model with weights of 4 or 8 bits')
    .argument('<source>', 'a .gguf file, a Hugging Face folder, an ONNX model folder or an .onnx file')
    .argument('<out>', 'the folder to write')
    .option('--bits <n>', '4 or 8 (default: 4)', number)
    .addOption(new Option('--block <n>', 'weights that share a scale (default: 32)').choices(['32', '64', '128', 'channel']))
    .addOption(new Option('--type <type>', 'fp8 is E4M3 by channel').choices(['int', 'fp8']))
    .addOption(
      new Option('--method <method>', 'gptq and awq look at what a text does in the model').choices(['rtn', 'awq', 'gptq', 'awq+gptq']),
    )
    .option('--symmetric', 'zero is the middle code (default with 8 bits)')
    .option('--no-symmetric', 'zero has a code of each block (default with 4 bits)')
    .option('--keep <patterns>', "layers to leave as they are: 'lm_head,*.down_proj'; repeatable", patterns)
    .option('--sensitive [patterns]', 'layers that have twice the bits: attention and half of down_proj, or patterns', sensitive)
    .option('--head-bits <n>', 'of the product that makes the logits: 4, 8 or 16', number)
    .option('--embedding-bits <n>', 'of an embedding that is not the head too: 4, 8 or 16', number)
    .addOption(new Option('--dtype <type>', 'what a checkpoint computes in').choices(['fp16', 'fp32']))
    .option('--calibration <file>', 'text for awq and gptq, or .jsonl with text or messages')
    .option('--samples <n>', 'most sequences of it', number)
    .option('--sequence-length <n>', 'tokens of each', number)
    .option('--damping <x>', "of gptq's Hessian, as a part of its mean", number)
    .option('--act-order', 'gptq: columns with the largest activations first')
    .option('--device <n>', "GPU for gptq, as CUDA numbers them, or 'cpu' (default: the first, if there is one)", device)
    .option('--threads <n>', 'default: all', number)
    .option('--overwrite', 'replace the folder, if an import or a quantisation made it')
    .option('--json', 'write what was made as JSON')
    .action(async (source: string, out: string, {json, block, ...flags}: Flags) => {
      const {quantizeModel} = await import('../quantize/quantize.js');
      using progress = createProgressDisplay();
      const options: QuantizeOptions = {...flags, onProgress: progress.update};
      if (block !== undefined) options.block = (block === 'channel' ? block : Number(block)) as QuantizeOptions['block'];
      const result = await withInterrupt((signal) => quantizeModel(source, out, {...options, signal}));
      progress[Symbol.dispose]();
      if (json) {
        console.log(JSON.stringify(result, null, 2));
        return;
      }
      const {bytes, milliseconds, bitsPerWeight} = result;
      const time = Object.values(milliseconds).reduce((sum, each) => sum + each, 0);
      console.error(
        `wrote ${out}: ${formatBytes(bytes.before)} to ${formatBytes(bytes.after)}, ${bitsPerWeight.toFixed(2)} bits a weight, in ${formatDuration(time)}`,
      );
    });
}

function device(text: string): number | 'cpu' {
  return text === 'cpu' ? text : number(text);
}

/** Without patterns Commander says `true` itself. */
function sensitive(text: string, before?: string[] | boolean): string[] {
  return patterns(text, Array.isArray(before) ? before : []);
}

function patterns(text: string, before: string[] = []): string[] {
  return [...before, ...text.split(',').map((pattern) => pattern.trim())];
}
