/** Where a tensor lies in a file of weights, whatever its format, and what every such file must satisfy. */

import type {TensorType} from './checkpoint.js';

export interface TensorInfo {
  name: string;
  type: TensorType;
  /** Outermost first. */
  shape: readonly number[];
  /** Byte offset in the file. */
  position: number;
  byteLength: number;
}

/** Throws what `fail` makes where two tensors share bytes. */
export function refuseOverlaps(tensors: Iterable<TensorInfo>, fail: (problem: string) => Error): void {
  let previous: TensorInfo | undefined;
  for (const next of [...tensors].sort((a, b) => a.position - b.position)) {
    if (previous && next.position < previous.position + previous.byteLength) {
      throw fail(`tensors ${quote(previous.name)} and ${quote(next.name)} overlap at byte ${next.position}`);
    }
    previous = next;
  }
}

/** A name as messages have it, which a hostile file may have made long. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}
