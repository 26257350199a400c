/** Writes a trace to a file while it is recorded: bounded in memory and on disk, and a whole file between any two writes. */

import {closeSync, ftruncateSync, openSync, readSync, renameSync, rmSync, writeSync} from 'node:fs';

import {atExit} from '../at_exit.js';
import {TensorrtNodeError} from '../errors.js';
import {doublesOfOne, type PackedActivities} from '../native/activities.js';
import {FileError} from '../native/errors.js';
import {integer} from '../options.js';
import type {Activity, HostEvent, TraceInfo} from './activity.js';
import {ActivityLines} from './activity_lines.js';
import {LineBuffer} from './line_buffer.js';
import {
  encodeActivity,
  encodeGroup,
  encodeHostEvent,
  encodeInfo,
  encodeMark,
  encodeState,
  encodeTrack,
  type TraceState,
  type Track,
  trackOfActivity,
  trackOfHostEvent,
} from './trace_file.js';

export interface TraceWriterOptions {
  info?: TraceInfo;
  /** The file's size: before it would be larger, the oldest half of it goes. At least 1 MiB, by default 256 MiB. */
  maxBytes?: number;
}

const DEFAULT_MAX_BYTES = 256 * 2 ** 20;
export const MIN_MAX_BYTES = 2 ** 20;
/** Bytes. */
const MAX_LINE_LENGTH = 4 * 2 ** 10;
const FLUSH_MILLISECONDS = 200;
const SECOND = 1e9;
const END = '\n]\n';
/** How much faster what stays is copied than new events come. */
const COPY_FACTOR = 8;

/** What lies together in the file: at most a second of events, in the order in which they came. */
interface Segment {
  /** Of the clock, whole. */
  second: number;
  offset: number;
  /** Bytes. */
  length: number;
  events: number;
  /** The latest start of an event, in nanoseconds. */
  last: number;
}

interface KnownTrack extends Track {
  id: number;
  /** The latest start of an event: tracks of requests long gone are forgotten with their events. */
  last: number;
}

/** The file that takes the place of the one that has become too large, as far as it has been copied. */
interface Successor {
  path: string;
  fd: number;
  /** Bytes of it so far. */
  size: number;
  /** The next byte of the old file to copy. */
  next: number;
  /** What has to be added to an offset of the old file. */
  shift: number;
}

/**
 * One event a line in one array. Behind the last event there is always the file's state and the array's end, written over by
 * what comes next: a process that is killed leaves a file that viewers open, without its last fifth of a second.
 *
 * Writes block, as a copy into the page cache takes less time than a line takes to be made, and as nothing can then be
 * under way when the process exits. While the oldest half is dropped, the other is copied a piece with each write.
 */
export class TraceWriter implements Disposable {
  readonly #path: string;
  readonly #info: TraceInfo;
  readonly #maxBytes: number;
  readonly #flushBytes: number;
  readonly #offAtExit: () => void;
  #fd: number;
  /** Bytes of the file before its state and end. */
  #size = 0;
  #segments: Segment[] = [];
  #successor: Successor | undefined;
  /** Bytes of the file, its state and end included, or more where it has become shorter. */
  #onDisk = 0;
  readonly #pending: LineBuffer;
  readonly #lines: ActivityLines<KnownTrack>;
  readonly #copyBuffer: Buffer;
  readonly #tracks = new Map<string, KnownTrack>();
  readonly #groups = new Set<number>();
  #nextTrack = 1;
  #events = 0;
  /** Of these, events that are in the file and not on their way. */
  #written = 0;
  #dropped = 0;
  #lost = 0;
  #from: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: TensorrtNodeError | undefined;
  #closed = false;

