import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {mkdir, mkdtemp, rm, symlink, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';

import {afterEach, beforeEach, describe, expect, it} from 'vitest';

import {AbortError, FormatError} from '../errors.js';
import {type EngineManifest, readManifest, serializeManifest} from './manifest.js';
import {loadPlan, type PlanTarget} from './plan.js';

const PLAN = new TextEncoder().encode('a plan of some bytes');
const HERE: PlanTarget = {tensorrtVersion: '10.6.0', gpu: {name: 'NVIDIA H100', computeCapability: '9.0'}};

const MANIFEST: EngineManifest = {
  formatVersion: 1,
  name: 'net',
  plan: {file: 'model.plan', bytes: PLAN.byteLength, sha256: createHash('sha256').update(PLAN).digest('hex')},
  inputs: [{name: 'x', type: 'float32', dims: [-1, 4], profiles: [{min: [1, 4], opt: [2, 4], max: [8, 4]}]}],
  outputs: [{name: 'y', type: 'float16', dims: [-1, 2]}],
  precision: 'fp16',
  stronglyTyped: false,
  options: {precision: 'fp16', profiles: [{x: {min: [1, 4], opt: [2, 4], max: [8, 4]}}]},
  source: {file: '../net.onnx', sha256: '1'.repeat(64)},
  key: '2'.repeat(64),
  tensorrt: {version: '10.6.0', versionCompatible: false},
  gpu: {name: 'NVIDIA H100', computeCapability: '9.0', hardwareCompatibility: 'none'},
  package: '0.1.0',
  layers: 3,
  deviceMemoryBytes: 1024,
  refittable: false,
  stripped: false,
  weightStreaming: false,
  buildSeconds: 1.5,
  builtAt: '2026-01-02T03:04:05.000Z',
};

let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'tensorrt-node-plan-'));
  folder = join(parent, 'net');
  await mkdir(folder);
});
afterEach(() => rm(parent, {recursive: true, force: true}));

