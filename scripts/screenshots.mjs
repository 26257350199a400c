#!/usr/bin/env node
// Makes the pictures of docs/images: pages of the sample traces, as docs/profiling.md shows them. Needs what `npm test`
// builds and fetches. Where fonts differ the pictures do.
//
//   node scripts/screenshots.mjs [name...]

import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {pathToFileURL} from 'node:url';

import {chromium} from 'playwright-core';

import {makePage} from '../dist/profile/page/page.js';
import {readTrace} from '../dist/profile/trace_reader.js';
import {root} from './lib/run.mjs';
import {findBrowser} from './test-tools.mjs';

const WINDOW = {width: 1280, height: 860};

/** By name: the sample, and what a reader does before the picture is taken. `whole`: of all of the page. */
const PICTURES = {
  smollm2: {sample: 'smollm2', whole: true},
  'smollm2-dark': {sample: 'smollm2', dark: true, act: showTracks},
};

const wanted = process.argv.slice(2);
const folder = await mkdtemp(path.join(tmpdir(), 'tensorrt-node-screenshots-'));
const {path: executablePath, env, args} = await findBrowser();
const browser = await chromium.launch({executablePath, args, env: {...process.env, ...env}});
try {
  await mkdir(path.join(root, 'docs', 'images'), {recursive: true});
  for (const [name, picture] of Object.entries(PICTURES)) if (wanted.length === 0 || wanted.includes(name)) await take(name, picture);
} finally {
  await browser.close();
  await rm(folder, {recursive: true});
}

async function take(name, {sample, dark = false, whole = false, height = WINDOW.height, act = async () => {}}) {
  const trace = await readTrace(path.join(root, 'test', 'fixtures', 'traces', `${sample}.json`));
  const file = path.join(folder, `${name}.html`);
  await writeFile(file, makePage(trace, {title: `${sample}.json`}));
  const colorScheme = dark ? 'dark' : 'light';
  const page = await browser.newPage({viewport: {...WINDOW, height}, colorScheme, reducedMotion: 'reduce', offline: true});
  await page.goto(pathToFileURL(file).href);
  await act(page);
  await page.waitForTimeout(300);
  await page.screenshot({path: path.join(root, 'docs', 'images', `profile-${name}.png`), fullPage: whole});
  await page.close();
  console.log(`profile-${name}.png`);
}

async function showTracks(page) {
  await page.evaluate(() => document.getElementById('panel').scrollIntoView());
}
