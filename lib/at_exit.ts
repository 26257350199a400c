/** What is left to do when this thread exits in the middle of work; through one listener, as Node warns from the eleventh on. */

import {rmSync} from 'node:fs';

const actions = new Set<() => void>();

/** `action` runs at the exit, before those that were given earlier, until the function returned is called. It must not throw. */
export function atExit(action: () => void): () => void {
  // A function may be given twice, so it is not its own key.
  const entry = () => action();
  if (actions.size === 0) process.on('exit', runAll);
  actions.add(entry);
  return () => {
    actions.delete(entry);
    if (actions.size === 0) process.off('exit', runAll);
  };
}

/** For a file or folder that is not finished. */
export function removeAtExit(path: string): () => void {
  return atExit(() => {
    try {
      rmSync(path, {recursive: true, force: true});
    } catch {
      // Nobody is left to tell.
    }
  });
}

function runAll(): void {
  for (const action of [...actions].reverse()) action();
}
