#!/usr/bin/env node
// Compiles native/kernels/*.cu to fatbins and writes the assembly that embeds them in the addon; prints its path.
//
//   node scripts/build-kernels.mjs [--fetch]
//
// Without nvcc the assembly embeds nothing, and the addon says so when kernels are asked for; --fetch downloads nvcc
// first. $TENSORRT_NODE_KERNEL_ARCHITECTURES ("90" or "80,90") leaves out others, for quicker builds in development.
// What is built is kept under build-kernels/, each file by a hash of all that goes into it.

import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {rename, writeFile} from 'node:fs/promises';
import {availableParallelism} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

import {FetchError} from './sdk/fetch.mjs';
import {findNvccWithoutFetching, findSdk} from './sdk/find.mjs';
import {makeOnce} from './sdk/once.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = path.join(root, 'native', 'kernels');
export const kernelsFolder = path.join(root, 'build-kernels');
const run = promisify(execFile);

/** Machine code for each, and for whatever is newer the last one's PTX. */
const ARCHITECTURES = ['80', '86', '89', '90'];

/** Path of the assembly, relative to the project's root. Rejects when a kernel does not compile. */
export async function buildKernels({fetch = false, env = process.env, say = () => {}} = {}) {
  const nvcc = await compiler({fetch, say});
  if (nvcc === undefined) say('no nvcc: the addon will hold no kernels');
  const architectures = env.TENSORRT_NODE_KERNEL_ARCHITECTURES?.split(',') ?? ARCHITECTURES;
  const unknown = architectures.find((each) => !/^\d+a?$/.test(each));
  if (unknown !== undefined)
    throw new Error(`TENSORRT_NODE_KERNEL_ARCHITECTURES: '${unknown}' is no architecture, such as ${ARCHITECTURES.join(', ')}`);

  const files = nvcc === undefined ? [] : readdirSync(sources).filter((name) => name.endsWith('.cu'));
  const names = files.map((name) => path.basename(name, '.cu')).sort();
  const flags = [
    ...architectures.map((each) => `-gencode=arch=compute_${each},code=sm_${each}`),
    `-gencode=arch=compute_${architectures.at(-1)},code=compute_${architectures.at(-1)}`,
    ...['-std=c++20', '-O3', '--expt-relaxed-constexpr', '-Wno-deprecated-gpu-targets', '-Xcompiler=-Wall'],
  ];
  const images = names.map((name) => ({name, key: digest([nvcc.version, ...flags], path.join(sources, `${name}.cu`))}));
  const started = performance.now();
  const waiting = [...images];
  const compileNext = async () => {
    for (let each = waiting.shift(); each !== undefined; each = waiting.shift()) await compile(nvcc.path, flags, each);
  };
  await Promise.all(Array.from({length: availableParallelism()}, compileNext));
  say(`${names.length} files for ${architectures.join(', ')} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  const text = assembly(images);
  const key = createHash('sha256').update(text).digest('hex').slice(0, 12);
  const made = await makeOnce(path.join(kernelsFolder, `images-${key}`), 'images.S', (scratch) =>
    writeFile(path.join(scratch, 'images.S'), text),
  );
  return path.relative(root, made);
}

async function compiler({fetch, say}) {
  const found = findNvccWithoutFetching();
  if (found !== undefined || !fetch) return found;
  try {
    return (await findSdk({nvcc: true})).nvcc;
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    say(error.message);
    return undefined;
  }
}

/** Compiles `name`.cu unless the same sources were before. */
async function compile(nvcc, flags, {name, key}) {
  await makeOnce(path.join(kernelsFolder, `${name}-${key}`), `${name}.fatbin`, async (scratch) => {
    // Relative paths, so that the machine's are not in the result.
    const source = path.join('native', 'kernels', `${name}.cu`);
    const partial = path.join(scratch, 'partial');
    try {
      await run(nvcc, ['-fatbin', ...flags, '-I', 'native', source, '-o', partial], {cwd: root, maxBuffer: 64 << 20});
    } catch (error) {
      throw new Error(`nvcc failed on ${name}.cu: ${error.stderr || error.message}`);
    }
    await rename(partial, path.join(scratch, `${name}.fatbin`));
  });
}

function assembly(images) {
  const quad = (value) => `  .quad ${value}`;
  const names = images.map(({name}) => name);
  const image = ({name, key}) => [
    ...['  .section .rodata', '  .balign 64', `image_${name}:`],
    ...[`  .incbin "${path.join(kernelsFolder, `${name}-${key}`, `${name}.fatbin`)}"`, `name_${name}:`, `  .asciz "${name}"`],
  ];
  const lines = [
    '/* Compiled kernels and the table of them: native/kernels/images.h. */',
    ...images.flatMap(image),
    // With addresses inside, which the loader fills in.
    ...['  .section .data.rel.ro, "aw"', '  .balign 8', '  .globl tensorrtNodeKernelImages', '  .hidden tensorrtNodeKernelImages'],
    ...['tensorrtNodeKernelImages:', ...names.flatMap((name) => [quad(`name_${name}`), quad(`image_${name}`)])],
    ...['  .globl tensorrtNodeKernelImageCount', '  .hidden tensorrtNodeKernelImageCount', 'tensorrtNodeKernelImageCount:'],
    ...[quad(names.length), '  .section .note.GNU-stack, "", %progbits'],
  ];
  return `${lines.join('\n')}\n`;
}

/** Of a kernel's source and all that it includes of ours. */
function digest(settings, source) {
  const files = new Set([source]);
  for (const file of files)
    for (const [, name] of readFileSync(file, 'utf8').matchAll(/^#include "(.+)"/gm)) files.add(path.resolve(path.dirname(file), name));
  const hash = createHash('sha256').update(settings.join('\n'));
  for (const file of [...files].sort()) hash.update(`\n${path.relative(root, file)}\n`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(await buildKernels({fetch: process.argv.includes('--fetch'), say: (line) => console.error(`kernels: ${line}`)}));
  } catch (error) {
    console.error(`kernels: ${error.message}`);
    process.exitCode = 1;
  }
}
