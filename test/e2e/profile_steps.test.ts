/** Steps, phases and layers in traces, from the simulated CUPTI on the simulated driver and TensorRT. */

import path from 'node:path';

import {beforeAll, describe, expect, it} from 'vitest';

import type {Trace} from '../../dist/profile/activity.js';
import type {StepArgs} from '../../dist/profile/steps.js';
import {summarize} from '../../dist/profile/summary.js';
import {readTrace} from '../../dist/profile/trace_reader.js';
import {languageModelFolder} from '../support/language_model_folder.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {projectFile, runNode, simulatedDriver} from './helpers/child.js';
import {MAIN} from './helpers/command.js';

const LAYERS = 3;
const folder = temporaryFolder();
let driver: string;

beforeAll(async () => {
  driver = await simulatedDriver();
  await languageModelFolder(folder('model'), {layerCount: LAYERS});
});

function environment(): Record<string, string> {
  return {
    TENSORRT_NODE_CUDA_DRIVER: driver,
    TENSORRT_NODE_SIMULATOR: 'operationNs=2000',
    TENSORRT_ROOT: path.dirname(driver),
    TENSORRT_NODE_CACHE: folder('cache'),
    CUPTI_LIBRARY: path.join(path.dirname(driver), 'libcupti.so.13'),
  };
}

async function record(name: string, options: object, env: Record<string, string> = {}): Promise<Trace & {problem: string}> {
  const file = folder(`${name}.json`);
  const script = projectFile('test/e2e/profile/generate.mjs');
  const given = JSON.stringify({model: folder('model'), file, ...options});
  const {status, stdout, stderr} = await runNode([script, given], {...environment(), ...env});
  if (status !== 0) throw new Error(stderr);
  expect(stderr).toBe('');
  return {...(await readTrace(file)), problem: stdout.trim()};
}

interface Request {
  track: string;
  promptTokens: number;
  completionTokens: number;
  request: number;
}

const stepsOf = ({hostEvents}: Trace): StepArgs[] =>
  hostEvents.filter(({track}) => track === 'scheduler').map(({args}) => args as unknown as StepArgs);
const requestsOf = ({hostEvents}: Trace): Request[] =>
  hostEvents.filter(({track, name}) => track === name).map(({track, args}) => ({track, ...(args as unknown as Omit<Request, 'track'>)}));

describe.each([
  ['a model in VRAM, loaded while it is recorded', {graphNodes: true}],
  ['a model that was loaded before', {graphNodes: true, early: true}],
  ['a model whose layers are streamed', {graphNodes: true, placement: 'ram'}],
])('%s', (name, options) => {
  let trace: Trace;
  beforeAll(async () => {
    trace = await record(name, options);
  });

  it('has steps whose rows are the tokens of their requests', () => {
    const steps = stepsOf(trace);
    const requests = requestsOf(trace);
    expect(requests).toHaveLength(2);
    const prefills = steps.filter(({phase}) => phase === 'prefill');
    const prompts = requests.reduce((sum, {promptTokens}) => sum + promptTokens, 0);
    expect(prefills.reduce((sum, {tokens}) => sum + tokens, 0)).toBe(prompts);
    for (const {request, completionTokens} of requests) {
      const own = steps.filter((step) => step.requests.includes(request));
      expect(own.filter(({phase}) => phase === 'prefill').length).toBeGreaterThan(0);
      // The prefill chose the first.
      expect(own.filter(({phase}) => phase === 'decode')).toHaveLength(completionTokens - 1);
    }
    for (const {phase, rows, tokens, requests: served, bytesRead, model} of steps) {
      expect(rows).toBe(tokens);
      if (phase === 'decode') expect(rows).toBe(served.length);
      expect(bytesRead).toBeGreaterThan(1000);
      expect(model).toBe('toy');
    }
    expect(new Set(steps.map(({step}) => step)).size).toBe(steps.length);
  });

  it('has a phase and a layer for each kernel of a step', () => {
    const steps = new Map(stepsOf(trace).map((step) => [step.step, step]));
    const kernels = trace.activities.filter(({kind, step}) => kind === 'kernel' && step !== undefined);
    expect(kernels.filter(({step, phase}) => steps.get(step!)?.phase !== phase)).toEqual([]);
    expect(kernels.filter(({layer}) => layer === undefined)).toEqual([]);
    expect(new Set(kernels.map(({step}) => step)).size).toBe(steps.size);
    const layers = ['prologue', ...Array.from({length: LAYERS}, (_, layer) => `layer ${layer}`), 'epilogue', 'sampling'];
    const ofStep = (number: number) => kernels.filter(({step}) => step === number).sort((a, b) => a.start - b.start);
    for (const {step, phase} of steps.values()) {
      const inOrder = ofStep(step).map(({layer}) => layer);
      const seen = inOrder.filter((layer, index) => layer !== inOrder[index - 1]);
      if (phase === 'decode') expect(seen).toEqual(layers);
    }
    // Nothing else computes once the model is loaded.
    const first = Math.min(...kernels.map(({start}) => start));
    const stray = trace.activities.filter(({kind, step, start}) => kind === 'kernel' && step === undefined && start > first);
    expect(stray).toEqual([]);
  });

  it('has all kernel time in phases and layers', () => {
    const {kernels, phases, layers} = summarize(trace);
    const sum = (list: readonly {total: number}[]) => list.reduce((total, each) => total + each.total, 0);
    expect(sum(phases)).toBeCloseTo(sum(kernels), 3);
    expect(sum(layers)).toBeCloseTo(sum(kernels), 3);
    expect(phases.map(({name}) => name)).toEqual(expect.arrayContaining(['prefill', 'decode']));
  });
});

