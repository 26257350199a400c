/** inspect() tells the truth on machines with and without each part. */

import {mkdir, mkdtemp, open, realpath, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import type {Inspection} from '../../lib/index.js';
import {projectFile, run, runNode, simulatedDriver} from './helpers/child.js';

let folder: string;
beforeAll(async () => {
  folder = await realpath(await mkdtemp(path.join(tmpdir(), 'tensorrt-node-inspect-')));
});
afterAll(() => rm(folder, {recursive: true, force: true}));

/** Nothing of this machine's own CUDA and TensorRT. */
const nothing = {TENSORRT_NODE_CUDA_DRIVER: '/nonexistent/libcuda.so.1', TENSORRT_ROOT: '', LD_LIBRARY_PATH: '', VIRTUAL_ENV: ''};

async function inspectHere(env: Record<string, string>, ...args: string[]): Promise<string> {
  const {status, stdout, stderr} = await runNode([projectFile('test/e2e/inspect/report.mjs'), ...args], {...nothing, ...env});
  if (status !== 0) throw new Error(`inspect ended with ${status}: ${stderr}`);
  return stdout;
}

async function inspected(env: Record<string, string> = {}, ...args: string[]): Promise<Inspection> {
  return JSON.parse(await inspectHere(env, ...args)) as Inspection;
}

/** Compiles a library that stands in for one of TensorRT's; returns its folder. */
async function fakeLibrary(name: string, source: string, file = 'libnvinfer.so.10', linkerFlags: string[] = []): Promise<string> {
  const inside = path.join(folder, name);
  await mkdir(inside, {recursive: true});
  await writeFile(path.join(inside, `${file}.cc`), source);
  const args = ['-shared', '-fPIC', `-Wl,-soname,${file}`, '-o', path.join(inside, file), path.join(inside, `${file}.cc`), ...linkerFlags];
  const {status, stderr} = await run('c++', args);
  if (status !== 0) throw new Error(`${name} was not compiled: ${stderr}`);
  return inside;
}

/** The first page of a file, with one byte changed. */
async function copyWithByte(from: string, to: string, at: number, byte: number): Promise<void> {
  const file = await open(from);
  try {
    const {buffer} = await file.read(Buffer.alloc(4096), 0, 4096, 0);
    buffer[at] = byte;
    await writeFile(to, buffer);
  } finally {
    await file.close();
  }
}

/** libnvinfer of a version. To touch anything but its version number ends the process, as the real one may. */
function infer(number: number): string {
  return `#include <cstdlib>
    extern "C" int getInferLibVersion() { return ${number}; }
    extern "C" void* createInferRuntime_INTERNAL(void*, int) { std::abort(); }
    extern "C" void* createInferBuilder_INTERNAL(void*, int) { std::abort(); }`;
}

describe('without CUDA and TensorRT', () => {
  it('says what is missing and what to do, and that the CPU works', async () => {
    const inspection = await inspected();
    expect(inspection).toMatchObject({
      node: process.versions.node,
      platform: `${process.platform}-${process.arch}`,
      addon: {loaded: true, path: expect.stringMatching(/\.node$/)},
      driver: {reason: expect.stringContaining('no CUDA driver'), hint: expect.stringContaining("install NVIDIA's driver")},
      devices: [],
      tensorrt: {reason: expect.stringContaining('libnvinfer.so.10'), hint: expect.stringContaining('TENSORRT_ROOT')},
      onnxruntime: {version: expect.stringMatching(/^1\./)},
      backends: {tensorrt: {usable: false, why: 'there is no working CUDA driver'}, cpu: {usable: true}},
    });
    expect(inspection.advice).toEqual([expect.stringMatching(/^driver: /), expect.stringMatching(/^tensorrt: /)]);
    expect(inspection.cpu.cores).toBeGreaterThanOrEqual(1);
  });

  it('says so in text', async () => {
    const text = await inspectHere({}, '--text');
    expect(text).toMatch(/^Driver +no CUDA driver/m);
    expect(text).toMatch(/^Backend tensorrt +not usable: there is no working CUDA driver$/m);
    expect(text).toMatch(/^To do:\n- driver: install/m);
  });
});

describe('the addon', () => {
  it.each([
    ['switched off', () => 'off', /^switched off by TENSORRT_NODE_ADDON=off$/],
    ['a file that is not there', () => '/nonexistent/addon.node', /nonexistent/],
    ['a file that is no library', () => path.join(folder, 'broken.node'), /invalid ELF header|file too short/],
    ['a library that is no addon', () => path.join(folder, 'plain', 'plain.node'), /did not self-register/],
  ])('%s: the reason is told, the rest is told all the same', async (_name, file, reason) => {
    await writeFile(path.join(folder, 'broken.node'), 'not a library');
    await fakeLibrary('plain', 'int nothing;', 'plain.node');
    const inspection = await inspected({TENSORRT_NODE_ADDON: file()});
    expect(inspection.addon).toMatchObject({loaded: false, reason: expect.stringMatching(reason)});
    expect(inspection.driver).toEqual({reason: 'unknown without the native addon'});
    expect(inspection.backends).toMatchObject({cpu: {usable: true}, tensorrt: {usable: false, why: 'the native addon is not loaded'}});
    expect(inspection.advice[0]).toMatch(/^addon: .*npm rebuild tensorrt-node/);
  });

  it('links neither CUDA nor TensorRT, and shows nothing but its entry points', async () => {
    const {addon} = await inspected();
    const {stdout: dynamic} = await run('readelf', ['--dynamic', '--wide', addon.path!]);
    const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
    expect(needed).toContain('libc.so.6');
    for (const name of needed) expect(name).toMatch(/^(libc|libm|libgcc_s|libdl|libpthread|ld-linux-.*)\.so/);
    const {stdout: symbols} = await run('nm', ['--dynamic', '--defined-only', '--format=posix', addon.path!]);
    const shown = symbols
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[0]);
    expect(shown.sort()).toEqual(['napi_register_module_v1', 'node_api_module_get_api_version_v1']);
  });
});