async function write(manifest: unknown, plan: Uint8Array = PLAN): Promise<void> {
  await writeFile(join(folder, 'manifest.json'), typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
  await writeFile(join(folder, 'model.plan'), plan);
}

/** The manifest with the field at `path` set to `value`, or taken away. */
function edited(path: string, value?: unknown): unknown {
  const copy = structuredClone(MANIFEST) as unknown as Record<string, unknown>;
  const names = path.split('.');
  let at = copy;
  for (const name of names.slice(0, -1)) at = at[name] as Record<string, unknown>;
  if (value === undefined) delete at[names.at(-1)!];
  else at[names.at(-1)!] = value;
  return copy;
}

describe('readManifest', () => {
  it('reads what was written', async () => {
    await write(serializeManifest(MANIFEST));
    expect(await readManifest(folder)).toEqual(MANIFEST);
  });

  it('leaves out what it does not know', async () => {
    await write(edited('plan.note', 'x'));
    expect(await readManifest(folder)).toEqual(MANIFEST);
  });

  it.each<[string, unknown, string]>([
    ['formatVersion', 2, "'formatVersion' must be 1, the format this version reads, and is 2"],
    ['plan', undefined, "'plan' must be an object and is missing"],
    ['plan.file', '../other.plan', "'plan.file' must be 'model.plan'"],
    ['plan.file', '/etc/passwd', "'plan.file' must be 'model.plan'"],
    ['plan.bytes', 0, "'plan.bytes' must be an integer of at least 1 and is 0"],
    ['plan.bytes', 1.5, "'plan.bytes'"],
    ['plan.bytes', 2 ** 60, "'plan.bytes'"],
    ['plan.bytes', undefined, "'plan.bytes' must be an integer of at least 1 and is missing"],
    ['plan.sha256', 'ABC', "'plan.sha256' must be a SHA-256 in hexadecimal"],
    ['inputs', {}, "'inputs' must be an array"],
    ['inputs.0.name', '', "'inputs[0].name' must be a name"],
    ['inputs.0.name', 'y', "'y' is the name of two tensors"],
    ['inputs.0.type', 'float64', "'inputs[0].type' must be 'float32' or"],
    ['inputs.0.dims', [-2], "'inputs[0].dims[0]' must be an integer of at least -1"],
    ['inputs.0.profiles', undefined, "'inputs[0].profiles' must be an array and is missing"],
    ['inputs.0.profiles.0.min', [1], "'inputs[0].profiles[0]' must be three lists of 2 numbers"],
    ['inputs.0.profiles.0.max', [1, 4], "'inputs[0].profiles[0]' must be ranges with min <= opt <= max"],
    ['inputs.0.profiles.0.values', {min: [1], opt: [2]}, "'inputs[0].profiles[0].values.max' must be an array and is missing"],
    ['outputs.0', 'y', "'outputs[0]' must be an object"],
    ['source.file', 'a\0b', "'source.file' must be a path"],
    ['key', undefined, "'key' must be a SHA-256"],
    ['tensorrt.version', '10', "'tensorrt.version' must be a version like '10.6.0'"],
    ['tensorrt.versionCompatible', 'yes', "'tensorrt.versionCompatible' must be true or false"],
    ['gpu.computeCapability', 'sm_90', "'gpu.computeCapability' must be a compute capability like '9.0'"],
    ['gpu.hardwareCompatibility', 'all', "'gpu.hardwareCompatibility' must be 'none' or 'ampere-plus' or"],
    ['layers', -1, "'layers' must be an integer of at least 0"],
    ['stripped', 1, "'stripped' must be true or false"],
    ['buildSeconds', '2', "'buildSeconds' must be a number of at least 0"],
    ['builtAt', 'today', "'builtAt' must be a date"],
    ['options', [], "'options' must be an object"],
  ])('refuses %s = %j', async (path, value, message) => {
    await write(edited(path, value));
    const error = await readManifest(folder).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FormatError);
    expect(error).toMatchObject({code: 'ERR_MANIFEST', path: join(folder, 'manifest.json'), message: expect.stringContaining(message)});
  });

  it.each([
    ['', 'is not JSON'],
    ['{', 'is not JSON'],
    ['null', 'is not an object'],
    ['[]', 'is not an object'],
    ['{"__proto__": {"formatVersion": 1}}', "'formatVersion'"],
  ])('refuses %j', async (text, message) => {
    await write(text);
    await expect(readManifest(folder)).rejects.toMatchObject({code: 'ERR_MANIFEST', message: expect.stringContaining(message)});
  });

  it('says what makes an engine folder where there is none', async () => {
    await expect(readManifest(join(folder, 'nowhere'))).rejects.toMatchObject({
      code: 'ERR_NOT_FOUND',
      hint: expect.stringContaining('tensorrt-node build'),
    });
    await mkdir(join(folder, 'manifest.json'));
    await expect(readManifest(folder)).rejects.toMatchObject({code: 'ERR_MANIFEST', message: expect.stringContaining('is not a file')});
  });
});

