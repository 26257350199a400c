/** The order of the rows of q and k projections, which llama.cpp changes for the 'llama' architecture. */

/**
 * Undoes the permutation of llama.cpp's converter (`LlamaModel.permute`): there, the rows 2j and 2j+1 of a head are
 * the pair that rotates together; with Hugging Face it is j and j + headDim/2. Rows move whole, so that the bytes
 * may be quantised. `bytes` holds `headCount * headDim` rows.
 */
export function unpermuteRows(bytes: Uint8Array, headCount: number, headDim: number): Uint8Array<ArrayBuffer> {
  const rowBytes = bytes.length / (headCount * headDim);
  const half = headDim / 2;
  const out = new Uint8Array(bytes.length);
  for (let head = 0; head < headCount; head++) {
    for (let j = 0; j < headDim; j++) {
      const from = head * headDim + (j < half ? 2 * j : 2 * (j - half) + 1);
      out.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), (head * headDim + j) * rowBytes);
    }
  }
  return out;
}
