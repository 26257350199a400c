/** What was counted, as families of samples: what an exposition is written from. */

import type {Backend} from '../backend/backend.js';
import {namedBackends} from '../backend/named_backends.js';
import {type RunMeter, runMeters} from '../engine/run_meter.js';
import type {NativeDecoderStats, NativeHistogram, NativeStepHistograms} from '../native/decoder_addon.js';
import {memoryHolders} from '../weights/monitor/holders.js';
import type {MemoryReading} from '../weights/monitor/memory_monitor.js';
import type {Histogram} from './histogram.js';
import {MODEL_HISTOGRAMS, type ModelHistogram, type ModelMetrics} from './model_metrics.js';

export type Labels = Readonly<Record<string, string | number>>;

export interface Sample {
  labels: Labels;
  value: number;
  /** Where it is not the family's: of the parts of a histogram. */
  metricName?: string;
}

export interface Family {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  samples(sources: Sources): Sample[];
}

/** Where samples come from. */
export interface Sources {
  models: ReadonlyMap<string, ModelMetrics>;
  /** The latest reading of a monitor's. */
  reading(): MemoryReading | undefined;
}

type Counts = readonly {name: string; stats: NativeDecoderStats}[];

const PREFIX = 'tensorrt_node_';

/** All of them, whether there is something to say of each or not. */
export const FAMILIES: readonly Family[] = [
  ...(Object.keys(MODEL_HISTOGRAMS) as ModelHistogram[]).map(modelHistogram),
  stepHistogram(
    'step_seconds',
    'Time of a step of the scheduler, from the end of the step before or from when it was queued, by phase.',
    ({prefillSeconds, decodeSeconds}) => [
      [{phase: 'prefill'}, prefillSeconds],
      [{phase: 'decode'}, decodeSeconds],
    ],
  ),
  stepHistogram('batch_rows', 'Sequences in a decode step.', ({decodeRows}) => [[{}, decodeRows]]),
  stepHistogram('weights_wait_seconds', 'Time a step waited for weights that move.', ({weightsWaitSeconds}) => [[{}, weightsWaitSeconds]]),
  counter('requests', 'Requests that have ended, by how they did.', ({models}) =>
    ofEach(models, (model, {outcomes}) => Object.entries(outcomes).map(([outcome, value]) => ({labels: {model, outcome}, value}))),
  ),
  gauge('requests_under_way', 'Requests that have begun and not ended.', ({models}) =>
    ofEach(models, (model, {underWay: value}) => [{labels: {model}, value}]),
  ),
  counter('prompt_tokens', 'Tokens of prompts of requests that were run.', ({models}) =>
    ofEach(models, (model, {promptTokens: value}) => [{labels: {model}, value}]),
  ),
  counter('prompt_tokens_cached', 'Of these, tokens whose keys and values were kept from before.', ({models}) =>
    ofEach(models, (model, {cachedTokens: value}) => [{labels: {model}, value}]),
  ),
  counter('completion_tokens', 'Tokens of replies.', ({models}) =>
    ofEach(models, (model, {completionTokens: value}) => [{labels: {model}, value}]),
  ),
  {
    ...named('model_move_seconds', 'Time to load a model, or to move it out of memory and back, by the move.'),
    type: 'histogram',
    samples({models}) {
      return ofEach(models, (model, {moves}) =>
        [...moves].flatMap(([move, {seconds}]) => histogramSamples(this.name, {model, move}, seconds)),
      );
    },
  },
  counter('model_move_failures', 'Moves that failed.', ({models}) =>
    ofEach(models, (model, {moves}) => [...moves].map(([move, {failures: value}]) => ({labels: {model, move}, value}))),
  ),
  gauge('memory_bytes', 'Memory that models hold, by what it is for and where it is.', () =>
    merged(memoryHolders().map(({name: model, what, where, bytes: value}) => ({labels: {model, what, where}, value}))),
  ),
  ofStats('gauge', 'requests_waiting', 'Requests that the scheduler has not begun.', ({waiting}) => [[{}, waiting]]),
  ofStats('gauge', 'slots', 'Sequences that may be decoded at once.', ({slots}) => [[{}, slots]]),
  ofStats('gauge', 'slots_in_use', 'Sequences that are decoded.', ({slotsInUse}) => [[{}, slotsInUse]]),
  ofStats('gauge', 'cache_pages', 'Pages of 64 tokens of the key/value cache, by state.', ({pages, pagesInUse, pagesKept}) => [
    [{state: 'used'}, pagesInUse],
    [{state: 'kept'}, pagesKept],
    [{state: 'free'}, pages - pagesInUse - pagesKept],
  ]),
  ofStats('counter', 'steps', 'Steps of the scheduler, by phase.', ({prefillSteps, decodeSteps}) => [
    [{phase: 'prefill'}, prefillSteps],
    [{phase: 'decode'}, decodeSteps],
  ]),
  ofStats('counter', 'steps_lost', 'Steps that ended with an error of their requests alone.', ({lostSteps}) => [[{}, lostSteps]]),
  ofStats('counter', 'decode_rows', 'Rows of decode steps.', ({decodeRows}) => [[{}, decodeRows]]),
  ofStats('counter', 'decode_rows_wasted', 'Of these, rows of sequences that had ended.', ({wastedRows}) => [[{}, wastedRows]]),
  ofStats('counter', 'weight_blocks', 'Blocks of weights that were brought to the GPU for steps.', ({weights}) => [[{}, weights.blocks]]),
  ofStats('counter', 'weight_copied_bytes', 'Bytes of weights copied from pinned memory for steps.', ({weights}) => [
    [{}, weights.bytesCopied],
  ]),
  ofStats('counter', 'weight_copy_seconds', 'Time with a copy of weights under way.', ({weights}) => [[{}, weights.copySeconds]]),
  ofStats('counter', 'weight_read_bytes', 'Bytes of weights read from disk for steps.', ({weights}) => [[{}, weights.bytesRead]]),
  ofStats(
    'counter',
    'weight_wait_seconds',
    'Time waited in moving weights: steps for copies, copies for room, the host for the disk.',
    ({weights}) => [
      [{waiting: 'step'}, weights.computeWaitSeconds],
      [{waiting: 'copy'}, weights.prefetchWaitSeconds],
      [{waiting: 'host'}, weights.hostWaitSeconds],
    ],
  ),
  ofStats('counter', 'weight_restarts', 'Times that copies of weights began again after failures.', ({weights}) => [
    [{}, weights.restarts],
  ]),
  {
    ...named('engine_run_seconds', 'Time of a run of an engine, from the call to the results in JavaScript.'),
    type: 'histogram',
    samples() {
      return ofEngines(({engine, seconds}) => histogramSamples(this.name, {engine}, seconds));
    },
  },
  counter('engine_run_failures', 'Runs of engines that failed or were aborted.', () =>
    ofEngines(({engine, failures: value}) => [{labels: {engine}, value}]),
  ),
  gauge('engine_runs_under_way', 'Runs of engines that have begun or wait.', () =>
    ofEngines(({engine, underWay: value}) => [{labels: {engine}, value}]),
  ),
  gauge('engine_runs_waiting', 'Runs of engines that wait for a context.', () =>
    ofEngines(({engine, waiting}) => [{labels: {engine}, value: waiting()}]),
  ),
  gauge('gpu_memory_bytes', 'Memory of the GPU as the driver tells it; with a monitor.', ({reading}) =>
    (reading()?.gpus ?? []).flatMap(({ordinal: gpu, usedBytes, totalBytes}) => [
      {labels: {gpu, state: 'used'}, value: usedBytes},
      {labels: {gpu, state: 'total'}, value: totalBytes},
    ]),
  ),
  gauge('host_memory_bytes', 'Memory of the host that this process may have; with a monitor.', ({reading}) => {
    const host = reading()?.host;
    if (host === undefined) return [];
    return [
      {labels: {state: 'available'}, value: host.availableBytes},
      {labels: {state: 'total'}, value: host.limitBytes},
    ];
  }),
];

