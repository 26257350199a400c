import vm from 'node:vm';

import {expect, test} from 'vitest';

import {copy, kernel, SAMPLES} from '../../../test/support/simulated_activity.js';
import type {Activity} from '../activity.js';
import {makePage} from './page.js';
import {pageData} from './page_data.js';

/** What of a browser the page's script meets: elements by id, and what was drawn. */
class FakeElement {
  textContent = '';
  value = '';
  hidden = true;
  width = 0;
  height = 0;
  tagName = 'DIV';
  clientWidth = 1190;
  clientHeight = 600;
  offsetWidth = 100;
  offsetHeight = 50;
  scrollTop = 0;
  style: {[name: string]: string} = {};
  dataset: {[name: string]: string} = {};
  drawn: {style: string; x: number; width: number}[] = [];
  texts: string[] = [];
  readonly #listeners = new Map<string, (event: object) => void>();

  addEventListener(type: string, listener: (event: object) => void): void {
    this.#listeners.set(type, listener);
  }
  fire(type: string, event: object = {}): void {
    const defaults = {
      clientX: 0,
      clientY: 0,
      deltaX: 0,
      deltaY: 0,
      shiftKey: false,
      key: '',
      pointerId: 1,
      target: this,
      preventDefault() {},
    };
    this.drawn = [];
    this.texts = [];
    this.#listeners.get(type)!({...defaults, ...event});
  }
  getBoundingClientRect() {
    return {left: 0, top: 0};
  }
  setPointerCapture() {}
  getContext() {
    const element = this;
    return {
      fillStyle: '',
      clearRect() {},
      setTransform() {},
      measureText: (text: string) => ({width: text.length * 6}),
      fillRect(x: number, _: number, width: number) {
        element.drawn.push({style: this.fillStyle, x, width});
      },
      fillText: (text: string) => element.texts.push(text),
    };
  }
}

function open(html: string) {
  const script = /<script>\n(.*)\n<\/script>/s.exec(html)![1]!;
  const elements = new Map<string, FakeElement>();
  const byId = (id: string) => elements.get(id) ?? elements.set(id, new FakeElement()).get(id)!;
  const buttons = [...html.matchAll(/data-finding="(\d+)"/g)].map(([, finding]) => Object.assign(new FakeElement(), {dataset: {finding}}));
  const window = Object.assign(new FakeElement(), {
    devicePixelRatio: 1,
    document: {getElementById: byId, querySelectorAll: () => buttons},
    requestAnimationFrame: (callback: () => void) => callback(),
  });
  vm.runInNewContext(script, {window});
  const range = () => [Number(byId('range').dataset.from), Number(byId('range').dataset.to)];
  return {byId, buttons, window, range, canvas: byId('timeline')};
}

const traceOf = (...activities: Activity[]) => ({info: {}, activities, hostEvents: []});

