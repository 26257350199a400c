/** Where CUPTI is looked for. */

import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, expect, it} from 'vitest';

import {cuptiCandidates} from './cupti_libraries.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'cupti-'));
});
afterEach(() => rmSync(root, {recursive: true}));

function put(file: string): string {
  const full = path.join(root, file);
  mkdirSync(path.dirname(full), {recursive: true});
  writeFileSync(full, '');
  return full;
}

it('takes the option before the variable, and the variable before all places', () => {
  const env = {CUPTI_LIBRARY: '/b/libcupti.so.12', CUDA_HOME: root};
  put('lib64/libcupti.so.13');
  expect(cuptiCandidates('/a/libcupti.so.13', 13000, env)).toEqual(['/a/libcupti.so.13']);
  expect(cuptiCandidates(undefined, 13000, env)).toEqual(['/b/libcupti.so.12']);
  expect(() => cuptiCandidates(13, 13000, env)).toThrow('cuptiPath must be the path of libcupti, got 13');
});

it('looks in the toolkit, with the loader and in what pip installed', () => {
  const inToolkit = put('cuda/extras/CUPTI/lib64/libcupti.so.13');
  const inPip = put('venv/lib/python3.11/site-packages/nvidia/cu13/lib/libcupti.so.13');
  const old = put('venv/lib/python3.11/site-packages/nvidia/cuda_cupti/lib/libcupti.so.12');
  const found = cuptiCandidates(undefined, 13000, {CUDA_HOME: path.join(root, 'cuda'), VIRTUAL_ENV: path.join(root, 'venv')});
  const order = [inToolkit, 'libcupti.so.13', inPip, 'libcupti.so.12', old];
  expect(found.filter((file) => order.includes(file))).toEqual(order);
});

it('passes over a CUPTI that is newer than the driver', () => {
  const found = cuptiCandidates(undefined, 12080, {});
  expect(found).toContain('libcupti.so.12');
  expect(found).not.toContain('libcupti.so.13');
});
