#!/usr/bin/env node
// Builds and runs native/'s C++ tests, which need neither Node nor a GPU: once under AddressSanitizer and
// UndefinedBehaviorSanitizer, once under ThreadSanitizer.
//
//   node scripts/test-native.mjs [address] [thread] [--filter PART_OF_A_NAME]

import {spawnSync} from 'node:child_process';
import {availableParallelism} from 'node:os';
import path from 'node:path';
import {parseArgs} from 'node:util';

import {RunError, root, run} from './lib/run.mjs';
import {step} from './lib/steps.mjs';

const SANITIZERS = {
  address: {flags: 'address,undefined', options: {ASAN_OPTIONS: 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1'}},
  thread: {flags: 'thread', options: {TSAN_OPTIONS: 'second_deadlock_stack=1'}},
};

const {values, positionals} = parseArgs({allowPositionals: true, options: {filter: {type: 'string', default: ''}}});
const wanted = positionals.length > 0 ? positionals : Object.keys(SANITIZERS);
const unknown = wanted.find((name) => !(name in SANITIZERS));
if (unknown !== undefined) {
  console.error(`test-native: '${unknown}' is not one of ${Object.keys(SANITIZERS).join(', ')}`);
  process.exit(2);
}

let includes = {};
let passed = await step('headers', async () => {
  includes = await findIncludes();
});
for (const name of passed ? wanted : []) passed = (await step(name, () => test(name))) && passed;
process.exitCode = passed ? 0 : 1;

async function findIncludes() {
  const {CUDA_INCLUDE_DIR: fromCuda, TENSORRT_INCLUDE_DIR: fromTensorrt} = process.env;
  if (fromCuda && fromTensorrt) return {cuda: fromCuda, tensorrt: fromTensorrt};
  // Its progress goes to stderr, which `run` would mix in.
  const {status, stdout, stderr} = spawnSync(process.execPath, [path.join(root, 'scripts', 'sdk.mjs'), '--json'], {encoding: 'utf8'});
  if (status !== 0) throw new RunError('scripts/sdk.mjs found no headers', stderr);
  const {cuda, tensorrt} = JSON.parse(stdout);
  return {cuda: fromCuda || cuda.include, tensorrt: fromTensorrt || tensorrt.include};
}

/** Resolves with the last lines of the test programs: how many tests passed. */
async function test(name) {
  const {flags, options} = SANITIZERS[name];
  const folder = path.join(root, 'build-native', name);
  const headers = [`-DCUDA_INCLUDE_DIR=${includes.cuda}`, `-DTENSORRT_INCLUDE_DIR=${includes.tensorrt}`];
  const settings = [...headers, `-DSANITIZE=${flags}`];
  await run('cmake', ['-S', path.join(root, 'native'), '-B', folder, ...settings]);
  await run('cmake', ['--build', folder, '--parallel', String(availableParallelism())]);
  const lastLineOf = async (program, args) => {
    const output = await runSanitized(path.join(folder, program), args, {cwd: folder, env: options});
    return output.trimEnd().split('\n').at(-1);
  };
  const processes = availableParallelism();
  const shares = Array.from({length: processes}, (_, share) => [values.filter, String(share), String(processes)]);
  const native = await Promise.all(shares.map((args) => lastLineOf('native_tests', args)));
  const [passed, all] = [0, 1].map((at) => native.reduce((sum, line) => sum + Number(line.match(/\d+/g)[at]), 0));
  return `${passed} of ${all} tests passed, ${await lastLineOf('load_tests', [path.join(folder, 'leaking_program')])}`;
}

/** ThreadSanitizer cannot live with some kernels' random addresses; it then runs again without them. */
async function runSanitized(program, args, options) {
  try {
    return await run(program, args, options);
  } catch (error) {
    if (!(error instanceof RunError) || !error.output.includes('unexpected memory mapping')) throw error;
    return await run('setarch', ['-R', program, ...args], options);
  }
}
