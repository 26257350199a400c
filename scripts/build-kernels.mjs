#!/usr/bin/env node
// Compiles native/kernels/*.cu to fatbins and writes the assembly that embeds them in the addon; prints its path.
//
//   node scripts/build-kernels.mjs [--fetch]
//
// Without nvcc the assembly embeds nothing, and the addon says so when kernels are asked for; --fetch downloads nvcc
// first. $TENSORRT_NODE_KERNEL_ARCHITECTURES ("90" or "80,90") leaves out others, for quicker builds in development.
// What is built is kept under build-kernels/ by a hash of all that goes into it.

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

  const names = nvcc === undefined ? [] : filesEndingWith('.cu').map((name) => path.basename(name, '.cu'));
  const flags = [
    ...architectures.map((each) => `-gencode=arch=compute_${each},code=sm_${each}`),
    `-gencode=arch=compute_${architectures.at(-1)},code=compute_${architectures.at(-1)}`,
    ...['-std=c++20', '-O3', '--expt-relaxed-constexpr', '-Wno-deprecated-gpu-targets', '-Xcompiler=-Wall'],
  ];
  const folder = path.join('build-kernels', digest([nvcc?.version ?? 'none', ...flags]));
  const started = performance.now();
  const made = await makeOnce(path.join(root, folder), 'images.S', async (scratch) => {
    const waiting = [...names];
    const compileNext = async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await compile(nvcc.path, flags, name, scratch);
    };
    await Promise.all(Array.from({length: availableParallelism()}, compileNext));
    // The last file that is written, and the one that is looked for.
    await writeFile(path.join(scratch, 'images.S.partial'), assembly(names, path.join(root, folder)));
    await rename(path.join(scratch, 'images.S.partial'), path.join(scratch, 'images.S'));
    say(`${names.length} files for ${architectures.join(', ')} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });
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

async function compile(nvcc, flags, name, folder) {
  // Relative paths, so that the machine's are not in the result.
  const args = [
    '-fatbin',
    ...flags,
    '-I',
    'native',
    path.join('native', 'kernels', `${name}.cu`),
    '-o',
    path.join(folder, `${name}.fatbin`),
  ];
  try {
    await run(nvcc, args, {cwd: root, maxBuffer: 64 << 20});
  } catch (error) {
    throw new Error(`nvcc failed on ${name}.cu: ${error.stderr || error.message}`);
  }
}

function assembly(names, folder) {
  const quad = (value) => `  .quad ${value}`;
  const image = (name) => [
    ...['  .section .rodata', '  .balign 64', `image_${name}:`],
    ...[`  .incbin "${path.join(folder, `${name}.fatbin`)}"`, `name_${name}:`, `  .asciz "${name}"`],
  ];
  const lines = [
    '/* Compiled kernels and the table of them: native/kernels/images.h. */',
    ...names.flatMap(image),
    // With addresses inside, which the loader fills in.
    ...['  .section .data.rel.ro, "aw"', '  .balign 8', '  .globl tensorrtNodeKernelImages', '  .hidden tensorrtNodeKernelImages'],
    ...['tensorrtNodeKernelImages:', ...names.flatMap((name) => [quad(`name_${name}`), quad(`image_${name}`)])],
    ...['  .globl tensorrtNodeKernelImageCount', '  .hidden tensorrtNodeKernelImageCount', 'tensorrtNodeKernelImageCount:'],
    ...[quad(names.length), '  .section .note.GNU-stack, "", %progbits'],
  ];
  return `${lines.join('\n')}\n`;
}

function filesEndingWith(...endings) {
  const names = readdirSync(sources, {recursive: true}).filter((name) => endings.some((ending) => name.endsWith(ending)));
  return names.sort();
}

function digest(settings) {
  const hash = createHash('sha256').update(settings.join('\n'));
  for (const name of filesEndingWith('.cu', '.cuh', '.h')) hash.update(`\n${name}\n`).update(readFileSync(path.join(sources, name)));
  // The assembly names files by where they are.
  return hash
    .update(root)
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .digest('hex')
    .slice(0, 12);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(await buildKernels({fetch: process.argv.includes('--fetch'), say: (line) => console.error(`kernels: ${line}`)}));
  } catch (error) {
    console.error(`kernels: ${error.message}`);
    process.exitCode = 1;
  }
}
