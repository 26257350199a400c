/** Who holds memory in this thread, by name: models tell of themselves when they are loaded. */

import type {MemoryPart} from '../../backend/backend.js';

/** Something that holds memory. Told to be gone by being collected, or by holding nothing. */
export interface MemoryOwner {
  memory?(): readonly MemoryPart[];
}

export interface MemoryHolder extends MemoryPart {
  /** Of a model: its folder's. */
  name: string;
}

interface Named {
  name: string;
  owner: WeakRef<MemoryOwner>;
}

const known = new Set<Named>();
const collected = new FinalizationRegistry<Named>((named) => known.delete(named));

/** From now on `memoryHolders` tells of it. Does not keep it from collection. */
export function addMemoryHolder(name: string, owner: MemoryOwner): void {
  const named = {name, owner: new WeakRef(owner)};
  known.add(named);
  collected.register(owner, named);
}

/** What is held now, the largest first; equal parts of one holder as one. */
export function memoryHolders(): MemoryHolder[] {
  const all = [...known].flatMap(({name, owner}) => merged(partsOf(owner.deref())).map((part) => ({name, ...part})));
  return all.sort((a, b) => b.bytes - a.bytes);
}

function merged(parts: readonly MemoryPart[]): MemoryPart[] {
  const sums = new Map<string, MemoryPart>();
  for (const {what, where, bytes} of parts) {
    const key = `${what} ${where}`;
    sums.set(key, {what, where, bytes: bytes + (sums.get(key)?.bytes ?? 0)});
  }
  return [...sums.values()].filter(({bytes}) => bytes > 0);
}

/** Nothing of one that was disposed of, however it says so. */
function partsOf(owner: MemoryOwner | undefined): readonly MemoryPart[] {
  try {
    return owner?.memory?.() ?? [];
  } catch {
    return [];
  }
}
