/** `createMemoryMonitor`: how full GPU and host are, who holds it, and what to do when it becomes too much. */

import {EventEmitter} from 'node:events';

import {AbortError, OptionError, TensorrtNodeError, throwIfAborted} from '../../errors.js';
import {isMissing, type Missing} from '../../inspect.js';
import {onAbort} from '../../on_abort.js';
import {abortSignal, integer, noOthers, number, object, oneOf} from '../../options.js';
import {type GpuReading, readGpus} from './gpu_reading.js';
import {type MemoryHolder, memoryHolders} from './holders.js';
import {type HostReading, readHost} from './host_reading.js';
import {Watermark, type WatermarkRange} from './watermark.js';

export interface MemoryReading {
  /** When, in milliseconds since 1970. */
  time: number;
  /** Undefined where there is no GPU to read. */
  gpus: GpuReading[] | undefined;
  /** Why there is none. */
  gpuMissing?: Missing;
  host: HostReading;
  /** Major faults of this process a second, since the reading before; undefined in the first one. */
  majorFaultsPerSecond?: number;
  /** Bytes of pinned host memory that this process holds: of models, and of pools. */
  pinnedBytes: number;
  /** Of this thread, the largest first. */
  holders: MemoryHolder[];
  /** Shares in use, 0 to 1: of the fullest GPU, and of what the process may have of the host. */
  shares: {gpu?: number; ram: number};
}

export type MemoryResource = 'gpu' | 'ram';

export interface WatermarkEvent {
  resource: MemoryResource;
  /** In use, 0 to 1. */
  share: number;
  reading: MemoryReading;
}

export interface MemoryMonitorEvents {
  reading: [MemoryReading];
  /** The share in use has reached the high mark; once, until it was down at the low one. */
  high: [WatermarkEvent];
  /** It is down at the low mark again. */
  low: [WatermarkEvent];
}

export interface MemoryMonitorOptions {
  /** Milliseconds between readings. Default 30,000. */
  intervalMs?: number;
  /**
   * Shares in use from which memory is short: a number, whose low mark is 0.05 below, or both marks.
   * Default 0.95 of the GPU and 0.9 of the host.
   */
  watermarks?: {gpu?: number | WatermarkRange; ram?: number | WatermarkRange};
  /** What `admit` does while memory is short: 'wait', the default, or 'refuse' at once. */
  admission?: 'wait' | 'refuse';
  /** Milliseconds that `admit` waits at most. Default 10,000. */
  admissionTimeout?: number;
}

export interface AdmitOptions {
  signal?: AbortSignal;
  /** Instead of the monitor's. */
  timeout?: number;
}

/** Where readings come from: others in tests. */
export interface MemorySource {
  gpus(): Promise<GpuReading[] | Missing>;
  host(): HostReading;
  holders(): MemoryHolder[];
  now(): number;
}

/** More memory is in use than the watermark allows. `code` is 'ERR_MEMORY_PRESSURE'. */
export class MemoryPressureError extends TensorrtNodeError {
  override readonly name = 'MemoryPressureError';

  constructor(
    readonly resource: MemoryResource,
    /** In use, 0 to 1, and from where on that is too much. */
    readonly share: number,
    readonly watermark: number,
    hint: string,
  ) {
    const what = resource === 'gpu' ? 'GPU memory' : 'RAM';
    super('ERR_MEMORY_PRESSURE', `${percent(share)} of ${what} are in use, and the watermark is ${percent(watermark)}`, hint);
  }
}

const DEFAULT_MARKS = {gpu: 0.95, ram: 0.9};
const HYSTERESIS = 0.05;
/** While somebody waits for memory. */
const WAITING_INTERVAL_MS = 100;

const RESOURCES = ['gpu', 'ram'] as const;

export class MemoryMonitor extends EventEmitter<MemoryMonitorEvents> implements Disposable {
  readonly #source: MemorySource;
  readonly #marks: Record<MemoryResource, Watermark>;
  readonly #options: Required<Omit<MemoryMonitorOptions, 'watermarks'>>;
  readonly #timer: NodeJS.Timeout;
  #last: MemoryReading | undefined;
  #reading: Promise<MemoryReading> | undefined;
  #waitingTimer: NodeJS.Timeout | undefined;
  readonly #waiting = new Set<() => void>();
  #disposed = false;

