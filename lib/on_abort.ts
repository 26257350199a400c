/** Hears a signal for many requests through one listener of its own: Node warns of a leak from the eleventh on. */

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `callback` when `signal` fires; not if it has fired already. The function returned takes that back. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const callbacks = waiting.get(signal) ?? listen(signal);
  // A function may be given twice, so it is not its own key.
  const entry = () => callback();
  callbacks.add(entry);
  return () => {
    callbacks.delete(entry);
    if (callbacks.size > 0 || waiting.get(signal) !== callbacks) return;
    waiting.delete(signal);
    signal.removeEventListener('abort', fire);
  };
}

function listen(signal: AbortSignal): Set<() => void> {
  const callbacks = new Set<() => void>();
  waiting.set(signal, callbacks);
  signal.addEventListener('abort', fire, {once: true});
  return callbacks;
}

function fire({target}: Event): void {
  const signal = target as AbortSignal;
  const callbacks = waiting.get(signal);
  waiting.delete(signal);
  for (const callback of callbacks ?? []) callback();
}
