/** What the host does while a trace is recorded: requests and their phases, work with models, garbage collection, a blocked event loop. */

import {constants, type PerformanceEntry, PerformanceObserver} from 'node:perf_hooks';

import {addObserver, type ModelEvent, type ObservedRequest, type RequestEnd, type RequestWatch} from '../observers.js';
import type {HostEvent} from './activity.js';

const LOOP_INTERVAL = 10;
/** Milliseconds: a timer is seldom more exact. */
const LOOP_LATE = 5;

const GC_KINDS: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weak callbacks'],
]);

export class HostRecorder implements Disposable {
  readonly #take: (event: HostEvent) => void;
  readonly #garbage: PerformanceObserver;
  readonly #loop: NodeJS.Timeout;
  readonly #endObserving: () => void;
  #requests = 0;
  /** Those that have not ended, by their tracks. */
  readonly #underWay = new Map<string, {request: ObservedRequest; completionTokens: number}>();
  #over = false;

  /** `take` gets each event once it has ended, and with `[Symbol.dispose]` requests that have not. */
  constructor(take: (event: HostEvent) => void) {
    this.#take = take;
    this.#garbage = new PerformanceObserver((list) => this.#collected(list.getEntries()));
    this.#garbage.observe({entryTypes: ['gc']});
    let due = performance.now() + LOOP_INTERVAL;
    this.#loop = setInterval(() => {
      const now = performance.now();
      if (now - due > LOOP_LATE) this.#add('event loop', 'blocked', due, now);
      due = now + LOOP_INTERVAL;
    }, LOOP_INTERVAL).unref();
    this.#endObserving = addObserver({
      request: (request) => this.#request(request),
      model: (event) => this.#model(event),
      work: ({by, name, startedAt, endedAt}) => this.#add(by, name, startedAt, endedAt),
    });
  }

  [Symbol.dispose](): void {
    this.#endObserving();
    clearInterval(this.#loop);
    this.#collected(this.#garbage.takeRecords());
    this.#garbage.disconnect();
    const now = performance.now();
    for (const [track, {request, completionTokens}] of this.#underWay) {
      const {startedAt, model, promptTokens} = request;
      this.#add(track, track, startedAt, now, {model, promptTokens, completionTokens, outcome: 'under way'});
    }
    this.#underWay.clear();
    this.#over = true;
  }

  #collected(entries: readonly PerformanceEntry[]): void {
    for (const {startTime, duration, detail} of entries as (PerformanceEntry & {detail?: {kind: number}})[]) {
      this.#add('gc', GC_KINDS.get(detail?.kind ?? 0) ?? 'other', startTime, startTime + duration);
    }
  }

  #request(request: ObservedRequest): RequestWatch {
    const track = `request ${++this.#requests}`;
    const {startedAt, model, promptTokens} = request;
    const seen = {request, completionTokens: 0};
    this.#underWay.set(track, seen);
    return {
      tokens: (count) => {
        seen.completionTokens += count;
      },
      ended: ({timings, endedAt, outcome, completionTokens}: RequestEnd) => {
        this.#underWay.delete(track);
        this.#add(track, track, startedAt, endedAt, {model, promptTokens, completionTokens, outcome, request: timings?.request});
        let at = startedAt;
        for (const phase of ['queue', 'prefill', 'decode'] as const) {
          if (timings === undefined || (phase !== 'queue' && completionTokens === 0)) return;
          // The backend's clock began a little later than the request's, and no phase ends after its request.
          const end = Math.min(at + timings[phase], endedAt);
          this.#add(track, phase, at, end);
          at = end;
        }
      },
    };
  }

  #model({kind, model, seconds, details, error}: ModelEvent): void {
    const now = performance.now();
    this.#add('models', `${kind} ${model}`, now - seconds * 1000, now, {...details, error: error?.message});
  }

  /** Times in milliseconds. */
  #add(track: string, name: string, start: number, end: number, args?: HostEvent['args']): void {
    if (this.#over) return;
    this.#take({track, name, start: Math.round(start * 1e6), end: Math.round(end * 1e6), args});
  }
}
