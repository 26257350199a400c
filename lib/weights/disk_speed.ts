/** How fast a file is read past the page cache, several pieces at once. */

import {constants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';

import {throwIfAborted} from '../errors.js';

/** As native/weights reads: so many at once, each so long. */
const AT_ONCE = 4;
const PIECE_BYTES = 2 ** 23;
/** Addresses and places that direct reads take are multiples of it. */
const PAGE = 4096;
const MOST_BYTES = 2 ** 30;
const MOST_MILLISECONDS = 1000;

export interface DiskSpeedOptions {
  signal?: AbortSignal;
  /** Memory at the beginning of a page, as pinned memory is. Default: as far as one can tell without knowing addresses. */
  allocate?: (bytes: number) => Uint8Array<ArrayBuffer>;
}

export interface DiskSpeed {
  /** Bytes a second. */
  bytesPerSecond: number;
  /** Whether the page cache had no part in it. */
  direct: boolean;
}

/**
 * Reads up to 1 GiB of a file, for up to a second; undefined for one that is too short to tell. File systems without direct
 * reads, as in memory, are read through the page cache. Throws what opening and reading do, and AbortError.
 */
export async function diskSpeed(path: string, {signal, allocate = allocateAligned}: DiskSpeedOptions = {}): Promise<DiskSpeed | undefined> {
  const buffers = Array.from({length: AT_ONCE}, () => allocate(PIECE_BYTES));
  await using direct = await openDirect(path, buffers[0]!);
  await using file = direct ?? (await open(path));
  const {size} = await file.stat();
  const pieces = Math.floor(Math.min(size, MOST_BYTES) / PIECE_BYTES);
  if (pieces < AT_ONCE) return undefined;
  const start = performance.now();
  let next = 0;
  let done = 0;
  const reader = async (buffer: Uint8Array<ArrayBuffer>): Promise<void> => {
    while (next < pieces && performance.now() - start < MOST_MILLISECONDS) {
      throwIfAborted(signal);
      const position = next++ * PIECE_BYTES;
      done += (await file.read(buffer, 0, PIECE_BYTES, position)).bytesRead;
    }
  };
  await Promise.all(buffers.map(reader));
  return {bytesPerSecond: (1000 * done) / (performance.now() - start), direct: direct !== undefined};
}

/** Undefined where the file system, or the memory that we have, does not do. */
async function openDirect(path: string, buffer: Uint8Array<ArrayBuffer>): Promise<FileHandle | undefined> {
  const file = await open(path, constants.O_RDONLY | (constants.O_DIRECT ?? 0)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EINVAL') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    await file.read(buffer, 0, PAGE, 0);
    return file;
  } catch (error) {
    await file.close();
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw error;
  }
}

/** JavaScript knows no addresses; large blocks of glibc begin 16 bytes behind the beginning of a page. */
function allocateAligned(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(bytes + PAGE), PAGE - 16, bytes);
}