function named(name: string, help: string): Pick<Family, 'name' | 'help'> {
  return {name: `${PREFIX}${name}`, help};
}

function counter(name: string, help: string, samples: Family['samples']): Family {
  return {...named(`${name}_total`, help), type: 'counter', samples};
}

function gauge(name: string, help: string, samples: Family['samples']): Family {
  return {...named(name, help), type: 'gauge', samples};
}

function modelHistogram(key: ModelHistogram): Family {
  const {name, help} = MODEL_HISTOGRAMS[key];
  return {
    ...named(name, help),
    type: 'histogram',
    samples({models}) {
      return ofEach(models, (model, {histograms}) => histogramSamples(this.name, {model}, histograms[key]));
    },
  };
}

/** Of the schedulers' own, by model. */
function stepHistogram(
  name: string,
  help: string,
  histograms: (all: NativeStepHistograms) => readonly (readonly [Labels, NativeHistogram])[],
): Family {
  return {
    ...named(name, help),
    type: 'histogram',
    samples() {
      const parts = ofBackends(({stepHistograms}) => stepHistograms);
      return merged(
        parts.flatMap(({name: model, value}) =>
          histograms(value).flatMap(([labels, {bounds, counts, sum}]) => samplesOf(this.name, {model, ...labels}, bounds, counts, sum)),
        ),
      );
    },
  };
}

