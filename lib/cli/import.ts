/** `tensorrt-node import`: a checkpoint to a model folder. */

import {Command, Option} from 'commander';

import {withInterrupt} from './interrupt.js';
import {createProgressDisplay} from './progress.js';

interface Flags {
  dtype?: 'fp16' | 'fp32';
  overwrite?: boolean;
  json?: boolean;
}

export function importCommand(): Command {
  return new Command('import')
    .description('turn a GGUF file or a Hugging Face folder into an ONNX model folder')
    .argument('<source>', 'a .gguf file, or a folder with config.json and .safetensors files')
    .argument('<out>', 'the folder to write')
    .addOption(new Option('--dtype <type>', 'type of the weights that are not in 4- or 8-bit blocks').choices(['fp16', 'fp32']))
    .option('--overwrite', 'replace the folder, if an import made it')
    .option('--json', 'write what was made as JSON')
    .action(async (source: string, out: string, {dtype, overwrite, json}: Flags) => {
      const {importModel} = await import('../import/import.js');
      using progress = createProgressDisplay();
      const result = await withInterrupt((signal) => importModel(source, out, {dtype, overwrite, signal, onProgress: progress.update}));
      progress[Symbol.dispose]();
      if (json) console.log(JSON.stringify(result, null, 2));
      else console.error(`wrote ${out}`);
    });
}