  /** Replaces `path`. Throws OptionError, or FileError if it cannot be written. */
  constructor(path: string, {info = {}, maxBytes = DEFAULT_MAX_BYTES}: TraceWriterOptions = {}) {
    this.#path = path;
    this.#info = info;
    this.#maxBytes = integer('maxBytes', maxBytes, {min: MIN_MAX_BYTES});
    this.#flushBytes = Math.min(2 ** 20, Math.floor(this.#maxBytes / 32));
    this.#pending = new LineBuffer(this.#flushBytes + MAX_LINE_LENGTH);
    this.#copyBuffer = Buffer.allocUnsafeSlow(this.#flushBytes);
    this.#lines = new ActivityLines((activity) => this.#track(trackOfActivity(activity), activity.start));
    try {
      this.#fd = openSync(path, 'w+');
    } catch (error) {
      throw fileError(error, path, 'open');
    }
    try {
      this.#pending.addText(`[\n${encodeInfo(info)}`);
      this.#writePending(false);
    } catch (error) {
      closeSync(this.#fd);
      throw fileError(error, path, 'write');
    }
    this.#offAtExit = atExit(() => this.#finish());
  }

  /** Throws FileError if the file could not be written since the last call, ERR_DISPOSED after `close`. */
  add(activity: Activity): void {
    if (!this.#hasTime(activity)) return;
    const track = this.#track(trackOfActivity(activity), activity.start);
    this.#addLine(encodeActivity(activity, track, track.id), activity.start);
  }

  /** As `add`, of many at once and in less time. */
  addPacked(activities: PackedActivities): void {
    for (let index = 0; index < activities.length; index++) {
      const template = this.#lines.templateOf(activities, index);
      if (template === undefined) this.add(activities.at(index));
      else {
        const start = activities.doubles[index * doublesOfOne]!;
        template.track.last = Math.max(template.track.last, start);
        this.#begin();
        const from = this.#pending.length;
        this.#lines.write(template, activities, index, this.#pending);
        this.#end(from, start);
      }
    }
  }

  /** As `add`. */
  addHostEvent(event: HostEvent): void {
    if (!this.#hasTime(event)) return;
    const track = this.#track(trackOfHostEvent(event), event.start);
    this.#addLine(encodeHostEvent(event, track, track.id), event.start);
  }

  /** Events that were lost before they came here, for the file to tell. */
  addLost(events: number): void {
    this.#dropped += events;
    this.#lost += events;
  }

  /** Bytes of the file as it is on disk, and what was dropped of the trace so far. */
  get state(): {bytes: number; events: number; dropped: number; lost: number} {
    return {bytes: this.#size, events: this.#events, dropped: this.#dropped, lost: this.#lost};
  }

  /** Ends the file; more calls do nothing. Throws FileError if it could not be written: it ends where that began. */
  close(): void {
    if (this.#closed) return;
    this.#offAtExit();
    this.#finish();
    if (this.#failure !== undefined) throw this.#failure;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Readers refuse a file with an event that has none. */
  #hasTime({start, end}: {start: number; end: number}): boolean {
    if (end >= start && Number.isFinite(end - start)) return true;
    this.#dropped++;
    return false;
  }

  #addLine(json: string, start: number): void {
    this.#begin();
    const from = this.#pending.length;
    this.#pending.addText(`,\n${json}`);
    this.#end(from, start);
  }

  #begin(): void {
    if (this.#closed) throw new TensorrtNodeError('ERR_DISPOSED', 'the trace has been closed');
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Of an event whose line begins at `from` of what is pending. */
  #end(from: number, start: number): void {
    const length = this.#pending.length - from;
    if (length > MAX_LINE_LENGTH) {
      this.#pending.cut(from);
      this.#dropped++;
      return;
    }
    const segment = this.#segmentFor(start, from);
    segment.length += length;
    segment.events++;
    segment.last = Math.max(segment.last, start);
    this.#events++;
    this.#flushLater();
    if (this.#pending.length >= this.#flushBytes) this.#flush();
  }

  /** Events may come late: those of a second that has passed are in the segment of the time when they came. */
  #segmentFor(start: number, from: number): Segment {
    const second = Math.floor(start / SECOND);
    const current = this.#segments.at(-1);
    if (current !== undefined && second <= current.second && current.length < this.#maxBytes / 16) return current;
    const offset = this.#size + from;
    const segment = {second: Math.max(second, current?.second ?? second), offset, length: 0, events: 0, last: start};
    this.#segments.push(segment);
    return segment;
  }

  #track(wanted: Track, start: number): KnownTrack {
    const key = `${wanted.group} ${wanted.name}`;
    let track = this.#tracks.get(key);
    if (track === undefined) {
      track = {...wanted, id: this.#nextTrack++, last: start};
      this.#tracks.set(key, track);
      if (!this.#groups.has(track.group)) {
        this.#groups.add(track.group);
        this.#pushMetadata(encodeGroup(track.group));
      }
      this.#pushMetadata(encodeTrack(track, track.id));
    }
    track.last = Math.max(track.last, start);
    return track;
  }

  #pushMetadata(json: string): void {
    this.#pending.addText(`,\n${json}`);
    this.#flushLater();
  }

  #flushLater(): void {
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MILLISECONDS).unref();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#failure !== undefined || this.#closed) return;
    try {
      this.#writePending(false);
      if (this.#successor === undefined && this.#size > this.#maxBytes * (7 / 8) - 2 * this.#flushBytes) this.#beginSuccessor();
      if (this.#successor !== undefined) this.#copySome(this.#successor);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** In one write with what has to stand behind it, as between two the process may be killed. */
  #writePending(ended: boolean): void {
    const {length} = this.#pending;
    this.#pending.addText(this.#ending(ended));
    const {bytes} = this.#pending;
    writeAll(this.#fd, bytes, this.#size);
    if (this.#size + bytes.length < this.#onDisk) ftruncateSync(this.#fd, this.#size + bytes.length);
    this.#onDisk = this.#size + bytes.length;
    this.#size += length;
    this.#written = this.#events;
    this.#pending.cut(0);
  }

  #ending(ended: boolean): string {
    const state: TraceState = {ended, events: this.#events, dropped: this.#dropped, lost: this.#lost || undefined, from: this.#from};
    return `,\n${encodeState(state)}${END}`;
  }

  /** Gives up the segments that fill the oldest half. */
  #beginSuccessor(): void {
    let dropped = 0;
    while (dropped < this.#segments.length - 1 && this.#segments[dropped]!.offset < this.#size - this.#maxBytes / 2) dropped++;
    const gone = this.#segments.splice(0, dropped);
    const events = gone.reduce((sum, segment) => sum + segment.events, 0);
    this.#events -= events;
    this.#written -= events;
    this.#dropped += events;
    this.#from = gone.reduce((latest, {last}) => Math.max(latest, last + 1), this.#from ?? 0);
    for (const [key, {last}] of this.#tracks) if (last < this.#from) this.#tracks.delete(key);
    this.#lines.clear();

    const path = `${this.#path}.${process.pid}.tmp`;
    const fd = openSync(path, 'w+');
    const next = this.#segments[0]!.offset;
    const lines = [
      encodeInfo(this.#info),
      ...[...this.#groups].map(encodeGroup),
      ...[...this.#tracks.values()].map((track) => encodeTrack(track, track.id)),
      encodeMark('older events were dropped', this.#from),
    ];
    const size = writeAll(fd, `[\n${lines.join(',\n')}`, 0);
    this.#successor = {path, fd, size, next, shift: size - next};
  }

  #copySome(successor: Successor): void {
    const buffer = this.#copyBuffer;
    for (let i = 0; i < COPY_FACTOR && successor.next < this.#size; i++) {
      const wanted = Math.min(buffer.length, this.#size - successor.next);
      const bytes = readSync(this.#fd, buffer, 0, wanted, successor.next);
      if (bytes === 0) throw Object.assign(new Error(`${this.#path} has become shorter`), {code: 'EIO', syscall: 'read'});
      writeAll(successor.fd, buffer.subarray(0, bytes), successor.size);
      successor.size += bytes;
      successor.next += bytes;
    }
    if (successor.next === this.#size) this.#takeOver(successor);
  }

  #takeOver({path, fd, size, shift}: Successor): void {
    this.#onDisk = size + writeAll(fd, this.#ending(false), size);
    renameSync(path, this.#path);
    this.#successor = undefined;
    closeSync(this.#fd);
    this.#fd = fd;
    this.#size = size;
    for (const segment of this.#segments) segment.offset += shift;
  }

  /** Must not throw: it runs at the process's exit too. */
  #finish(): void {
    clearTimeout(this.#timer);
    if (this.#failure === undefined) {
      try {
        // The old file holds what was given up as well, and would be larger than allowed.
        if (this.#successor !== undefined) this.#writePending(false);
        while (this.#successor !== undefined) this.#copySome(this.#successor);
        this.#writePending(true);
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#closed = true;
    try {
      closeSync(this.#fd);
    } catch {
      // Nothing was left to write.
    }
  }

  /** What was written so far stays, as a whole file. */
  #fail(error: unknown): void {
    this.#failure = fileError(error, this.#path, 'write');
    this.#pending.cut(0);
    this.#dropped += this.#events - this.#written;
    this.#events = this.#written;
    if (this.#successor !== undefined) {
      const {fd, path} = this.#successor;
      this.#successor = undefined;
      closeSync(fd);
      rmSync(path, {force: true});
    }
    try {
      ftruncateSync(this.#fd, this.#size);
      // In the place of the last one, so there is room on a full disk.
      writeAll(this.#fd, this.#ending(false), this.#size);
    } catch {
      // The failure is told; a reader takes a file without an end.
    }
  }
}

function writeAll(fd: number, data: string | Buffer, position: number): number {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  return bytes.length;
}

function fileError(error: unknown, path: string, call: string): TensorrtNodeError {
  if (error instanceof TensorrtNodeError) return error;
  const {code = 'EIO', message, syscall = call} = error as NodeJS.ErrnoException;
  return new FileError(message, path, syscall, code, {cause: error});
}