describe('broken libraries', () => {
  const libraries = ['libcuda.so.1', 'libnvinfer.so.10'] as const;
  const text = (file: string) => writeFile(file, 'not a library, and longer than the header of one, which is 64 bytes');
  const broken = async (name: string, make: (file: string) => Promise<unknown>) => {
    const inside = path.join(folder, `broken ${name}`);
    await mkdir(inside);
    for (const library of libraries) await make(path.join(inside, library));
    return inside;
  };

  it.each<[string, (file: string) => Promise<unknown>, RegExp]>([
    ['a text', text, /invalid ELF header/],
    ['an empty file', (file) => writeFile(file, ''), /file too short/],
    ['a folder', (file) => mkdir(file), /directory/],
    ['a library of 32 bits', (file) => copyWithByte(process.execPath, file, 4, 1), /wrong ELF class/],
  ])('%s is neither driver nor TensorRT', async (name, make, reason) => {
    const [cuda, tensorrt] = libraries.map((library) => path.join(folder, `broken ${name}`, library));
    await broken(name, make);
    const inspection = await inspected({TENSORRT_NODE_CUDA_DRIVER: cuda!, TENSORRT_ROOT: path.dirname(tensorrt!)});
    expect(inspection.driver).toMatchObject({
      reason: expect.stringMatching(reason),
      hint: expect.stringContaining("install NVIDIA's driver"),
    });
    expect(inspection.tensorrt).toMatchObject({reason: expect.stringMatching(reason), hint: expect.stringContaining('TENSORRT_ROOT')});
  });

  it("are told of on the loader's path", async () => {
    const inside = await broken('loader', text);
    const {driver, tensorrt} = await inspected({TENSORRT_NODE_CUDA_DRIVER: '', LD_LIBRARY_PATH: inside});
    for (const [index, part] of [driver, tensorrt].entries()) {
      expect(part).toMatchObject({reason: expect.stringContaining(`${path.join(inside, libraries[index]!)}: invalid ELF header`)});
    }
  });

  it('a library without their functions is named with its folder', async () => {
    const inside = await fakeLibrary('loader-empty', 'int nothing;', 'libcuda.so.1');
    const {driver} = await inspected({TENSORRT_NODE_CUDA_DRIVER: '', LD_LIBRARY_PATH: inside});
    expect(driver).toMatchObject({reason: `${path.join(inside, 'libcuda.so.1')} has no function cuInit`});
  });
});

