/** Tensors of a checkpoint packed into one, so that one product does the work of several. */

import type {CheckpointTensor} from '../checkpoint.js';

interface JoinedTensor extends CheckpointTensor {
  readonly parts: readonly CheckpointTensor[];
}

/** Tensors of one type and row length, one below the other, under a new name; a single one stays what it is. */
export function joinRows(name: string, parts: readonly CheckpointTensor[]): CheckpointTensor {
  const [first, ...others] = parts;
  if (first === undefined || others.length === 0) return first!;
  const joined: JoinedTensor = {
    name,
    parts,
    type: first.type,
    shape: [parts.reduce((rows, {shape}) => rows + shape[0]!, 0), ...first.shape.slice(1)],
    byteLength: parts.reduce((bytes, {byteLength}) => bytes + byteLength, 0),
    async read() {
      const bytes = new Uint8Array(this.byteLength);
      let at = 0;
      for (const part of parts) {
        bytes.set(await part.read(), at);
        at += part.byteLength;
      }
      return bytes;
    },
  };
  return joined;
}

/** What messages call the owner of a row: the checkpoint's tensor, also where it is packed with others. */
export function describeRow(tensor: CheckpointTensor | JoinedTensor, row: number): string {
  let first = 0;
  for (const part of 'parts' in tensor ? tensor.parts : []) {
    if (row < first + part.shape[0]!) return describeRow(part, row - first);
    first += part.shape[0]!;
  }
  return `tensor '${tensor.name}'`;
}
