#!/usr/bin/env node
// Runs the tests of the kernels' own code (test/gpu/kernels.cc) without a GPU: compiled for this machine, with threads
// that take turns (native/test/emulated), under AddressSanitizer. What it cannot see are races and speed.
//
//   node scripts/test-kernels.mjs [PART_OF_A_NAME]

import {cpSync, mkdirSync, readdirSync, rmSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import path from 'node:path';

import {RunError, root, run} from './lib/run.mjs';
import {findSdk} from './sdk/find.mjs';

const folder = path.join(root, 'build-native', 'kernels');
const native = path.join(root, 'native');
const emulated = path.join(native, 'test', 'emulated');
const sanitizer = ['-fsanitize=address'];

try {
  const {nvcc} = await findSdk({nvcc: true});
  const headers = ['-isystem', path.join(path.dirname(nvcc.path), '..', 'include')];
  await buildDriver(headers);
  await buildTests(headers);
  // Stacks that are switched are nothing that AddressSanitizer can follow.
  const env = {
    TENSORRT_NODE_CUDA_DRIVER: path.join(folder, 'libcuda_emulated.so'),
    ASAN_OPTIONS: 'detect_leaks=0:detect_stack_use_after_return=0',
  };
  const parts = availableParallelism();
  const runPart = (part) =>
    run(path.join(folder, 'kernel_tests'), [...process.argv.slice(2), '--part', `${part}/${parts}`], {cwd: folder, env});
  const outputs = await Promise.all(Array.from({length: parts}, (_, part) => runPart(part)));
  const passed = outputs.join('\n').match(/^PASS/gm)?.length ?? 0;
  if (passed === 0) throw new RunError('no kernel test has such a name');
  console.log(`kernels: ${passed} passed`);
} catch (error) {
  if (!(error instanceof RunError)) throw error;
  const failed = (error.output ?? '').split('\n').filter((line) => !line.startsWith('PASS'));
  console.error(`${error.message}\n${failed.slice(0, 60).join('\n')}`);
  process.exitCode = 1;
}

/** The kernels, with instructions in C++ in place of the GPU's. */
async function buildDriver(headers) {
  const copy = path.join(folder, 'native');
  rmSync(copy, {recursive: true, force: true});
  mkdirSync(folder, {recursive: true});
  cpSync(path.join(native, 'kernels'), path.join(copy, 'kernels'), {recursive: true});
  cpSync(path.join(emulated, 'intrinsics.cuh'), path.join(copy, 'kernels', 'device', 'intrinsics.cuh'));
  const flags = ['-std=c++20', '-O1', '-g1', '-fPIC', ...sanitizer, '--param', 'asan-stack=0', '-Wno-attributes', ...headers];
  const kernels = readdirSync(path.join(copy, 'kernels')).filter((name) => name.endsWith('.cu'));
  const objects = [...kernels, 'threads.cc', 'driver.cc'].map((name) => {
    const object = path.join(folder, `${name}.o`);
    const before = name.endsWith('.cu') ? ['-include', path.join(emulated, 'cuda_cpp.h'), '-x', 'c++'] : [];
    const source = path.join(name.endsWith('.cu') ? path.join(copy, 'kernels') : emulated, name);
    return {object, args: [...flags, '-I', copy, '-I', emulated, ...before, '-c', source, '-o', object]};
  });
  const waiting = [...objects];
  const compileNext = async () => {
    for (let each = waiting.shift(); each !== undefined; each = waiting.shift()) await run('g++', each.args);
  };
  await Promise.all(Array.from({length: availableParallelism()}, compileNext));
  const library = ['-shared', ...sanitizer, '-o', path.join(folder, 'libcuda_emulated.so')];
  await run('g++', [...library, ...objects.map(({object}) => object), '-ldl']);
}

async function buildTests(headers) {
  const sources = ['context', 'driver', 'error', 'event', 'graph', 'stream', 'stream_names'].map((name) => path.join('cuda', `${name}.cc`));
  for (const name of ['gptq', 'images', 'kernels', 'launch']) sources.push(path.join('kernels', `${name}.cc`));
  for (const name of readdirSync(path.join(native, 'simulator', 'kernels')))
    if (name.endsWith('.cc')) sources.push(path.join('simulator', 'kernels', name));
  sources.push(path.join('quantize', 'scale.cc'), path.join('test', 'kernel_images.cc'));
  const flags = ['-std=c++20', '-O1', '-g1', '-pthread', ...sanitizer, '-I', native, ...headers];
  const cases = ['kernels', 'kernels_gptq', 'kernels_quantized'].map((name) => path.join(root, 'test', 'gpu', `${name}.cc`));
  const files = [...cases, ...sources.map((name) => path.join(native, name))];
  await run('g++', [...flags, ...files, '-ldl', '-o', path.join(folder, 'kernel_tests')]);
}