describe('with a driver', () => {
  let driver: string;
  beforeAll(async () => {
    driver = await simulatedDriver();
  });

  it('names the driver and each GPU', async () => {
    const inspection = await inspected({TENSORRT_NODE_CUDA_DRIVER: driver, TENSORRT_NODE_SIMULATOR: 'devices=2,deviceBytes=1073741824'});
    expect(inspection.driver).toMatchObject({path: driver, cuda: expect.stringMatching(/^\d+\.\d+$/)});
    expect(inspection.devices).toHaveLength(2);
    expect(inspection.devices[1]).toEqual({
      ordinal: 1,
      name: expect.stringMatching(/\S/),
      computeCapability: expect.stringMatching(/^\d+\.\d+$/),
      multiprocessors: expect.any(Number),
      memory: 1073741824,
      pciBusId: expect.stringMatching(/^[0-9A-F]{4}:[0-9A-F]{2}:[0-9A-F]{2}\.0$/),
    });
    expect(inspection.backends.tensorrt.why).toBe('there is no TensorRT that serves');
  });

  it('and a TensorRT: engines run', async () => {
    const inside = await fakeLibrary('usable', infer(100600));
    const {backends} = await inspected({TENSORRT_NODE_CUDA_DRIVER: driver}, inside);
    expect(backends.tensorrt).toEqual({
      usable: true,
      why: 'TensorRT 10.6.0 runs engines; language models run on the CPU in this version',
    });
  });

  it.each([
    ['a driver that sees no GPU', 'devices=0', /CUDA_ERROR_NO_DEVICE/],
    ['a driver that does not start', 'fail=cuInit:1:999', /CUDA_ERROR_UNKNOWN/],
    ['a device that cannot be asked', 'fail=cuDeviceGetName:1:999', /cuDeviceGetName failed with CUDA_ERROR_UNKNOWN/],
  ])('%s: reason and hint', async (_name, settings, reason) => {
    const {driver: found} = await inspected({TENSORRT_NODE_CUDA_DRIVER: driver, TENSORRT_NODE_SIMULATOR: settings});
    expect(found).toMatchObject({reason: expect.stringMatching(reason), hint: expect.stringMatching(/\S/)});
  });

  it('a library that is no driver: says which function it lacks', async () => {
    const inside = await fakeLibrary('no-driver', 'int nothing;', 'libcuda.so.1');
    const {driver: found} = await inspected({TENSORRT_NODE_CUDA_DRIVER: path.join(inside, 'libcuda.so.1')});
    expect(found).toMatchObject({reason: expect.stringContaining('has no function cuInit')});
  });
});

