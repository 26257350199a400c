/** The largest logits without sorting the whole vocabulary. */

/** Larger logits first; equal ones by the smaller token, so that every backend can agree on an order. */
export function compareByLogit(logits: Float32Array): (a: number, b: number) => number {
  return (a, b) => logits[b]! - logits[a]! || a - b;
}

/** The token with the largest logit; the smallest token of equal ones. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) {
    if (logits[token]! > logits[best]!) best = token;
  }
  return best;
}

/** The `count` tokens with the largest logits, largest first. O(vocabulary + changes · log count). */
export function topTokens(logits: Float32Array, count: number): Uint32Array {
  const compare = compareByLogit(logits);
  const size = Math.min(count, logits.length);
  const heap = Uint32Array.from({length: size}, (_, token) => token);
  // A heap whose root is the last of those kept, the one to be replaced next.
  for (let root = (size >> 1) - 1; root >= 0; root--) siftDown(heap, root, compare);
  for (let token = size; token < logits.length; token++) {
    // Equal logits keep the smaller token, which came first.
    if (logits[token]! > logits[heap[0]!]!) {
      heap[0] = token;
      siftDown(heap, 0, compare);
    }
  }
  return heap.sort(compare);
}

function siftDown(heap: Uint32Array, start: number, compare: (a: number, b: number) => number): void {
  for (let parent = start; ; ) {
    let child = 2 * parent + 1;
    if (child >= heap.length) return;
    if (child + 1 < heap.length && compare(heap[child + 1]!, heap[child]!) > 0) child++;
    if (compare(heap[parent]!, heap[child]!) >= 0) return;
    [heap[parent], heap[child]] = [heap[child]!, heap[parent]!];
    parent = child;
  }
}
