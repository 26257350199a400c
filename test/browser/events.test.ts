/** Pages of made-up traces: many events, strange names, links between them, edges of the window. */

import type {Browser} from 'playwright-core';
import {afterAll, beforeAll, expect, test} from 'vitest';

import type {Activity, HostEvent} from '../../lib/profile/activity.js';
import {copy, kernel} from '../support/simulated_activity.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {findColor, launchBrowser, legend, openPage, settled, shownRange, tooltipFields} from './open_page.js';

const folder = temporaryFolder();
const traceOf = (activities: Activity[], hostEvents: HostEvent[] = []) => ({info: {}, activities, hostEvents});
const US = 1000;

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

test('names cannot become markup or end the script', async () => {
  const name = '</script><img src=x onerror=alert(1)>';
  const {page, troubles} = await openPage(browser, folder('names.html'), traceOf([kernel(name, 0, 1000)]), {title: name, notes: [name]});
  expect(await page.title()).toBe(name);
  expect(await page.locator('.bar-name').textContent()).toBe(name);
  expect(await page.locator('.note').textContent()).toBe(name);
  expect(await page.locator('img').count()).toBe(0);
  expect(troubles).toEqual([]);
  await page.close();
});

test('a trace without events, and one of the host alone, make pages', async () => {
  for (const [trace, text] of [
    [traceOf([]), 'Nothing of a GPU in this trace'],
    [traceOf([], [{track: 'gc', name: 'minor', start: 5000, end: 9000}]), 'Nothing of a GPU in this trace'],
  ] as const) {
    const {page, troubles} = await openPage(browser, folder('empty.html'), trace);
    expect(await page.locator('h1').textContent()).toBe(text);
    expect(troubles).toEqual([]);
    await page.close();
  }
});

test('of tens of thousands of events no more are drawn than there are pixels, and the filter still finds one', async () => {
  const activities = Array.from({length: 40_000}, (_, i) => kernel(i === 31_000 ? 'rare' : `k${i % 3}_float16`, i * 1000, i * 1000 + 900));
  const {page} = await openPage(browser, folder('many.html'), traceOf(activities));
  const drawn = await page.evaluate(async () => {
    let count = 0;
    const own = CanvasRenderingContext2D.prototype.fillRect;
    CanvasRenderingContext2D.prototype.fillRect = function (...args) {
      if (this.canvas.id === 'timeline') count++;
      own.apply(this, args);
    };
    document.getElementById('all')!.click();
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    CanvasRenderingContext2D.prototype.fillRect = own;
    return count;
  });
  expect(drawn).toBeGreaterThan(500);
  expect(drawn).toBeLessThan(4000);
  await page.fill('#filter', 'rare');
  expect(await page.locator('#matches').textContent()).toBe('1 event, 900 ns');
  await page.keyboard.press('Enter');
  const [from, to] = await shownRange(page);
  expect(from).toBeLessThan(31_000_000);
  expect(to).toBeGreaterThan(31_000_900);
  expect(to - from).toBeLessThan(100_000);
  expect((await findColor(page, (await legend(page)).get('rare')!))!.pixels).toBeGreaterThan(20);
  await page.close();
});

/** A request whose two steps are each a kernel, with a copy beside the second. */
const STEPS = traceOf(
  [
    kernel('gemv', 100 * US, 260 * US, {step: 1, phase: 'prefill', layer: 'layer 0'}),
    kernel('gemv', 300 * US, 400 * US, {step: 2, phase: 'decode', layer: 'layer 1'}),
    copy(1e6, 310 * US, 350 * US, {step: 2}),
  ],
  [
    ...[1, 2].map((step) => ({
      track: 'scheduler',
      name: step === 1 ? 'prefill' : 'decode',
      start: (step === 1 ? 80 : 280) * US,
      end: (step === 1 ? 90 : 290) * US,
      args: {step, phase: step === 1 ? 'prefill' : 'decode', model: 'm', rows: 1, tokens: 1, requests: [41]},
    })),
    {track: 'request 1', name: 'request 1', start: 50 * US, end: 420 * US, args: {model: 'm', request: 41}},
  ],
);

test('a step is linked to its request and to what the GPU did for it', async () => {
  const {page, troubles} = await openPage(browser, folder('links.html'), STEPS);
  const accent = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--accent').trim());
  const kernelColor = (await legend(page)).get('gemv')!;
  expect(await findColor(page, accent)).toBeUndefined();
  const {x, y} = (await findColor(page, kernelColor))!;
  await page.mouse.move(x, y);
  expect(await tooltipFields(page)).toMatchObject({name: 'gemv', phase: 'prefill', layer: 'layer 0', step: '1', grid: '128 × 1 × 1'});
  expect((await findColor(page, accent))!.pixels).toBeGreaterThan(3);
  // Still there once it was clicked and the pointer is away.
  await page.mouse.click(x, y);
  await page.mouse.move(0, 0);
  await settled(page);
  expect((await findColor(page, accent))!.pixels).toBeGreaterThan(3);
  await page.keyboard.press('Escape');
  await settled(page);
  expect(await findColor(page, accent)).toBeUndefined();
  expect(troubles).toEqual([]);
  await page.close();
});