describe('TensorRT', () => {
  it.each([
    ['8.6.1', 8601],
    ['9.3.0', 9300],
    ['10.5.0', 100500],
    ['11.0.0', 110000],
  ])('%s is refused in words', async (version, number) => {
    const inside = await fakeLibrary(`refused-${version}`, infer(number));
    const {tensorrt} = await inspected({TENSORRT_ROOT: inside});
    const file = path.join(inside, 'libnvinfer.so.10');
    expect(tensorrt).toMatchObject({
      reason: expect.stringContaining(`${file}: is TensorRT ${version}; 10.6 or later in major 10 is needed`),
      hint: expect.stringContaining('install TensorRT 10.6 or later'),
    });
  });

  it.each([
    ['10.6.0', 100600],
    ['10.16.2', 101602],
  ])('%s serves, without a driver and without a touch beyond its version', async (version, number) => {
    const inside = await fakeLibrary(`serves-${version}/lib`, infer(number));
    const inspection = await inspected({TENSORRT_ROOT: path.dirname(inside)});
    expect(inspection.tensorrt).toEqual({
      version,
      library: path.join(inside, 'libnvinfer.so.10'),
      parser: {reason: expect.stringContaining('libnvonnxparser.so.10'), hint: expect.stringContaining('ONNX parser')},
    });
    expect(inspection.backends.tensorrt.why).toBe('there is no working CUDA driver');
  });

  it('is looked for beyond a version that does not serve', async () => {
    const old = await fakeLibrary('old', infer(100100));
    const site = await fakeLibrary('venv/lib/python3.11/site-packages/tensorrt_libs', infer(100800));
    const {tensorrt} = await inspected({TENSORRT_ROOT: old, VIRTUAL_ENV: path.join(folder, 'venv')});
    expect(tensorrt).toMatchObject({version: '10.8.0', library: path.join(site, 'libnvinfer.so.10')});
  });

  it('is taken from an explicit path, a folder or a file, and then from nowhere else', async () => {
    const wanted = await fakeLibrary('wanted', infer(100700));
    const other = await fakeLibrary('other', infer(100900));
    expect((await inspected({TENSORRT_ROOT: other}, wanted)).tensorrt).toMatchObject({version: '10.7.0'});
    expect((await inspected({TENSORRT_ROOT: other}, path.join(wanted, 'libnvinfer.so.10'))).tensorrt).toMatchObject({version: '10.7.0'});
    expect((await inspected({TENSORRT_ROOT: other}, '/nonexistent')).tensorrt).toMatchObject({
      reason: expect.stringContaining('/nonexistent'),
    });
  });

  it.each([
    ['the parser', 'extern "C" void* createNvOnnxParser_INTERNAL(void*, void*, int) { __builtin_trap(); }', undefined],
    ['another library under its name', 'int nothing;', /is not TensorRT's ONNX parser/],
  ])('beside it, %s', async (name, source, problem) => {
    const inside = await fakeLibrary(`parser ${name}`, infer(100600));
    // As the real one: it needs libnvinfer, which only the loaded one can satisfy.
    await fakeLibrary(`parser ${name}`, source, 'libnvonnxparser.so.10', [path.join(inside, 'libnvinfer.so.10'), '-Wl,--no-as-needed']);
    const {tensorrt} = await inspected({}, inside);
    expect(tensorrt).toMatchObject({
      version: '10.6.0',
      parser: problem === undefined ? path.join(inside, 'libnvonnxparser.so.10') : {reason: expect.stringMatching(problem)},
    });
  });

  it('is told both places of a parser that is in neither', async () => {
    const inside = await fakeLibrary('broken parser', infer(100600));
    await writeFile(path.join(inside, 'libnvonnxparser.so.10'), '');
    const {tensorrt} = await inspected({}, inside);
    expect(tensorrt).toMatchObject({
      parser: {reason: expect.stringMatching(/broken parser.libnvonnxparser.so.10: file too short; libnvonnxparser.so.10: cannot open/)},
    });
  });

  it('is taken from a folder named by a relative path', async () => {
    const inside = await fakeLibrary('relative', infer(100600));
    const {stdout} = await run(
      'sh',
      ['-c', 'cd "$1" && exec "$2" "$3" .', '-', inside, process.execPath, projectFile('test/e2e/inspect/report.mjs')],
      nothing,
    );
    expect(JSON.parse(stdout)).toMatchObject({tensorrt: {library: path.join(inside, 'libnvinfer.so.10')}});
  });

  it('is not a library without its functions', async () => {
    const inside = await fakeLibrary('no-tensorrt', 'int nothing;');
    expect((await inspected({}, inside)).tensorrt).toMatchObject({reason: expect.stringContaining('it has no getInferLibVersion')});
  });
});
