/** The page's script: draws the trace that stands in the page, and reacts to pointer, wheel and keys. */

import {axisTop, select} from 'd3';

import {formatTime} from '../../summary_text.js';
import type {PageContent} from '../page.js';
import {showBreakdown} from './breakdown.js';
import {type ColorBy, type Colors, makeColors} from './colors.js';
import {drawTracks, type Scene, type Theme} from './draw.js';
import {applyFilter, nextMatch} from './filter.js';
import {count, place, timeFormat} from './format.js';
import {makeLayout, rowAt, TITLE_HEIGHT, titleAt} from './layout.js';
import {linksOf} from './links.js';
import {type EventRef, firstBeyond, makeModel} from './model.js';
import {makeOverview} from './overview.js';
import {describeRange} from './selection.js';
import {describe, Tooltip} from './tooltip.js';
import {makeView} from './view.js';

const NAMES = 208;
const SLACK = 3;
const MIN_HEIGHT = 180;
/** Half of a tick's text. */
const TICK_ROOM = 30;

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const content: PageContent = JSON.parse(element('content').textContent!);
const model = makeModel(content.data);
const canvas = element<HTMLCanvasElement>('timeline');
const surface = element('tracks');
const filter = element<HTMLInputElement>('filter');
const colorBy = element<HTMLSelectElement>('color-by');
const tooltip = new Tooltip(element('tooltip'));
const axis = select<SVGSVGElement, unknown>('#axis').append('g').attr('transform', 'translate(0, 27)');
const dark = window.matchMedia('(prefers-color-scheme: dark)');

const folded = new Set<string>();
let layout = makeLayout(model, folded);
let colors: Colors = makeColors(model, 'kernel');
let theme = readTheme();
let scrolled = 0;
let hovered: EventRef | undefined;
let chosen: EventRef | undefined;
let selection: [number, number] | undefined;
let waiting = false;

const view = makeView(surface, [model.start, model.end], NAMES, redraw);
const overview = makeOverview({model, left: NAMES, show: (from, to) => view.show(from, to)}, element('overview'), svg('brush'));

showBreakdown(content.lists, element('tabs'), element('breakdown'), setFilter);
for (const option of colorBy.options) {
  const by = option.value as ColorBy;
  option.disabled = by !== 'kernel' && !model.details.some((detail) => detail[by] !== undefined);
}
showLegend();
resize();
view.show(...model.view);

function svg(id: string): SVGSVGElement {
  return document.getElementById(id) as unknown as SVGSVGElement;
}

function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    background: color('panel'),
    line: color('line'),
    text: color('text'),
    muted: color('muted'),
    title: color('raised'),
    pale: color('pale'),
    accent: color('accent'),
  };
}