it('launches of graphs as one have their step and phase, and a layer where the graph is one', async () => {
  const whole = await record('whole', {});
  const graphs = whole.activities.filter(({kind}) => kind === 'graph');
  expect(graphs.length).toBeGreaterThan(20);
  expect(graphs.filter(({step, phase}) => step === undefined || phase === undefined)).toEqual([]);
  const streamed = await record('streamed', {placement: 'ram'});
  expect(streamed.activities.filter(({kind, layer}) => kind === 'graph' && layer === 'layer 1').length).toBeGreaterThan(20);
});

it('speeds that were measured once on the machine are those of the card', async () => {
  expect((await record('unknown', {})).info.speeds).toBeUndefined();
  const {status, stderr} = await runNode([MAIN, 'plan', folder('model')], environment());
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  const {info} = await record('known', {});
  expect(info.speeds).toEqual({memory: expect.any(Number), toDevice: expect.any(Number)});
  expect((await record('told', {speeds: {memory: 5e9}})).info.speeds).toEqual({memory: 5e9});
});

describe.each([
  ['there is no CUPTI', {CUPTI_LIBRARY: '/no/such/libcupti.so.13'}],
  ['CUPTI refuses', {TENSORRT_NODE_SIMULATOR_CUPTI: 'refuse=35'}],
])('where %s', (name, env) => {
  it('steps are recorded as a whole, by events', async () => {
    const trace = await record(name, {}, env);
    expect(trace.info.source).toBe('events');
    expect(trace.problem).toMatch(/^steps are recorded as a whole/);
    const ranges = trace.activities.filter(({kind}) => kind === 'range').sort((a, b) => a.start - b.start);
    const steps = stepsOf(trace);
    expect(ranges.map(({step, phase, name}) => [step, phase, name])).toEqual(steps.map(({step, phase}) => [step, phase, phase]));
    expect(ranges.every(({streamName, start, end}) => streamName === 'decode' && end > start)).toBe(true);
    const {phases, compute, steps: times} = summarize(trace);
    expect(phases.map((each) => each.name).sort()).toEqual(['decode', 'prefill']);
    expect(compute?.stream).toBe('decode');
    expect(times.find(({phase}) => phase === 'decode')!.count).toBe(steps.filter(({phase}) => phase === 'decode').length);
  });

  it('a recording that must have the GPU fails', async () => {
    const failed = await record(`${name} wanted`, {gpu: true}, env).catch((error: Error) => error.message);
    expect(failed).toContain('ERR_UNSUPPORTED');
  });
});