test('the page holds summary, tracks and script, and asks nobody for anything', () => {
  const html = makePage(SAMPLES.planted(), {title: 'planted.json', notes: ['7 events were dropped']});
  expect(html).toContain("default-src 'none'");
  expect(html).not.toMatch(/(src|href)=|https?:|@import|url\(/);
  expect(html).toContain('serial copies, which nothing was computed beside');
  expect(html).toContain('<p class="note">7 events were dropped</p>');
  const {canvas} = open(html);
  expect(canvas.texts).toEqual(
    expect.arrayContaining(['GPU 0 · compute (13)', 'GPU 0 · uploads (15): copies', 'host · tokenizer', 'requests · request 1']),
  );
  expect(canvas.drawn.length).toBeGreaterThan(280);
});

test('names cannot become markup or end the script', () => {
  const name = '</script><img src=x onerror=alert(1)>';
  const html = makePage(traceOf(kernel(name, 0, 1000)), {title: name});
  expect(html).not.toContain('<img');
  expect(html.match(/<\/script>/g)).toHaveLength(1);
  expect(open(html).canvas.texts).toContain(name);
});

test('the wheel zooms around the pointer, dragging moves, a double click shows all', () => {
  const {canvas, range} = open(makePage(traceOf(kernel('a', 0, 400_000), kernel('b', 400_000, 1_000_000))));
  expect(range()).toEqual([0, 1_000_000]);
  // The names take 190 pixels, so the pointer is at half of the time.
  canvas.fire('wheel', {clientX: 690, deltaY: -400});
  const [from, to] = range();
  expect(to! - from!).toBeCloseTo(1e6 / Math.E, -1);
  expect((from! + to!) / 2).toBeCloseTo(500_000, -1);
  canvas.fire('pointerdown', {clientX: 500});
  canvas.fire('pointermove', {clientX: 600});
  canvas.fire('pointerup');
  expect(range()[0]).toBeCloseTo(from! - (to! - from!) / 10, -1);
  canvas.fire('dblclick');
  expect(range()).toEqual([0, 1_000_000]);
});

test('the pointer on a copy shows its bytes, rate and stream; on a kernel its grid and block', () => {
  const {canvas, byId} = open(makePage(traceOf(kernel('gemv', 0, 500_000, {phase: 'decode'}), copy(10e6, 500_000, 1_000_000))));
  canvas.fire('pointermove', {clientX: 300, clientY: 30});
  expect(byId('tooltip').textContent.split('\n')).toEqual([
    'gemv',
    '500 µs at 0 ns',
    'kernel on compute (13)',
    'decode',
    'grid 128 x 1 x 1',
    'block 256 x 1 x 1',
  ]);
  expect(byId('tooltip').hidden).toBe(false);
  canvas.fire('pointermove', {clientX: 900, clientY: 22 + 26 + 5});
  expect(byId('tooltip').textContent.split('\n')).toEqual([
    'copy to device',
    '500 µs at 500 µs',
    'copy on prefetch (14)',
    '10 MB, 20.00 GB/s',
  ]);
  canvas.fire('pointermove', {clientX: 300, clientY: 53});
  expect(byId('tooltip').hidden).toBe(true);
});

test('the filter counts what it finds and makes the rest pale', () => {
  const {canvas, byId} = open(makePage(traceOf(kernel('norm', 0, 1000), kernel('gemv', 1000, 3000), kernel('gemv_wide', 3000, 4000))));
  const filter = byId('filter');
  filter.value = 'GEMV';
  canvas.drawn = [];
  filter.fire('input');
  expect(byId('matches').textContent).toBe('2 events, 3 µs');
  expect(canvas.drawn.filter(({style}) => style === '#eeeeee')).toHaveLength(1);
});

test('a finding shows its place', () => {
  const {buttons, range} = open(makePage(SAMPLES.planted()));
  expect(buttons).toHaveLength(3);
  buttons[0]!.fire('click');
  const [from, to] = range();
  expect(to! - from!).toBe(360_000);
});

test('of tens of thousands of events no more are drawn than there are pixels', () => {
  const activities = Array.from({length: 40_000}, (_, i) => kernel(`k${i % 7}`, i * 1000, i * 1000 + 900));
  const {canvas} = open(makePage({info: {}, activities, hostEvents: []}));
  expect(canvas.drawn.length).toBeGreaterThan(300);
  expect(canvas.drawn.length).toBeLessThan(2500);
});

test('kernels that begin before the last one ends have lanes of their own, and the newest stay where there are too many', () => {
  const {tracks, left, length, origin} = pageData(
    traceOf(kernel('old', 0, 10), kernel('a', 100, 200), kernel('b', 150, 250), kernel('c', 200, 300)),
    3,
  );
  expect(left).toBe(1);
  expect([origin, length]).toEqual([100, 200]);
  expect(tracks).toMatchObject([{name: 'compute (13)', lanes: [{starts: [0, 100]}, {starts: [50]}]}]);
  expect(makePage(traceOf(kernel('old', 0, 10), kernel('a', 100, 200)), {maxEvents: 1})).toContain(
    'the oldest 1 events are not on this page',
  );
});

test('a trace without events makes a page', () => {
  expect(open(makePage(traceOf())).range()).toEqual([0, 1]);
});
