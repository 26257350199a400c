/** Pages of traces in headless Chromium: what they draw, and what they must not do. */

import {writeFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';

import {type Browser, type BrowserContextOptions, chromium, type Page} from 'playwright-core';

import {makePage, type PageOptions} from '../../dist/profile/page/page.js';
import type {Trace} from '../../lib/profile/activity.js';
import {testTools} from '../support/test_tools.js';

export function launchBrowser(): Promise<Browser> {
  const {path, env, args} = testTools().browser;
  return chromium.launch({executablePath: path, env: {...(process.env as Record<string, string>), ...env}, args});
}

export interface OpenPage {
  page: Page;
  /** Errors of the console and of scripts, and requests beyond the page's own file. */
  troubles: string[];
}

/** Writes a trace's page to `file`, and opens that as a reader does. */
export async function openPage(
  browser: Browser,
  file: string,
  trace: Trace,
  {context, ...options}: PageOptions & {context?: BrowserContextOptions} = {},
): Promise<OpenPage> {
  writeFileSync(file, makePage(trace, options));
  const page = await browser.newPage({viewport: {width: 1440, height: 1000}, reducedMotion: 'reduce', offline: true, ...context});
  const troubles: string[] = [];
  const url = pathToFileURL(file).href;
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') troubles.push(message.text());
  });
  page.on('pageerror', ({message}) => troubles.push(message));
  page.on('request', (request) => {
    if (request.url() !== url) troubles.push(`request for ${request.url()}`);
  });
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById('range')!.textContent !== '');
  return {page, troubles};
}

/** The time shown, in nanoseconds. */
export async function shownRange(page: Page): Promise<[number, number]> {
  await settled(page);
  const {from, to} = await page.locator('#range').evaluate(({dataset}: HTMLElement) => ({...dataset}));
  return [Number(from), Number(to)];
}

/** Once the page has drawn what was asked of it so far. */
export function settled(page: Page): Promise<void> {
  return page.evaluate(() => new Promise<void>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve()))));
}

/** Places of a colour on the tracks, in pixels of the window: the middle of its widest run. Undefined where there is none. */
export function findColor(page: Page, color: string): Promise<{x: number; y: number; pixels: number} | undefined> {
  return page.evaluate((wanted) => {
    const canvas = document.getElementById('timeline') as HTMLCanvasElement;
    const {width, height} = canvas;
    const context = Object.assign(document.createElement('canvas'), {width, height}).getContext('2d', {willReadFrequently: true})!;
    context.fillStyle = wanted;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
    context.drawImage(canvas, 0, 0);
    const {data} = context.getImageData(0, 0, width, height);
    const box = canvas.getBoundingClientRect();
    let [pixels, best] = [0, {length: 0, x: 0, y: 0}];
    for (let y = 0; y < height; y++) {
      let run = 0;
      for (let x = 0; x < width; x++) {
        const at = (y * width + x) * 4;
        run = data[at] === r && data[at + 1] === g && data[at + 2] === b ? run + 1 : 0;
        if (run === 0) continue;
        pixels++;
        if (run > best.length) best = {length: run, x: x - run / 2, y};
      }
    }
    if (pixels === 0) return undefined;
    const scale = box.width / width;
    return {x: box.left + best.x * scale, y: box.top + (best.y + 0.5) * scale, pixels};
  }, color);
}

/** Colours of the legend by their texts. */
export async function legend(page: Page): Promise<Map<string, string>> {
  const entries = await page
    .locator('#legend button')
    .evaluateAll((buttons) => buttons.map((each) => [each.textContent!, (each as HTMLElement).dataset.color!]));
  return new Map(entries as [string, string][]);
}

export async function tooltipFields(page: Page): Promise<Record<string, string>> {
  await settled(page);
  return page.locator('#tooltip').evaluate((tooltip: HTMLElement) => {
    const fields: Record<string, string> = {name: tooltip.querySelector('.name')?.textContent ?? ''};
    for (const term of tooltip.querySelectorAll('dt')) fields[term.textContent!] = term.nextElementSibling!.textContent!;
    return tooltip.hidden ? {} : fields;
  });
}
