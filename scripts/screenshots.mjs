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

const WINDOW = {width: 1280, height: 800};

/** By name: the sample, and what a reader does before the picture is taken. `whole`: all of the page; else the window. */
const PICTURES = {
  smollm2: {sample: 'smollm2', whole: true},
  'smollm2-late-host': {
    sample: 'smollm2',
    act: async (page) => {
      await finding(page, 'gap');
      await showTracks(page);
      await hover(page, 'wait of the host');
    },
  },
  'smollm2-kernels': {
    sample: 'smollm2_kernels',
    dark: true,
    act: async (page) => {
      for (let i = 0; i < 3; i++) await page.keyboard.press('+');
      await showTracks(page);
    },
  },
  'offloaded-8b': {sample: 'offloaded_8b', whole: true},
  'offloaded-8b-copies': {
    sample: 'offloaded_8b',
    act: async (page) => {
      await finding(page, 'serial copy');
      for (let i = 0; i < 4; i++) await page.keyboard.press('-');
      await showTracks(page);
      await hover(page, 'copy to device');
    },
  },
  engine: {sample: 'engine', whole: true},
  planted: {sample: 'planted', whole: true},
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

async function take(name, {sample, dark = false, whole = false, act = async () => {}}) {
  const trace = await readTrace(path.join(root, 'test', 'fixtures', 'traces', `${sample}.json`));
  const file = path.join(folder, `${name}.html`);
  await writeFile(file, makePage(trace, {title: `${sample}.json`}));
  const colorScheme = dark ? 'dark' : 'light';
  const page = await browser.newPage({viewport: WINDOW, colorScheme, reducedMotion: 'reduce', offline: true});
  page.setDefaultTimeout(5000);
  await page.goto(pathToFileURL(file).href);
  await act(page);
  await page.waitForTimeout(300);
  const {x, y, width, height} = await page.locator('#panel').boundingBox();
  // The tooltip may reach a little beyond.
  const clip = whole ? undefined : {x: x - 8, y: y - 8, width: width + 16, height: Math.min(height + 24, WINDOW.height - y + 8)};
  await page.screenshot({path: path.join(root, 'docs', 'images', `profile-${name}.png`), fullPage: whole, clip});
  await page.close();
  console.log(`profile-${name}.png`);
}

async function finding(page, kind) {
  await page.locator('[data-finding]', {hasText: kind}).first().click();
  await page.evaluate(() => document.activeElement.blur());
}

async function showTracks(page) {
  await page.evaluate(() => document.getElementById('panel').scrollIntoView());
}

/** Puts the pointer on the widest event of a colour of the legend. */
async function hover(page, text) {
  await page.waitForTimeout(200);
  const place = await page.evaluate((wanted) => {
    const {dataset} = [...document.querySelectorAll('#legend button')].find(({textContent}) => textContent === wanted);
    const canvas = document.getElementById('timeline');
    const {width, height} = canvas;
    const context = Object.assign(document.createElement('canvas'), {width, height}).getContext('2d');
    context.fillStyle = dataset.color;
    context.fillRect(0, 0, 1, 1);
    const color = context.getImageData(0, 0, 1, 1).data;
    context.drawImage(canvas, 0, 0);
    const {data} = context.getImageData(0, 0, width, height);
    const box = canvas.getBoundingClientRect();
    let best = {run: 0};
    for (let y = 0; y < height; y++) {
      for (let x = 0, run = 0; x < width; x++) {
        run = [0, 1, 2].every((i) => data[(y * width + x) * 4 + i] === color[i]) ? run + 1 : 0;
        if (run > best.run) best = {run, x: box.left + x - run / 2, y: box.top + y + 1};
      }
    }
    return best;
  }, text);
  await page.mouse.move(place.x, place.y);
}