  /** Made by `createMemoryMonitor`. */
  constructor(options: MemoryMonitorOptions, source: MemorySource) {
    super();
    const {intervalMs = 30_000, watermarks = {}, admission = 'wait', admissionTimeout = 10_000} = object('options', options);
    noOthers('options', options, ['intervalMs', 'watermarks', 'admission', 'admissionTimeout'] satisfies (keyof MemoryMonitorOptions)[]);
    noOthers('watermarks', object('watermarks', watermarks), RESOURCES);
    this.#options = {
      intervalMs: integer('intervalMs', intervalMs, {min: 1, max: 2 ** 31 - 1}),
      admission: oneOf('admission', admission, ['wait', 'refuse']),
      admissionTimeout: number('admissionTimeout', admissionTimeout, {min: 0, max: 2 ** 31 - 1}),
    };
    const mark = (resource: MemoryResource) =>
      new Watermark(watermarkRange(`watermarks.${resource}`, watermarks[resource] ?? DEFAULT_MARKS[resource]));
    this.#marks = {gpu: mark('gpu'), ram: mark('ram')};
    this.#source = source;
    this.#timer = setInterval(() => void this.read(), this.#options.intervalMs).unref();
    void this.read();
  }

  /** Milliseconds that `admit` waits at most. */
  get admissionTimeout(): number {
    return this.#options.admissionTimeout;
  }

  /** The latest reading; undefined before the first one is done. */
  get last(): MemoryReading | undefined {
    return this.#last;
  }

  /** What is short now, as of the latest reading. */
  get short(): MemoryResource[] {
    return RESOURCES.filter((resource) => this.#marks[resource].isHigh);
  }

  /** Reads anew, and tells of watermarks that were passed. Never rejects; several calls at once are one reading. */
  read(): Promise<MemoryReading> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /**
   * Resolves once memory is not short: for whoever is about to need more. Rejects with MemoryPressureError, at once or
   * after a while, as the options say; with AbortError.
   */
  async admit({signal, timeout = this.#options.admissionTimeout}: AdmitOptions = {}): Promise<void> {
    abortSignal(signal);
    number('timeout', timeout, {min: 0, max: 2 ** 31 - 1});
    throwIfAborted(signal);
    if (this.#last === undefined) await this.read();
    if (this.short.length === 0) return;
    // It may have changed since.
    await this.read();
    if (this.short.length === 0) return;
    if (this.#options.admission === 'refuse' || this.#disposed) throw this.#pressure('try again later');
    await this.#eased(signal, timeout);
  }

  /** Takes no more readings of its own; whoever waits is refused. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    clearInterval(this.#timer);
    clearInterval(this.#waitingTimer);
    for (const check of [...this.#waiting]) check();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #read(): Promise<MemoryReading> {
    const gpus = await this.#source.gpus();
    const host = this.#source.host();
    const holders = this.#source.holders();
    const before = this.#last;
    const time = this.#source.now();
    const reading: MemoryReading = {
      time,
      ...(isMissing(gpus) ? {gpus: undefined, gpuMissing: gpus} : {gpus}),
      host,
      ...faults(before, time, host),
      pinnedBytes: pinnedBytes(isMissing(gpus) ? [] : gpus, holders),
      holders,
      shares: {
        ...(isMissing(gpus) ? {} : {gpu: Math.max(...gpus.map(({usedBytes, totalBytes}) => usedBytes / totalBytes))}),
        ram: Math.max(0, host.limitBytes - host.availableBytes) / host.limitBytes,
      },
    };
    this.#last = reading;
    this.#tell(reading);
    return reading;
  }

  #tell(reading: MemoryReading): void {
    const passed = RESOURCES.flatMap((resource) => {
      const share = reading.shares[resource];
      const mark = share === undefined ? undefined : this.#marks[resource].update(share);
      return mark === undefined ? [] : [{mark, event: {resource, share: share!, reading}}];
    });
    // Whoever listens may fail, which is not the reading's affair.
    const emit = (tell: () => void) => queueMicrotask(tell);
    emit(() => this.emit('reading', reading));
    for (const {mark, event} of passed) emit(() => this.emit(mark, event));
    for (const check of [...this.#waiting]) check();
  }

  #eased(signal: AbortSignal | undefined, timeout: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        stopListening?.();
        this.#waiting.delete(check);
        if (this.#waiting.size === 0) {
          clearInterval(this.#waitingTimer);
          this.#waitingTimer = undefined;
        }
        settle();
      };
      const check = () => {
        if (this.#disposed) end(() => reject(this.#pressure('the monitor was disposed')));
        else if (this.short.length === 0) end(resolve);
      };
      const timer = setTimeout(() => end(() => reject(this.#pressure(`it stayed so for ${timeout} ms: try again later`))), timeout);
      const stopListening = signal && onAbort(signal, () => end(() => reject(new AbortError(signal.reason))));
      this.#waiting.add(check);
      // Whoever waits has a timer that keeps the process alive.
      this.#waitingTimer ??= setInterval(() => void this.read(), Math.min(WAITING_INTERVAL_MS, this.#options.intervalMs)).unref();
    });
  }

  #pressure(hint: string): MemoryPressureError {
    const [resource = 'ram'] = this.short;
    return new MemoryPressureError(resource, this.#last?.shares[resource] ?? 1, this.#marks[resource].range.high, hint);
  }
}

/**
 * Watches the memory of GPU and host, from now on until it is disposed of. Its timer does not keep the process alive.
 * Throws OptionError.
 */
export function createMemoryMonitor(options: MemoryMonitorOptions = {}): MemoryMonitor {
  return new MemoryMonitor(options, {gpus: () => readGpus(), host: () => readHost(), holders: memoryHolders, now: Date.now});
}

function watermarkRange(option: string, value: number | WatermarkRange): WatermarkRange {
  if (typeof value === 'number') {
    const high = number(option, value, {min: HYSTERESIS, max: 1});
    return {high, low: high - HYSTERESIS};
  }
  const {high, low} = object(option, value);
  noOthers(option, value, ['high', 'low']);
  number(`${option}.high`, high, {min: 0, max: 1});
  number(`${option}.low`, low, {min: 0, max: 1});
  if (low >= high) throw new OptionError(`${option}.low`, `below high, ${high}`, low);
  return {high, low};
}

function faults(before: MemoryReading | undefined, time: number, {majorFaults}: HostReading): Pick<MemoryReading, 'majorFaultsPerSecond'> {
  const earlier = before?.host.majorFaults;
  if (earlier === undefined || majorFaults === undefined || time <= before!.time) return {};
  return {majorFaultsPerSecond: (1000 * (majorFaults - earlier)) / (time - before!.time)};
}

/** A pool's blocks may be a model's, so the larger of both counts. */
function pinnedBytes(gpus: readonly GpuReading[], holders: readonly MemoryHolder[]): number {
  const pooled = gpus.reduce((sum, {pinnedPool}) => sum + (pinnedPool?.reservedBytes ?? 0), 0);
  const held = holders.reduce((sum, {where, bytes}) => sum + (where === 'pinned' ? bytes : 0), 0);
  return Math.max(pooled, held);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}
