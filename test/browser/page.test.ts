/** The page of each sample trace as a reader meets it. */

import {readdirSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

import type {Browser, Page} from 'playwright-core';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';

import {readTrace} from '../../lib/profile/trace_reader.js';
import {temporaryFolder} from '../support/temporary_folder.js';
import {findColor, launchBrowser, legend, type OpenPage, openPage, settled, shownRange, tooltipFields} from './open_page.js';

const folder = temporaryFolder();
const samples = fileURLToPath(new URL('../fixtures/traces/', import.meta.url));
const names = readdirSync(samples).filter((file) => file.endsWith('.json'));

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

/** The middle of the tracks, right of their names. */
async function middleOf(page: Page) {
  await page.locator('#panel').scrollIntoViewIfNeeded();
  const {x, y, width, height} = (await page.locator('#tracks').boundingBox())!;
  return {x: x + 208 + (width - 208) / 2, y: y + height / 2, width: width - 208};
}

describe.each(names)('the page of %s', (name) => {
  let opened: OpenPage;
  let page: Page;
  beforeAll(async () => {
    opened = await openPage(browser, folder(`${name}.html`), await readTrace(`${samples}${name}`), {title: name});
    page = opened.page;
  });
  afterAll(() => page?.close());

  const showAll = async () => {
    await page.click('#all');
    return shownRange(page);
  };

  const chooseInLegend = async (text: string) => {
    await page.fill('#filter', '');
    await page.locator('#legend').getByText(text, {exact: true}).click();
  };

  test('draws its tracks in the colours of the legend', async () => {
    await showAll();
    const colors = await legend(page);
    expect(colors.size).toBeGreaterThan(1);
    for (const [text, color] of colors) {
      await chooseInLegend(text);
      // The text may be part of others' names.
      let found: Awaited<ReturnType<typeof findColor>>;
      for (let i = 0; i < 20 && (found?.pixels ?? 0) <= 10; i++) {
        await page.keyboard.press('n');
        await settled(page);
        found = await findColor(page, color);
      }
      expect.soft(found?.pixels, text).toBeGreaterThan(10);
    }
    await page.keyboard.press('Escape');
  });

  test('the wheel zooms around the pointer, and dragging moves', async () => {
    const [start, end] = await showAll();
    const at = await middleOf(page);
    await page.mouse.move(at.x, at.y);
    await page.mouse.wheel(0, -600);
    const [from, to] = await shownRange(page);
    expect(to - from).toBeLessThan((end - start) * 0.7);
    expect(Math.abs(from + to - start - end)).toBeLessThan((end - start) * 0.01);
    await page.mouse.down();
    await page.mouse.move(at.x - at.width / 4, at.y, {steps: 4});
    await page.mouse.up();
    const [moved, movedTo] = await shownRange(page);
    expect(movedTo - moved).toBeCloseTo(to - from, -2);
    expect((moved - from) / (to - from)).toBeCloseTo(0.25, 1);
    await page.mouse.dblclick(at.x, at.y);
    expect(await shownRange(page)).toEqual([start, end]);
  });

  test('the filter tells how many events have a text', async () => {
    const of = (text: string) =>
      page
        .fill('#filter', text)
        .then(() => page.locator('#matches').getAttribute('data-count'))
        .then(Number);
    const name = (await page.locator('.bar-name').first().textContent())!;
    const one = await of(name);
    expect(one).toBeGreaterThan(0);
    expect(await of('no event is called so')).toBe(0);
    expect(await of(name.slice(0, 2))).toBeGreaterThanOrEqual(one);
    await page.keyboard.press('Escape');
    expect(await page.inputValue('#filter')).toBe('');
  });

  test('a finding shows its place, and measures it', async () => {
    const count = await page.locator('[data-finding]').count();
    const widths = new Set<number>();
    for (let i = 0; i < count; i++) {
      await page.locator(`[data-finding="${i}"]`).click();
      const [from, to] = await shownRange(page);
      widths.add(Math.round(to - from));
      expect(await page.locator('#selection-fields [data-title=selected]').textContent()).toMatch(/\d (ns|µs|ms|s)$/);
      await expect.poll(() => page.locator('#selected').isVisible()).toBe(true);
    }
    expect(widths.size).toBeGreaterThan(count === 0 ? -1 : 0);
    await page.keyboard.press('Escape');
    expect(await page.locator('#selection').isVisible()).toBe(false);
  });

  test('the pointer on a kernel tells its stream and grid, on a copy bytes and rate', async () => {
    const colors = await legend(page);
    const hover = async (text: string, color: string) => {
      await chooseInLegend(text);
      await page.keyboard.press('n');
      await settled(page);
      const place = (await findColor(page, color))!;
      await page.mouse.move(place.x, place.y);
      const fields = await tooltipFields(page);
      await page.mouse.move(0, 0);
      await page.keyboard.press('Escape');
      return fields;
    };
    const copies = [...colors].filter(([text]) => text.startsWith('copy to'));
    for (const [text, color] of copies) {
      const fields = await hover(text, color);
      expect(fields.bytes).toMatch(/^[\d.]+ (B|kB|MB|GB)$/);
      expect(fields.rate).toMatch(/^[\d.e-]+ GB\/s$/);
      expect(fields.stream).toMatch(/./);
    }
    const kernels = [...colors].filter(([text]) => !/^(copy|memory|graph|wait|range)/.test(text));
    if (kernels.length === 0) {
      // Recorded without graphs' kernels.
      expect(await hover('graph launch', colors.get('graph launch')!)).toMatchObject({name: 'graph', stream: expect.stringMatching(/./)});
      return;
    }
    const [text, color] = kernels[0]!;
    expect(await hover(text, color)).toMatchObject({
      name: expect.stringContaining(text),
      grid: expect.stringMatching(/^\d+ × \d+ × \d+$/),
      stream: expect.stringMatching(/./),
    });
  });

  test('keys zoom, move, and show all', async () => {
    const [start, end] = await showAll();
    await page.keyboard.press('Escape');
    await page.keyboard.press('+');
    await page.keyboard.press('+');
    const [from, to] = await shownRange(page);
    expect((to - from) / (end - start)).toBeCloseTo(0.36, 2);
    await page.keyboard.press('ArrowRight');
    expect(((await shownRange(page))[0] - from) / (to - from)).toBeCloseTo(0.2, 2);
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('-');
    expect(((await shownRange(page))[1] - (await shownRange(page))[0]) / (end - start)).toBeCloseTo(0.6, 2);
    await page.keyboard.press('/');
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('filter');
    await page.keyboard.press('Escape');
    await page.keyboard.press('0');
    expect(await shownRange(page)).toEqual([start, end]);
  });

  test('shift and drag measures a range', async () => {
    await showAll();
    const at = await middleOf(page);
    await page.keyboard.down('Shift');
    await page.mouse.move(at.x - 100, at.y);
    await page.mouse.down();
    await page.mouse.move(at.x + 100, at.y, {steps: 3});
    await page.mouse.up();
    await page.keyboard.up('Shift');
    const [start, end] = await shownRange(page);
    await page.click('#zoom-to-selection');
    const [from, to] = await shownRange(page);
    expect((to - from) / (end - start)).toBeCloseTo(200 / at.width, 2);
    await page.keyboard.press('Escape');
  });

  test('nothing went wrong, and nothing was asked of a network', () => {
    expect(opened.troubles).toEqual([]);
  });
});
