import {existsSync} from 'node:fs';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

import {afterEach, beforeEach, expect, it} from 'vitest';

import {atExit, removeAtExit} from './at_exit.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorrt-node-exit-'));
});
afterEach(() => rm(folder, {recursive: true}));

/** What this module listens with. */
function listeners() {
  return process.listeners('exit').filter(({name}) => name === 'runAll');
}

it('removes what is unfinished at the exit, and nothing that was finished', async () => {
  const [half, whole] = [join(folder, 'half'), join(folder, 'whole')];
  for (const each of [half, whole]) {
    await mkdir(each);
    await writeFile(join(each, 'file'), 'text');
  }
  const forget = removeAtExit(half);
  removeAtExit(whole)();
  for (const listener of listeners()) listener.call(process, 0);
  expect([half, whole].map((each) => existsSync(each))).toEqual([false, true]);
  forget();
  expect(listeners()).toEqual([]);
});

it('runs what was given last first, through one listener', () => {
  const ran: number[] = [];
  const action = () => ran.push(0);
  const forget = [atExit(action), atExit(action), atExit(() => ran.push(1)), atExit(() => ran.push(2))];
  forget[2]!();
  expect(listeners()).toHaveLength(1);
  listeners()[0]!.call(process, 0);
  expect(ran).toEqual([2, 0, 0]);
  for (const each of forget) each();
  expect(listeners()).toEqual([]);
});
