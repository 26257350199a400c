#!/usr/bin/env node
// Makes the script of a trace's page: lib/profile/page/browser and the parts of D3 that it uses, in one file beside
// what tsc has built.
//
//   node scripts/build-page.mjs

import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {root} from './lib/run.mjs';

export async function buildPage(dist = path.join(root, 'dist')) {
  // Not at the top: `npm test` and `npm run demo` load this before dependencies have been installed.
  const {rolldown} = await import('rolldown');
  const bundle = await rolldown({input: path.join(root, 'lib', 'profile', 'page', 'browser', 'main.ts'), platform: 'browser'});
  const {output} = await bundle.generate({format: 'iife', minify: true});
  await bundle.close();
  const license = await readFile(path.join(root, 'node_modules', 'd3', 'LICENSE'), 'utf8');
  await writeFile(path.join(dist, 'profile', 'page', 'script.js'), `/*! With parts of D3.\n${license}*/\n${output[0].code}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage();