describe('loadPlan', () => {
  it('returns the bytes it hashed', async () => {
    await write(MANIFEST);
    expect(await loadPlan(folder, HERE)).toEqual({manifest: MANIFEST, plan: PLAN});
  });

  it('names what damage there is before it looks at versions, and how to build again', async () => {
    const other = {...HERE, tensorrtVersion: '10.9.0'};
    await write(MANIFEST, PLAN.subarray(1));
    await expect(loadPlan(folder, other)).rejects.toMatchObject({code: 'ERR_PLAN', message: expect.stringContaining('has 19 bytes')});
    const flipped = PLAN.slice();
    flipped[3]! ^= 1;
    await write(MANIFEST, flipped);
    const error = await loadPlan(folder, other).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({code: 'ERR_PLAN', path: join(folder, 'model.plan'), message: expect.stringContaining('has the SHA-256')});
    expect((error as FormatError).hint).toBe(
      `build it again: npx tensorrt-node build ${join(parent, 'net.onnx')} ${folder} --precision fp16 --profile x=1x4:2x4:8x4`,
    );
  });

  it('refuses a plan that is not there or no file', async () => {
    await write(MANIFEST);
    await rm(join(folder, 'model.plan'));
    await expect(loadPlan(folder, HERE)).rejects.toMatchObject({code: 'ERR_NOT_FOUND'});
    await symlink('.', join(folder, 'model.plan'));
    await expect(loadPlan(folder, HERE)).rejects.toMatchObject({code: 'ERR_PLAN', message: expect.stringContaining('is not a file')});
  });

  it('does not wait for a pipe in the place of a file', async () => {
    await write(MANIFEST);
    for (const [name, code] of [
      ['model.plan', 'ERR_PLAN'],
      ['manifest.json', 'ERR_MANIFEST'],
    ] as const) {
      await rm(join(folder, name));
      await promisify(execFile)('mkfifo', [join(folder, name)]);
      await expect(loadPlan(folder, HERE)).rejects.toMatchObject({code, message: expect.stringContaining('is not a file')});
    }
  });

  it('ends with its signal', async () => {
    await write(MANIFEST);
    await expect(loadPlan(folder, HERE, {signal: AbortSignal.abort()})).rejects.toThrow(AbortError);
  });

  const on = (computeCapability: string): Partial<PlanTarget> => ({gpu: {name: 'NVIDIA X', computeCapability}});
  it.each<[string, object, object, Partial<PlanTarget>, string | undefined]>([
    ['another TensorRT', {}, {}, {tensorrtVersion: '10.6.1'}, 'was built by TensorRT 10.6.0 and needs exactly 10.6.0; loaded is 10.6.1'],
    ['the same', {versionCompatible: true}, {}, {}, undefined],
    ['a later one', {versionCompatible: true}, {}, {tensorrtVersion: '10.16.0'}, undefined],
    ['an earlier one', {versionCompatible: true}, {}, {tensorrtVersion: '10.5.9'}, 'needs 10.6.0 or later'],
    ['another major', {versionCompatible: true}, {}, {tensorrtVersion: '11.0.0'}, 'needs 10.6.0 or later of the same major version'],
    ['another GPU of the kind', {}, {}, on('9.0'), undefined],
    ['a newer GPU', {}, {}, on('10.0'), 'was built on NVIDIA H100 and needs compute capability 9.0; this GPU is NVIDIA X'],
    ['a newer one', {}, {hardwareCompatibility: 'ampere-plus'}, on('12.0'), undefined],
    ['one before Ampere', {}, {hardwareCompatibility: 'ampere-plus'}, on('7.5'), 'needs compute capability 8.0 or later'],
    ['another capability', {}, {hardwareCompatibility: 'same-compute-capability'}, on('8.9'), 'needs compute capability 9.0'],
  ])('on %s, %j, %j', async (_name, tensorrt, gpu, target, problem) => {
    await write({...MANIFEST, tensorrt: {...MANIFEST.tensorrt, ...tensorrt}, gpu: {...MANIFEST.gpu, ...gpu}});
    const loaded = loadPlan(folder, {...HERE, ...target});
    if (problem === undefined) await expect(loaded).resolves.toMatchObject({plan: PLAN});
    else await expect(loaded).rejects.toMatchObject({code: 'ERR_PLAN_MISMATCH', message: expect.stringContaining(problem)});
  });

  it('says how the plan was calibrated', async () => {
    await write({...MANIFEST, options: {precision: 'int8', calibration: {algorithm: 'min-max', batchSize: 8, maxBatches: 20}}});
    await expect(loadPlan(folder, {...HERE, tensorrtVersion: '10.7.0'})).rejects.toMatchObject({
      hint: expect.stringMatching(
        /--precision int8 --calibration-folder SAMPLES --calibration-algorithm min-max --calibration-batch-size 8 --calibration-batches 20$/,
      ),
    });
  });

  it('quotes what a manifest puts into the command', async () => {
    await write({
      ...MANIFEST,
      source: {...MANIFEST.source, file: "$(rm -rf '.').onnx"},
      options: {precision: '`x`', refit: true, layers: 5, profiles: [{x: null}]},
    });
    await expect(loadPlan(folder, {...HERE, tensorrtVersion: '10.7.0'})).rejects.toMatchObject({
      hint: `build it again: npx tensorrt-node build '${folder}/$(rm -rf '\\''.'\\'').onnx' ${folder} --precision '\`x\`' --profile 'x=?' --refit`,
    });
  });
});
