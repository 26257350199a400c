/** scripts/build-addon.mjs on a machine that cannot build. */

import {mkdtemp, realpath, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {projectFile, run} from './helpers/child.js';

let bin: string;
beforeAll(async () => {
  bin = await realpath(await mkdtemp(path.join(tmpdir(), 'tensorrt-node-build-')));
  await symlink('/bin/sh', path.join(bin, 'sh'));
});
afterAll(() => rm(bin, {recursive: true, force: true}));

describe('without a compiler', () => {
  const build = (env: Record<string, string>, ...args: string[]) =>
    run(process.execPath, [projectFile('scripts/build-addon.mjs'), ...args], {PATH: bin, CXX: '', ...env});

  it('says why in a line and fails', async () => {
    expect(await build({})).toEqual({status: 1, stdout: '', stderr: 'addon: not built: there is no C++ compiler (g++, clang++, c++).\n'});
  });

  it('says why in a line and goes on when the addon is optional', async () => {
    const {status, stderr} = await build({}, '--optional');
    expect(status).toBe(0);
    expect(stderr).toBe('addon: not built: there is no C++ compiler (g++, clang++, c++). Everything but the GPU works without it.\n');
  });

  it('names the compiler that was asked for', async () => {
    expect((await build({CXX: '/nonexistent/c++'})).stderr).toBe('addon: not built: there is no C++ compiler (/nonexistent/c++).\n');
  });
});
