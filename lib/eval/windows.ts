/** A text's tokens cut into windows that a model's context holds. */

export interface Window {
  /** What the model reads; after row r it is to say `targets[r]`. */
  input: Uint32Array;
  targets: Uint32Array;
  /** Rows before this one are context for the others, and were scored in windows before. */
  firstScored: number;
}

export interface WindowOptions {
  /** Tokens that a window holds. */
  window: number;
  /** Tokens by which the next window's end lies further on; as many as `window` makes windows disjoint. */
  stride: number;
  /** What the model expects before every text: each window then begins with it. */
  bos?: number | undefined;
}

/**
 * Each token after the first is a target exactly once: all of the first window, then the last `stride` of each, with at least
 * `window - stride` tokens before. Fewer than two tokens make no window.
 */
export function windowsOf(tokens: Uint32Array, {window, stride, bos}: WindowOptions): Window[] {
  const windows: Window[] = [];
  // Targets are counted from the second token on; [from, to) are this window's own.
  const count = tokens.length - 1;
  for (let from = 0, to = Math.min(window, count); from < count; from = to, to = Math.min(to + stride, count)) {
    const start = Math.max(0, to - window);
    const input = tokens.slice(start, to);
    if (bos !== undefined) input[0] = bos;
    windows.push({input, targets: tokens.subarray(start + 1, to + 1), firstScored: from - start});
  }
  return windows;
}
