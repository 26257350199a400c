/** Reads the traces that TraceWriter writes, those of processes that were killed included. */

import {createReadStream} from 'node:fs';
import {createInterface} from 'node:readline';

import {FormatError, throwIfAborted} from '../errors.js';
import type {Activity, HostEvent, Trace, TraceInfo} from './activity.js';
import {INFO_RECORD, STATE_RECORD, type TraceState} from './trace_file.js';

export interface TraceFile extends Trace {
  /** Undefined where the file was cut in the middle of a write. */
  state: TraceState | undefined;
}

interface Line {
  ph: string;
  pid: number;
  tid: number;
  ts: number;
  dur: number;
  name: string;
  cat: string;
  args?: Record<string, unknown>;
}

const KINDS: ReadonlySet<string> = new Set<Activity['kind']>(['kernel', 'copy', 'set', 'graph', 'synchronize', 'range']);

/** Rejects with FormatError (ERR_TRACE; ERR_NOT_FOUND for a file that is not there), or AbortError. */
export async function readTrace(path: string, {signal}: {signal?: AbortSignal} = {}): Promise<TraceFile> {
  const reader = new LineReader(path);
  const lines = createInterface({input: createReadStream(path), crlfDelay: Infinity});
  try {
    for await (const line of lines) {
      throwIfAborted(signal);
      reader.take(line);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new FormatError('ERR_NOT_FOUND', path, 'there is no such file');
    throw error;
  }
  return reader.end();
}

class LineReader {
  readonly #path: string;
  readonly #tracks = new Map<number, string>();
  readonly #activities: Activity[] = [];
  readonly #hostEvents: HostEvent[] = [];
  #info: TraceInfo | undefined;
  #state: TraceState | undefined;
  #number = 0;
  /** A line that is not JSON: the last one of a file that was cut, and an error if another follows. */
  #broken: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  take(text: string): void {
    this.#number++;
    const line = text.endsWith(',') ? text.slice(0, -1) : text;
    if (line === '' || line === '[' || line === ']') return;
    if (this.#broken !== undefined) throw this.#error(`line ${this.#broken} is no trace event`);
    let event: Line;
    try {
      event = JSON.parse(line);
    } catch {
      this.#broken = this.#number;
      return;
    }
    this.#takeEvent(event);
  }

  end(): TraceFile {
    if (this.#info === undefined) throw this.#error('it is no trace of tensorrt-node');
    const from = this.#state?.from ?? -Infinity;
    return {
      info: this.#info,
      state: this.#state,
      // What came late into a second that stays belongs to one that was dropped.
      activities: this.#activities.filter(({start}) => start >= from),
      hostEvents: this.#hostEvents.filter(({start}) => start >= from),
    };
  }

  #takeEvent({ph, pid, tid, ts, dur, name, cat, args = {}}: Line): void {
    if (this.#info === undefined && name !== INFO_RECORD) throw this.#error('it is no trace of tensorrt-node');
    if (ph === 'M') {
      if (name === INFO_RECORD) this.#info = args;
      else if (name === STATE_RECORD) this.#state = args as unknown as TraceState;
      else if (name === 'thread_name') this.#tracks.set(tid, String(args.name));
      return;
    }
    if (ph !== 'X') return;
    if (!(Number.isFinite(ts) && Number.isFinite(dur) && dur >= 0)) throw this.#error(`line ${this.#number} has no time`);
    const start = Math.round(ts * 1000);
    const end = start + Math.round(dur * 1000);
    if (KINDS.has(cat)) {
      const {'GB/s': _, ...fields} = args;
      this.#activities.push({...(fields as unknown as Activity), kind: cat as Activity['kind'], name, start, end});
    } else {
      this.#hostEvents.push({track: this.#tracks.get(tid) ?? `${pid} ${tid}`, name, start, end, args});
    }
  }

  #error(problem: string): FormatError {
    return new FormatError('ERR_TRACE', this.#path, problem, 'give a file that a profile wrote');
  }
}
