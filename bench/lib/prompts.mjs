/** The texts of bench/prompts, by name, in a stable order. */

import {readdirSync, readFileSync} from 'node:fs';

const folder = new URL('../prompts/', import.meta.url);

export function prompts() {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .map((name) => ({name: name.slice(0, -4), text: readFileSync(new URL(name, folder), 'utf8')}));
}
