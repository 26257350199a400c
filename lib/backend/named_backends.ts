/** The backends that are loaded in this thread, with their models' names. */

import type {Backend} from './backend.js';

interface Named {
  name: string;
  backend: WeakRef<Backend>;
}

const known = new Set<Named>();
const names = new WeakMap<Backend, string>();
const collected = new FinalizationRegistry<Named>((named) => known.delete(named));

/** From now on it is known by that name. Does not keep it from collection. */
export function nameBackend(name: string, backend: Backend): void {
  const named = {name, backend: new WeakRef(backend)};
  known.add(named);
  names.set(backend, name);
  collected.register(backend, named);
}

export function backendName(backend: Backend): string | undefined {
  return names.get(backend);
}

/** Also those that were disposed of and not collected yet. */
export function namedBackends(): [name: string, backend: Backend][] {
  return [...known].flatMap(({name, backend}) => {
    const there = backend.deref();
    return there === undefined ? [] : [[name, there] as [string, Backend]];
  });
}