function redraw(): void {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function draw(): void {
  const context = canvas.getContext('2d')!;
  const [width, height] = [surface.clientWidth, surface.clientHeight];
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  const about = hovered ?? chosen;
  const links = about === undefined ? [] : linksOf(model, about, view.range());
  const scene: Scene = {model, view, layout, colors, theme, scrolled, hovered: about, links};
  drawTracks(context, scene, width, height);
  const [from, to] = view.range();
  const ticks = Math.max(2, Math.floor(view.width / 130));
  const [first = 0, second = 1] = view.scale.ticks(ticks);
  const format = timeFormat(second - first);
  const roomy = view.scale.ticks(ticks).filter((tick) => view.scale(tick) < NAMES + view.width - TICK_ROOM);
  axis.call(
    axisTop(view.scale)
      .tickValues(roomy)
      .tickSize(5)
      .tickFormat((time) => format(Number(time))),
  );
  overview.update([from, to]);
  const range = element('range');
  const finer = timeFormat((second - first) / 10);
  range.textContent = `${finer(from)} to ${finer(to)} · ${formatTime(to - from)}`;
  range.dataset.from = String(from);
  range.dataset.to = String(to);
  placeSelection();
}

/** Makes everything as large as there is room for. */
function resize(): void {
  layout = makeLayout(model, folded);
  const height = Math.max(MIN_HEIGHT, Math.min(layout.height + 6, window.innerHeight - 190));
  surface.style.height = `${height}px`;
  const width = surface.clientWidth;
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  scrollTo(scrolled);
  view.resize(width);
  overview.resize(width);
  overview.redraw(theme);
}

function scrollTo(top: number): void {
  scrolled = Math.max(0, Math.min(top, layout.height - surface.clientHeight + 6));
  redraw();
}

function recolor(): void {
  theme = readTheme();
  colors = makeColors(model, colorBy.value as ColorBy);
  showLegend();
  overview.redraw(theme);
  redraw();
}

function showLegend(): void {
  select(element('legend'))
    .selectAll('button')
    .data(colors.legend)
    .join('button')
    .attr('type', 'button')
    .attr('data-color', ({color}) => color)
    .style('--color', ({color}) => color)
    .attr('title', ({text}) => `filter by ${text}`)
    .text(({text}) => text)
    .on('click', (_, entry) => setFilter(filter.value === entry.filter ? '' : entry.filter));
}

function setFilter(text: string): void {
  filter.value = text;
  const found = applyFilter(model, text);
  const matches = element('matches');
  matches.textContent = found === undefined ? '' : `${count(found.count)} event${found.count === 1 ? '' : 's'}, ${formatTime(found.time)}`;
  matches.dataset.count = found === undefined ? '' : String(found.count);
  redraw();
}

function eventAt(x: number, y: number): EventRef | undefined {
  const row = x < NAMES ? undefined : rowAt(layout, y + scrolled);
  if (row === undefined) return undefined;
  const [time, before, after] = [x, x - SLACK, x + SLACK].map((each) => view.scale.invert(each)) as [number, number, number];
  const {track, lane} = row;
  // Of those within reach of the pointer the nearest.
  let nearest: EventRef | undefined;
  let least = Infinity;
  const first = firstBeyond(lane.ends, before);
  for (let i = first; i < lane.starts.length && lane.starts[i]! <= after && i < first + 1000; i++) {
    const apart = Math.max(lane.starts[i]! - time, time - lane.ends[i]!, 0);
    if (apart < least) [nearest, least] = [{track, lane, index: i}, apart];
  }
  return nearest;
}

function hover(event: PointerEvent): void {
  const at = pointIn(event);
  hovered = eventAt(at.x, at.y);
  const onTitle = titleAt(layout, at.y + scrolled) !== undefined;
  surface.style.cursor = hovered !== undefined || onTitle ? 'pointer' : at.x < NAMES ? 'default' : 'grab';
  if (hovered === undefined) tooltip.hide();
  else tooltip.show(describe(model, hovered), colors.of(hovered.lane, hovered.index), event.clientX, event.clientY);
  redraw();
}

function pointIn({clientX, clientY}: MouseEvent): {x: number; y: number} {
  const {left, top} = surface.getBoundingClientRect();
  return {x: clientX - left, y: clientY - top};
}

function unhover(): void {
  hovered = undefined;
  tooltip.hide();
  redraw();
}

function selectRange(range: [number, number] | undefined): void {
  selection = range;
  const panel = element('selection');
  panel.hidden = range === undefined;
  if (range !== undefined) {
    select(element('selection-fields'))
      .selectAll('span')
      .data(describeRange(model, range))
      .join('span')
      .attr('data-title', ([title]) => title)
      .text(([, text]) => text);
  }
  redraw();
}

function placeSelection(): void {
  const box = element('selected');
  box.hidden = selection === undefined;
  if (selection === undefined) return;
  const [a, b] = selection.map((time) => Math.max(NAMES, Math.min(view.scale(time), NAMES + view.width))) as [number, number];
  box.style.left = `${a}px`;
  box.style.width = `${Math.max(1, b - a)}px`;
}

/** Shift and drag draws a range; d3-zoom takes the rest. */
function beginSelecting(event: PointerEvent): void {
  const from = pointIn(event).x;
  if (!event.shiftKey || event.button !== 0 || from < NAMES) return;
  event.preventDefault();
  surface.setPointerCapture(event.pointerId);
  const drag = (moved: PointerEvent) => {
    const [a, b] = [from, Math.max(NAMES, pointIn(moved).x)].sort((one, other) => one - other) as [number, number];
    selectRange(b - a < 2 ? undefined : [view.scale.invert(a), view.scale.invert(b)]);
  };
  const end = () => surface.removeEventListener('pointermove', drag);
  surface.addEventListener('pointermove', drag);
  surface.addEventListener('pointerup', end, {once: true});
  surface.addEventListener('pointercancel', end, {once: true});
}

surface.addEventListener('pointerdown', beginSelecting);
surface.addEventListener('pointermove', (event) => {
  if (event.buttons === 0) hover(event);
  else unhover();
});
surface.addEventListener('pointerleave', unhover);
surface.addEventListener('click', (event) => {
  const {x, y} = pointIn(event);
  const title = titleAt(layout, y + scrolled);
  if (title !== undefined && y + scrolled < title.top + TITLE_HEIGHT - 4) {
    if (!folded.delete(title.group)) folded.add(title.group);
    resize();
    return;
  }
  chosen = eventAt(x, y);
  redraw();
});
surface.addEventListener('dblclick', () => view.show(model.start, model.end));
surface.addEventListener(
  'wheel',
  (event) => {
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (pointIn(event).x < NAMES) {
      const before = scrolled;
      scrollTo(scrolled + event.deltaY);
      // At the end of the tracks the wheel scrolls the page.
      if (scrolled !== before) event.preventDefault();
    } else if (sideways) {
      event.preventDefault();
      event.stopImmediatePropagation();
      view.move((event.deltaX || event.deltaY) / view.width);
    }
  },
  {passive: false, capture: true},
);

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') return stepBack();
  if (event.target === filter) {
    if (event.key === 'Enter') showNextMatch();
    return;
  }
  if (event.target instanceof HTMLSelectElement) return;
  const act = KEYS[event.key];
  if (act === undefined) return;
  event.preventDefault();
  act();
});

