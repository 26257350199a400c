/**
 * Everything the engine benchmarks need, in bench/.models: fetches the models, draws the inputs, lowers silero-vad,
 * exports the encoder, and keeps what ONNX Runtime's CPU kernels make of the inputs, for machines that have not got it.
 *
 *   node bench/engines/prepare.mjs [--torch python3]
 *
 * `--torch`: a Python with torch and transformers, which export the encoder; without one the encoder is left out.
 */

import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, rmSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {fixInput} from '../../dist/onnx/lower/fix_input.js';
import {inlineConstantIfs} from '../../dist/onnx/lower/inline_if.js';
import {readModel} from '../../dist/onnx/read.js';
import {writeModel} from '../../dist/onnx/write.js';
import {say} from '../lib/results.mjs';
import {fetchModels} from './fetch.mjs';
import {characters, models} from './models.mjs';
import {writeNpy} from './npy.mjs';
import {inputsFolder, modelFile, modelsFolder, python, referencesFolder} from './places.mjs';
import {outputsOf} from './run_cases.mjs';
import {readText} from './text.mjs';

/** Of the recogniser, whose outputs take 6625 classes a step, so many are kept whole; of the others the text. */
const WHOLE_RECOGNITIONS = 12;

const {values: options} = parseArgs({options: {torch: {type: 'string'}}});
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

await fetchModels();
execFileSync(python, [here('inputs.py'), here('../prompts'), modelsFolder], {stdio: 'inherit'});
await lowerSileroVad();
await writeCharacters();
if (options.torch !== undefined) {
  execFileSync(options.torch, [here('export_encoder.py'), here('../prompts'), modelsFolder], {stdio: 'inherit'});
}
await writeReferences();

async function lowerSileroVad() {
  const model = await readModel(modelFile('silero-vad'));
  fixInput(model, 'sr', [], new Uint8Array(BigInt64Array.of(16000n).buffer));
  await inlineConstantIfs(model);
  await writeModel(model, models['silero-vad'].file);
}

/** The recogniser's own list is in its metadata; class 0 is the blank, the last one a space. */
async function writeCharacters() {
  const {proto} = await readModel(models.recogniser.file);
  const list = proto.metadataProps.find(({key}) => key === 'character').value.split('\n');
  // As Python's splitlines, which rapidocr uses: no empty line after the last one.
  if (list.at(-1) === '') list.pop();
  writeFileSync(path.join(inputsFolder, 'characters.json'), JSON.stringify(['', ...list, ' ']));
}

async function writeReferences() {
  const ort = await import('onnxruntime-node');
  rmSync(referencesFolder, {recursive: true, force: true});
  mkdirSync(referencesFolder, {recursive: true});
  for (const [name, model] of Object.entries(models)) {
    if (!existsSync(model.file)) {
      say(`${name}: left out, ${path.relative('.', model.file)} is not there`);
      continue;
    }
    const session = await ort.InferenceSession.create(model.file, {logSeverityLevel: 3});
    const run = async (feeds) => {
      const tensors = Object.entries(feeds).map(([key, {type, dims, data}]) => [key, new ort.Tensor(type, data, dims)]);
      return session.run(Object.fromEntries(tensors));
    };
    const texts = {};
    let count = 0;
    for await (const {name: each, outputs} of outputsOf(model, run)) {
      for (const [output, tensor] of Object.entries(outputs)) {
        if (name === 'recogniser') texts[each] = readText(tensor, characters());
        if (name !== 'recogniser' || count < WHOLE_RECOGNITIONS) {
          writeNpy(path.join(referencesFolder, `${name}-${each}.${output.replaceAll('/', '_')}.npy.gz`), tensor);
        }
      }
      count++;
    }
    if (name === 'recogniser') writeFileSync(path.join(referencesFolder, 'recogniser.json'), JSON.stringify(texts, undefined, 0));
    await session.release();
    say(`${name}: ${count} references`);
  }
}
