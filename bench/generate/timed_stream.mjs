/** One stream as a service sees it. */

/** Times in milliseconds from the call: of the first chunk, the last, and between chunks, a token at a time. */
export async function timedStream(model, prompt, maxNewTokens) {
  const began = performance.now();
  const seen = {first: 0, last: 0, count: 0, counted: 0, gaps: []};
  for await (const chunk of model.generate(prompt, {maxNewTokens, temperature: 0})) {
    const {length} = chunk.tokens;
    if (length === 0) continue;
    const now = performance.now() - began;
    if (seen.count === 0) {
      seen.first = now;
    } else {
      seen.gaps.push((now - seen.last) / length);
      seen.counted += length;
    }
    seen.last = now;
    seen.count += length;
  }
  return seen;
}

/** Tokens per second from the first chunk to the last; those of the first are not counted. */
export function speedOf({counted, first, last}) {
  return (1000 * counted) / (last - first);
}

export function percentile(values, part) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(part * (sorted.length - 1))];
}