const KEYS: Record<string, (() => void) | undefined> = {
  ArrowLeft: () => view.move(-0.2),
  ArrowRight: () => view.move(0.2),
  ArrowUp: () => scrollTo(scrolled - 60),
  ArrowDown: () => scrollTo(scrolled + 60),
  a: () => view.move(-0.2),
  d: () => view.move(0.2),
  '+': () => view.zoom(0.6),
  '=': () => view.zoom(0.6),
  w: () => view.zoom(0.6),
  '-': () => view.zoom(1 / 0.6),
  s: () => view.zoom(1 / 0.6),
  '0': () => view.show(model.start, model.end),
  '/': () => filter.select(),
  n: showNextMatch,
};

/** Takes back one thing after the other. */
function stepBack(): void {
  if (filter.value !== '') setFilter('');
  else if (selection !== undefined) selectRange(undefined);
  else chosen = undefined;
  filter.blur();
  unhover();
}

function showNextMatch(): void {
  const [from, to] = view.range();
  const found = nextMatch(model, (from + to) / 2);
  if (found === undefined) return;
  // Close enough for it to be seen.
  const length = Math.max(found.end - found.start, 50);
  const around = Math.max(length * 2, Math.min(length * 25, (to - from) / 2));
  const middle = (found.start + found.end) / 2;
  view.show(middle - around, middle + around, {animated: true});
}

filter.addEventListener('input', () => setFilter(filter.value));
colorBy.addEventListener('change', recolor);
dark.addEventListener('change', recolor);
window.addEventListener('resize', resize);
element('all').addEventListener('click', () => view.show(model.start, model.end));
element('zoom-to-selection').addEventListener('click', () => selection && view.show(...selection, {animated: true}));
element('clear-selection').addEventListener('click', () => selectRange(undefined));
for (const button of document.querySelectorAll<HTMLElement>('[data-finding]')) {
  const {start, end} = content.findings[Number(button.dataset.finding)]!;
  button.title = `zoom to ${place(start)}`;
  button.addEventListener('click', () => {
    const around = Math.max(end - start, 200);
    view.show(start - around, end + around, {animated: true});
    selectRange([start, end]);
    element('panel').scrollIntoView({behavior: 'smooth', block: 'nearest'});
  });
}