test('a request is linked to all its steps and their work', async () => {
  const {page} = await openPage(browser, folder('request.html'), STEPS);
  const accent = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--accent').trim());
  const {x, y} = (await findColor(page, (await legend(page)).get('gemv')!))!;
  await page.mouse.move(x, y);
  await settled(page);
  const ofStep = (await findColor(page, accent))!.pixels;
  const {y: top, height} = (await page.locator('#tracks').boundingBox())!;
  for (let below = y; below < top + height; below += 5) {
    await page.mouse.move(x, below);
    if ((await tooltipFields(page)).name === 'request 1') break;
  }
  expect(await tooltipFields(page)).toMatchObject({name: 'request 1', request: '41', model: 'm'});
  expect((await findColor(page, accent))!.pixels).toBeGreaterThan(ofStep * 1.5);
  await page.close();
});

test('over the names the wheel scrolls tracks that have no room', async () => {
  const many = Array.from({length: 80}, (_, i) => kernel('k', i * 1000, i * 1000 + 900, {stream: i, streamName: `stream ${i}`}));
  const {page} = await openPage(browser, folder('scroll.html'), traceOf(many));
  const range = await shownRange(page);
  const {x, y, height} = (await page.locator('#tracks').boundingBox())!;
  await page.locator('#tracks').scrollIntoViewIfNeeded();
  const picture = () => page.evaluate(() => (document.getElementById('timeline') as HTMLCanvasElement).toDataURL());
  const before = await picture();
  await page.mouse.move(x + 60, y + height / 4);
  await page.mouse.wheel(0, 300);
  await settled(page);
  expect(await picture()).not.toBe(before);
  expect(await shownRange(page)).toEqual(range);
  await page.keyboard.press('ArrowUp');
  for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowUp');
  await page.mouse.move(0, 0);
  await settled(page);
  expect(await picture()).toBe(before);
  await page.close();
});

test('colours tell phases and layers where the reader wants them to', async () => {
  const {page} = await openPage(browser, folder('colors.html'), STEPS);
  await page.selectOption('#color-by', 'phase');
  expect([...(await legend(page)).keys()]).toEqual(['decode', 'prefill']);
  await page.selectOption('#color-by', 'layer');
  const layers = await legend(page);
  expect([...layers.keys()]).toEqual(['layer 0', 'layer 1']);
  await settled(page);
  for (const color of layers.values()) expect((await findColor(page, color))!.pixels).toBeGreaterThan(100);
  await page.close();
});

test('the tooltip stays within the window, whatever the pointer is on', async () => {
  const long = kernel(`a_kernel_${'with_a_long_name_'.repeat(12)}`, 0, 1000 * US, {phase: 'decode', registers: 128, sharedBytes: 4096});
  const {page} = await openPage(browser, folder('edges.html'), traceOf([long]), {context: {viewport: {width: 640, height: 480}}});
  await page.locator('#panel').scrollIntoViewIfNeeded();
  const {y} = (await findColor(page, [...(await legend(page)).values()][0]!))!;
  for (const x of [240, 420, 610]) {
    await page.mouse.move(x, y);
    await settled(page);
    const box = (await page.locator('#tooltip').boundingBox())!;
    expect(Math.min(box.x, box.y, 640 - box.x - box.width, 480 - box.y - box.height)).toBeGreaterThanOrEqual(0);
  }
  await page.close();
});

test('a click folds a group and unfolds it', async () => {
  const {page} = await openPage(browser, folder('fold.html'), STEPS);
  await page.selectOption('#color-by', 'layer');
  const color = (await legend(page)).get('layer 0')!;
  const {x, y} = (await page.locator('#tracks').boundingBox())!;
  const click = async () => {
    await page.mouse.click(x + 40, y + 8);
    await page.mouse.move(0, 0);
    await settled(page);
  };
  await click();
  expect(await findColor(page, color)).toBeUndefined();
  await click();
  expect(await findColor(page, color)).toBeDefined();
  await page.close();
});

test('dark where the system is', async () => {
  const background = async (colorScheme: 'light' | 'dark') => {
    const {page} = await openPage(browser, folder(`${colorScheme}.html`), STEPS, {context: {colorScheme}});
    const color = await page.evaluate(() => {
      const canvas = document.getElementById('timeline') as HTMLCanvasElement;
      return canvas.getContext('2d')!.getImageData(5, canvas.height - 2, 1, 1).data[0]!;
    });
    await page.close();
    return color;
  };
  expect(await background('light')).toBeGreaterThan(240);
  expect(await background('dark')).toBeLessThan(40);
});
