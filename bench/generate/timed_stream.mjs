/** One stream as a service sees it. */

/** Times in milliseconds from the call: of the first chunk, the last, and between chunks, a token at a time; and each chunk's by the clock. */
export async function timedStream(model, prompt, maxNewTokens) {
  const began = performance.now();
  const seen = {began, first: 0, last: 0, count: 0, counted: 0, gaps: [], chunks: []};
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
    seen.chunks.push({at: now + began, length});
    seen.count += length;
  }
  return seen;
}

/** Tokens per second from the first chunk to the last; those of the first are not counted. */
export function speedOf({counted, first, last}) {
  return (1000 * counted) / (last - first);
}

/** Tokens per second of streams side by side, while all of them reply: from the last one's first chunk to the first one's last. */
export function speedTogether(streams) {
  const from = Math.max(...streams.map(({began, first}) => began + first));
  const to = Math.min(...streams.map(({began, last}) => began + last));
  const counted = streams.flatMap(({chunks}) => chunks).filter(({at}) => at > from && at <= to);
  return (1000 * counted.reduce((sum, {length}) => sum + length, 0)) / (to - from);
}

export function percentile(values, part) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(part * (sorted.length - 1))];
}
