/** Counts what models do, by model, from the first `metrics()` on. */

import {countRuns} from '../engine/run_meter.js';
import {addObserver, type ModelEvent, type ObservedRequest, type Observer, type RequestEnd, type RequestWatch} from '../observers.js';
import {ModelMetrics} from './model_metrics.js';

export class Recorder implements Observer {
  readonly models = new Map<string, ModelMetrics>();

  request(request: ObservedRequest): RequestWatch {
    return new RequestMeter(request, this.#model(request.model));
  }

  model({kind, model, seconds, error}: ModelEvent): void {
    // An engine's folder is no model's name, and there is no end of them.
    if (kind !== 'build') this.#model(model).moved(kind, seconds, error !== undefined);
  }

  #model(name: string): ModelMetrics {
    let model = this.models.get(name);
    if (model === undefined) {
      model = new ModelMetrics();
      this.models.set(name, model);
    }
    return model;
  }
}

class RequestMeter implements RequestWatch {
  #lastAt: number | undefined;

  constructor(
    private readonly request: ObservedRequest,
    private readonly model: ModelMetrics,
  ) {
    model.underWay++;
  }

  tokens(count: number, at: number): void {
    const {histograms} = this.model;
    if (this.#lastAt === undefined) {
      histograms.firstToken.observe((at - this.request.startedAt) / 1000);
      // Those that came with the first were waited for together.
      if (count > 1) histograms.betweenTokens.observe(0, count - 1);
    } else {
      histograms.betweenTokens.observe((at - this.#lastAt) / 1000 / count, count);
    }
    this.#lastAt = at;
  }

  ended({outcome, timings, completionTokens, endedAt}: RequestEnd): void {
    const {model, request} = this;
    model.underWay--;
    model.outcomes[outcome]++;
    model.completionTokens += completionTokens;
    model.histograms.request.observe((endedAt - request.startedAt) / 1000);
    if (timings === undefined) return;
    model.histograms.queue.observe(timings.queue / 1000);
    // One that ended while it waited was never run.
    if (completionTokens === 0) return;
    model.promptTokens += request.promptTokens;
    model.cachedTokens += request.promptTokens - timings.prefilledTokens;
    model.histograms.prefill.observe(timings.prefill / 1000);
  }
}

let recorder: Recorder | undefined;

/** This thread's; it counts from the first call on. */
export function startRecorder(): Recorder {
  if (recorder === undefined) {
    recorder = new Recorder();
    addObserver(recorder);
    countRuns();
  }
  return recorder;
}
