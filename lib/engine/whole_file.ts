/** Files read whole: `readFile` ends at 2 GiB, and opening a pipe waits for a writer. */

import {constants, type FileHandle, open} from 'node:fs/promises';

import {TensorrtNodeError} from '../errors.js';

/** Small enough for the event loop to breathe between two pieces. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** Opens a file to read; a pipe under that name does not block, and shows in `stat`. */
export function openToRead(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NONBLOCK);
}

/**
 * The first `bytes` bytes, fewer if the file ends before. `onPiece` gets each piece as it was read.
 * Throws TensorrtNodeError (ERR_OUT_OF_MEMORY) where there is no memory for them, or no array that large: 4 GiB on Node 20.
 */
export async function readWhole(
  handle: FileHandle,
  bytes: number,
  onPiece?: (piece: Uint8Array) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const whole = allocate(bytes);
  for (let done = 0; done < bytes; ) {
    const {bytesRead} = await handle.read(whole, done, Math.min(bytes - done, PIECE_BYTES), done);
    if (bytesRead === 0) return whole.subarray(0, done);
    onPiece?.(whole.subarray(done, done + bytesRead));
    done += bytesRead;
  }
  return whole;
}

function allocate(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new TensorrtNodeError('ERR_OUT_OF_MEMORY', `no memory for a file of ${bytes} bytes`, 'above 4 GiB it takes Node 22 or later', {
      cause,
    });
  }
}