/** Of the backends that count, by model. */
function ofStats(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  values: (stats: NativeDecoderStats) => readonly (readonly [Labels, number])[],
): Family {
  const samples = () =>
    merged(countsNow().flatMap(({name: model, stats}) => values(stats).map(([labels, value]) => ({labels: {model, ...labels}, value}))));
  return type === 'counter' ? counter(name, help, samples) : gauge(name, help, samples);
}

function countsNow(): Counts {
  return ofBackends(({stats}) => stats).map(({name, value: stats}) => ({name, stats}));
}

/** What those of the backends tell that have `read`'s method. */
function ofBackends<T>(read: (backend: Backend) => (() => T) | undefined): {name: string; value: T}[] {
  return namedBackends().flatMap(([name, backend]) => {
    try {
      const value = read(backend)?.call(backend);
      return value === undefined ? [] : [{name, value}];
    } catch {
      // It was disposed of.
      return [];
    }
  });
}

function ofEngines(samples: (meter: RunMeter) => Sample[]): Sample[] {
  return merged(runMeters().flatMap(samples));
}

function ofEach(models: Sources['models'], samples: (name: string, model: ModelMetrics) => Sample[]): Sample[] {
  return [...models].flatMap(([name, model]) => samples(name, model));
}

/** One sample for equal labels: two models may have one name, and two engines. */
function merged(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>();
  for (const sample of samples) {
    const key = JSON.stringify([sample.metricName, sample.labels]);
    sums.set(key, {...sample, value: sample.value + (sums.get(key)?.value ?? 0)});
  }
  return [...sums.values()];
}

function histogramSamples(name: string, labels: Labels, {bounds, counts, sum}: Histogram): Sample[] {
  return samplesOf(name, labels, bounds, counts, sum);
}

/** `counts`: of values up to each bound and above the one before, and last of those above all. */
function samplesOf(name: string, labels: Labels, bounds: readonly number[], counts: readonly number[], sum: number): Sample[] {
  let total = 0;
  const upTo = counts.map((count) => {
    total += count;
    return total;
  });
  return [
    ...bounds.map((le, at) => ({labels: {le, ...labels}, value: upTo[at]!, metricName: `${name}_bucket`})),
    {labels: {le: '+Inf', ...labels}, value: total, metricName: `${name}_bucket`},
    {labels, value: sum, metricName: `${name}_sum`},
    {labels, value: total, metricName: `${name}_count`},
  ];
}
