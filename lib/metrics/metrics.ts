/** `metrics`: what models do, for Prometheus and whoever reads its formats. */

import {createRequire} from 'node:module';

import {OptionError, TensorrtNodeError} from '../errors.js';
import {noOthers, object, oneOf} from '../options.js';
import {MemoryMonitor} from '../weights/monitor/memory_monitor.js';
import {FAMILIES, type Family, type Sample, type Sources} from './families.js';
import {startRecorder} from './recorder.js';

/** What is used of a registry of prom-client's, from 15.0 on. */
export interface MetricsRegistry {
  readonly contentType: string;
  metrics(): Promise<string>;
  // biome-ignore lint/suspicious/noExplicitAny: prom-client's own type is a union that only its classes fit
  registerMetric(metric: any): void;
}

export interface MetricsOptions {
  /** Of text: 'prometheus', the default, or 'openmetrics'. A registry that is given has its own. */
  format?: 'prometheus' | 'openmetrics';
  /** prom-client's registry of the service, which tells of models too from now on. Default: one of models alone. */
  registry?: MetricsRegistry;
  /** Whose readings of GPU and host are told too. Default: none. */
  monitor?: MemoryMonitor;
}

export interface Metrics {
  /** For the header of an answer. */
  readonly contentType: string;
  /** All that there is to say now, in the registry's format. */
  text(): Promise<string>;
}

/** What prom-client asks of a metric. */
interface PromMetric {
  name: string;
  type: Family['type'];
  get(): Promise<{name: string; help: string; type: Family['type']; values: Sample[]; aggregator: 'sum'}>;
  reset(): void;
}

type PromClient = {
  Registry: {
    new (contentType: string): MetricsRegistry;
    PROMETHEUS_CONTENT_TYPE: string;
    OPENMETRICS_CONTENT_TYPE: string;
  };
};

const registered = new WeakMap<MetricsRegistry, {monitor: MemoryMonitor | undefined}>();
const own = new Map<string, MetricsRegistry>();

/**
 * Counts from the first call on, in this thread, models that are there already included; more calls with the same
 * registry register nothing again. Throws OptionError; TensorrtNodeError ERR_NOT_FOUND without prom-client, which a
 * registry that is given does not need.
 */
export function metrics(options: MetricsOptions = {}): Metrics {
  const {format = 'prometheus', registry, monitor} = object('options', options);
  noOthers('options', options, ['format', 'registry', 'monitor'] satisfies (keyof MetricsOptions)[]);
  oneOf('format', format, ['prometheus', 'openmetrics']);
  if (registry !== undefined) checkRegistry(registry);
  if (registry !== undefined && options.format !== undefined) {
    throw new OptionError('format', 'left out with a registry, which has its own', format);
  }
  if (monitor !== undefined && !(monitor instanceof MemoryMonitor)) {
    throw new OptionError('monitor', 'what createMemoryMonitor made', monitor);
  }
  const used = registry ?? ownRegistry(format);
  register(used, monitor);
  return {
    get contentType() {
      return used.contentType;
    },
    text: () => used.metrics(),
  };
}

/** Loads prom-client. Throws TensorrtNodeError ERR_NOT_FOUND. `load` is another's in tests. */
export function promClient(load: (name: string) => unknown = createRequire(import.meta.url)): PromClient {
  try {
    return load('prom-client') as PromClient;
  } catch (cause) {
    throw new TensorrtNodeError(
      'ERR_NOT_FOUND',
      'metrics are written by the package prom-client, which cannot be loaded',
      'npm install prom-client',
      {cause},
    );
  }
}

function ownRegistry(format: 'prometheus' | 'openmetrics'): MetricsRegistry {
  let registry = own.get(format);
  if (registry === undefined) {
    const {Registry} = promClient();
    registry = new Registry(format === 'prometheus' ? Registry.PROMETHEUS_CONTENT_TYPE : Registry.OPENMETRICS_CONTENT_TYPE);
    own.set(format, registry);
  }
  return registry;
}

function register(registry: MetricsRegistry, monitor: MemoryMonitor | undefined): void {
  const known = registered.get(registry);
  if (known !== undefined) {
    known.monitor = monitor ?? known.monitor;
    return;
  }
  const recorder = startRecorder();
  const state = {monitor};
  const sources: Sources = {models: recorder.models, reading: () => state.monitor?.last};
  for (const family of FAMILIES) registry.registerMetric(promMetric(family, sources));
  registered.set(registry, state);
}

/** The sums of processes of a cluster are theirs together. */
function promMetric(family: Family, sources: Sources): PromMetric {
  return {
    // For OpenMetrics the registry takes "_total" off a counter's name, and puts it on again.
    name: family.name,
    type: family.type,
    async get() {
      const {help, type} = family;
      return {name: this.name, help, type, values: family.samples(sources), aggregator: 'sum'};
    },
    // What a backend has counted, and what other registries show, stays.
    reset() {},
  };
}

function checkRegistry(registry: MetricsRegistry): void {
  const {registerMetric, metrics: text} = object('registry', registry);
  if (typeof registerMetric === 'function' && typeof text === 'function') return;
  throw new OptionError('registry', 'a Registry of prom-client', registry);
}
