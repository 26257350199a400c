/** Who is told what models do: metrics, spans, logs. Nobody at first, and then it costs next to nothing. */

import type {Backend, BackendFinish, BackendListener, BackendTimings, TokenEvent} from './backend/backend.js';
import {AbortError} from './errors.js';

/** A request as it begins. Times are those of `performance.now()`. */
export interface ObservedRequest {
  /** The model's name. */
  model: string;
  backend: Backend['name'];
  promptTokens: number;
  maxNewTokens: number;
  temperature: number;
  startedAt: number;
  /** The same for all turns of a session. */
  session: object | undefined;
}

export type Outcome = BackendFinish | 'error';

/** How a request ended. A stop string is a 'stop'; a loop that was left is 'aborted'. */
export interface RequestEnd {
  outcome: Outcome;
  error: Error | undefined;
  /** Undefined where the request failed. */
  timings: BackendTimings | undefined;
  completionTokens: number;
  firstTokenAt: number | undefined;
  endedAt: number;
}

/** Hears of one request. */
export interface RequestWatch {
  /** So many tokens have come at once. */
  tokens?(count: number, at: number): void;
  /** The last call. */
  ended(end: RequestEnd): void;
}

/** Something that was done with a model as a whole, or an engine. */
export interface ModelEvent {
  /** 'suspend' and 'unload': to make room for others. */
  kind: 'load' | 'resume' | 'suspend' | 'unload' | 'build';
  /** The model's name; of a build, the engine's folder. */
  model: string;
  seconds: number;
  /** What it ended with; left out where it was done. */
  error?: Error;
  /** More to say. */
  details?: Readonly<Record<string, string | number | boolean>>;
}

export interface Observer {
  /** Called as the caller of `generate`, with its asynchronous context. Undefined: not of interest. */
  request?(request: ObservedRequest): RequestWatch | undefined;
  model?(event: ModelEvent): void;
  work?(work: HostWork): void;
}

/** Something that the caller's thread did for a request. Times are those of `performance.now()`. */
export interface HostWork {
  /** 'tokenizer'. */
  by: string;
  name: string;
  startedAt: number;
  endedAt: number;
}

const observers = new Set<Observer>();

/** From now on `observer` is told; what it throws is lost. Call what this returns to end that. */
export function addObserver(observer: Observer): () => void {
  observers.add(observer);
  return () => void observers.delete(observer);
}

/** Whether anybody is told. */
export function isObserved(): boolean {
  return observers.size > 0;
}

export function tellModelEvent(event: ModelEvent): void {
  for (const observer of observers) quietly(() => observer.model?.(event));
}

/** Does `work` and tells of it. */
export async function observed<T>(
  kind: ModelEvent['kind'],
  model: string,
  work: () => Promise<T>,
  detailsOf?: (result: T) => ModelEvent['details'],
): Promise<T> {
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  try {
    const result = await work();
    if (isObserved()) tellModelEvent({kind, model, seconds: seconds(), details: detailsOf?.(result)});
    return result;
  } catch (error) {
    if (isObserved() && error instanceof Error) tellModelEvent({kind, model, seconds: seconds(), error});
    throw error;
  }
}

/** Does `work` and tells of it. */
export function observedWork<T>(by: string, name: string, work: () => T): T {
  if (!isObserved()) return work();
  const startedAt = performance.now();
  try {
    return work();
  } finally {
    const endedAt = performance.now();
    for (const observer of observers) quietly(() => observer.work?.({by, name, startedAt, endedAt}));
  }
}

/** `listener`, and whoever is interested in the request; undefined where nobody is. */
export function observeRequest(request: ObservedRequest, listener: BackendListener): ObservedListener | undefined {
  const watches: RequestWatch[] = [];
  for (const observer of observers) {
    quietly(() => {
      const watch = observer.request?.(request);
      if (watch !== undefined) watches.push(watch);
    });
  }
  return watches.length === 0 ? undefined : new ObservedListener(listener, watches);
}

/** Between a backend and whoever asked, so that tokens are seen as they come and not as they are taken. */
export class ObservedListener implements BackendListener {
  #completionTokens = 0;
  #firstTokenAt: number | undefined;
  #stopped = false;
  #ended = false;

  constructor(
    private readonly listener: BackendListener,
    private readonly watches: readonly RequestWatch[],
  ) {}

  /** A stop string has come, and the abort that follows is no abort. */
  stopped(): void {
    this.#stopped = true;
  }

  tokens(batch: readonly TokenEvent[]): void {
    const at = performance.now();
    this.#firstTokenAt ??= at;
    this.#completionTokens += batch.length;
    for (const watch of this.watches) quietly(() => watch.tokens?.(batch.length, at));
    this.listener.tokens(batch);
  }

  finished(reason: BackendFinish, timings: BackendTimings): void {
    this.#end(reason === 'aborted' && this.#stopped ? 'stop' : reason, timings, undefined);
    this.listener.finished(reason, timings);
  }

  failed(error: Error): void {
    this.#end(error instanceof AbortError ? 'aborted' : 'error', undefined, error);
    this.listener.failed(error);
  }

  #end(outcome: Outcome, timings: BackendTimings | undefined, error: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    const endedAt = performance.now();
    const end = {outcome, error, timings, completionTokens: this.#completionTokens, firstTokenAt: this.#firstTokenAt, endedAt};
    for (const watch of this.watches) quietly(() => watch.ended(end));
  }
}

/** An observer's failure is none of what it observes. */
function quietly(tell: () => void): void {
  try {
    tell();
  } catch {}
}
