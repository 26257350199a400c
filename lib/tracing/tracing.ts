/** `setTracing`: requests as spans of OpenTelemetry, where @opentelemetry/api is installed and a provider registered. */

import {createRequire} from 'node:module';
import {addObserver} from '../observers.js';
import {noOthers, number, object} from '../options.js';
import {type Api, SpanObserver} from './span_observer.js';

export interface TracingOptions {
  /** Share of requests that become spans, 0 to 1. Default 0.01. */
  sampleRatio?: number;
}

const DEFAULT_RATIO = 0.01;

let stop: (() => void) | undefined;

/**
 * A span for one request in a hundred, unless the ratio is another, with its phases as children: on without being asked
 * for, and of no effect where no tracer provider is registered. The span's parent is the caller's active span, in whose
 * trace the provider's own sampler has a say too. Throws OptionError.
 */
export function setTracing(options: TracingOptions = {}): void {
  const {sampleRatio = DEFAULT_RATIO} = object('options', options);
  noOthers('options', options, ['sampleRatio'] satisfies (keyof TracingOptions)[]);
  number('sampleRatio', sampleRatio, {min: 0, max: 1});
  stop?.();
  stop = sampleRatio === 0 ? undefined : addObserver(new SpanObserver(sampleRatio, loadApi));
}

let api: Api | undefined | false;

/** Undefined where it is not installed, which is asked once. */
function loadApi(): Api | undefined {
  try {
    api ??= createRequire(import.meta.url)('@opentelemetry/api') as Api;
  } catch {
    api = false;
  }
  return api || undefined;
}

setTracing();
