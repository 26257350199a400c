/** Draws the tracks. What is narrower than a pixel is merged: a column as opaque as its events are dense. */

import type {Colors} from './colors.js';
import {type Layout, type Row, rowOf, TITLE_HEIGHT} from './layout.js';
import {busyWithin, type EventRef, firstBeyond, type Lane, type Model} from './model.js';
import type {View} from './view.js';

export interface Theme {
  background: string;
  line: string;
  text: string;
  muted: string;
  title: string;
  pale: string;
  accent: string;
}

export interface Scene {
  model: Model;
  view: View;
  layout: Layout;
  colors: Colors;
  theme: Theme;
  /** How far tracks are scrolled up. */
  scrolled: number;
  hovered: EventRef | undefined;
  /** Events of these steps stand out. */
  links: readonly Link[];
}

/** From an event to one that it led to. */
export interface Link {
  from: EventRef;
  to: EventRef;
}

const FAINTEST = 0.3;
const SAMPLES = 6;
const MIN_TEXT = 26;

export function drawTracks(context: CanvasRenderingContext2D, scene: Scene, width: number, height: number): void {
  const {layout, scrolled, theme, view} = scene;
  context.fillStyle = theme.background;
  context.fillRect(0, 0, width, height);
  context.textBaseline = 'middle';
  drawGrid(context, scene, height);
  const shown = layout.rows.filter(({top, height: own}) => top + own > scrolled && top < scrolled + height);
  context.font = '11px Inter, system-ui, sans-serif';
  for (const row of shown) drawRow(context, scene, row);
  context.fillStyle = theme.background;
  context.fillRect(0, 0, view.left - 1, height);
  drawNames(context, scene, shown);
  drawTitles(context, scene, width, height);
  context.fillStyle = theme.line;
  context.fillRect(view.left - 1, 0, 1, height);
  drawLinks(context, scene);
}

function drawGrid(context: CanvasRenderingContext2D, {view, theme}: Scene, height: number): void {
  context.fillStyle = theme.line;
  for (const tick of view.scale.ticks(Math.max(2, view.width / 130))) context.fillRect(Math.round(view.scale(tick)), 0, 1, height);
}

function drawRow(context: CanvasRenderingContext2D, scene: Scene, {lane, top: place, height}: Row): void {
  const {view, colors, model, hovered, theme} = scene;
  const {starts, ends, matches} = lane;
  const {scale} = view;
  const [from, to] = view.range();
  const [left, right] = [view.left, view.left + view.width];
  const top = place - scene.scrolled;
  for (let i = firstBeyond(ends, from); i < starts.length && starts[i]! < to; ) {
    const x = Math.max(left, scale(starts[i]!));
    const end = Math.min(right, scale(ends[i]!));
    if (end - x >= 1) {
      const wanted = matches === undefined || matches[i] === 1;
      const color = wanted ? colors.of(lane, i) : theme.pale;
      // A pixel between neighbours, where there is room for it.
      const wide = end - x > 4 ? end - x - 0.75 : end - x;
      context.fillStyle = color;
      context.fillRect(x, top, wide, height);
      if (wide > MIN_TEXT && wanted) {
        context.fillStyle = colors.textOn(color);
        const text = cut(context, model.names[lane.names[i]!]!, wide - 8);
        if (text !== '') context.fillText(text, x + 4, top + height / 2 + 0.5);
      }
      i++;
    } else {
      i = drawColumn(context, scene, lane, i, x, top, height);
    }
  }
  if (hovered?.lane === lane) {
    const [x, end] = [Math.max(left, scale(starts[hovered.index]!)), Math.min(right, scale(ends[hovered.index]!))];
    context.strokeStyle = theme.text;
    context.lineWidth = 1.5;
    context.strokeRect(x - 0.5, top - 0.5, Math.max(2, end - x) + 0.25, height + 1);
  }
}

/** All that begins in a pixel with event `i`, as far as it ends soon; returns the first event that is not drawn yet. */
function drawColumn(
  context: CanvasRenderingContext2D,
  {view, colors, theme}: Scene,
  lane: Lane,
  i: number,
  x: number,
  top: number,
  height: number,
): number {
  const pixel = Math.floor(x);
  const until = view.scale.invert(pixel + 1);
  const perPixel = view.scale.invert(pixel + 2) - until;
  let next = firstBeyond(lane.starts, until, i + 1);
  // The last may reach far beyond the pixel.
  if (next - 1 > i && lane.ends[next - 1]! - lane.starts[next - 1]! >= perPixel) next--;
  const all = lane.before[next]! - lane.before[i]!;
  const density = (time: number) => Math.min(1, Math.max(FAINTEST, time / perPixel));
  const matched = lane.matchesBefore === undefined ? all : lane.matchesBefore[next]! - lane.matchesBefore[i]!;
  if (matched < all) {
    context.globalAlpha = density(all);
    context.fillStyle = theme.pale;
    context.fillRect(pixel, top, 1, height);
  }
  const longest = longestOf(lane, i, next);
  if (longest !== undefined) {
    context.globalAlpha = density(matched);
    context.fillStyle = colors.of(lane, longest);
    context.fillRect(pixel, top, 1, height);
  }
  context.globalAlpha = 1;
  return next;
}

/** Of a few of them, and of those that the filter wants. */
function longestOf({starts, ends, matches}: Lane, from: number, to: number): number | undefined {
  // With a filter all are looked at, as the one in a thousand that it wants must be seen.
  const step = matches === undefined ? Math.max(1, Math.floor((to - from) / SAMPLES)) : 1;
  let longest: number | undefined;
  for (let i = from; i < to; i += step) {
    if (matches !== undefined && matches[i] === 0) continue;
    if (longest === undefined || ends[i]! - starts[i]! > ends[longest]! - starts[longest]!) longest = i;
  }
  return longest;
}

function drawNames(context: CanvasRenderingContext2D, {view, theme, scrolled}: Scene, rows: readonly Row[]): void {
  const [from, to] = view.range();
  for (const {track, lane, top, height, named} of rows) {
    if (!named) continue;
    const y = top - scrolled + height / 2 + 0.5;
    let room = view.left - 26;
    if (track.onGpu) {
      const busy = busyWithin(track.busy, from, to) / (to - from);
      const text = busy === 0 ? '' : busy < 0.001 ? '<0.1%' : `${(busy * 100).toFixed(busy < 0.0995 ? 1 : 0)}%`;
      context.font = '10px Inter, system-ui, sans-serif';
      context.fillStyle = theme.muted;
      context.textAlign = 'right';
      context.fillText(text, view.left - 8, y);
      context.textAlign = 'left';
      room -= 34;
    }
    context.font = '11.5px Inter, system-ui, sans-serif';
    context.fillStyle =
      lane.matches === undefined || track.lanes.some((each) => each.matchesBefore!.at(-1)! > 0) ? theme.text : theme.muted;
    context.fillText(cutMiddle(context, track.name, room), 22, y);
  }
}

function drawTitles(context: CanvasRenderingContext2D, {layout, scrolled, theme}: Scene, width: number, height: number): void {
  for (const {group, top, folded, tracks} of layout.titles) {
    const y = top - scrolled;
    if (y < -TITLE_HEIGHT || y > height) continue;
    context.fillStyle = theme.title;
    context.fillRect(0, y, width, TITLE_HEIGHT - 4);
    context.fillStyle = theme.muted;
    context.beginPath();
    const [x, middle] = [12, y + TITLE_HEIGHT / 2 - 2];
    if (folded) context.moveTo(x - 2, middle - 4);
    else context.moveTo(x - 4, middle - 2);
    context.lineTo(folded ? x + 3 : x + 4, folded ? middle : middle - 2);
    context.lineTo(folded ? x - 2 : x, folded ? middle + 4 : middle + 3);
    context.fill();
    context.font = '600 11px Inter, system-ui, sans-serif';
    context.fillStyle = theme.text;
    context.fillText(group, 22, middle + 0.5);
    if (folded) {
      const before = context.measureText(group).width;
      context.font = '11px Inter, system-ui, sans-serif';
      context.fillStyle = theme.muted;
      context.fillText(`${tracks} track${tracks === 1 ? '' : 's'}`, 30 + before, middle + 0.5);
    }
  }
}

function drawLinks(context: CanvasRenderingContext2D, {layout, links, view, scrolled, theme}: Scene): void {
  if (links.length === 0) return;
  context.save();
  context.beginPath();
  context.rect(view.left, 0, view.width, 1e6);
  context.clip();
  context.strokeStyle = theme.accent;
  context.fillStyle = theme.accent;
  context.lineWidth = 1.5;
  for (const {from, to} of links) {
    const [a, b] = [rowOf(layout, from), rowOf(layout, to)];
    if (a === undefined || b === undefined) continue;
    // From where it was under way already when the other began.
    const begins = to.lane.starts[to.index]!;
    const x1 = view.scale(Math.min(Math.max(begins, from.lane.starts[from.index]!), from.lane.ends[from.index]!));
    const x2 = view.scale(begins);
    const down = b.top > a.top;
    const y1 = a.top - scrolled + (down ? a.height : 0);
    const y2 = b.top - scrolled + (down ? 0 : b.height);
    const bend = Math.max(18, Math.abs(y2 - y1) * 0.45) * (down ? 1 : -1);
    context.globalAlpha = links.length > 40 ? 0.35 : 1;
    context.beginPath();
    context.moveTo(x1, y1);
    context.bezierCurveTo(x1, y1 + bend, x2, y2 - bend, x2, y2);
    context.stroke();
    context.beginPath();
    context.arc(x2, y2, 2.5, 0, 7);
    context.fill();
  }
  context.restore();
}

/** Streams of one engine differ at the end of their names. */
function cutMiddle(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  const end = text.slice(-14);
  return `${cut(context, text.slice(0, -14), width - context.measureText(end).width).replace(/…?$/, '…')}${end}`;
}

/** As much of a text as there is room for. */
export function cut(context: CanvasRenderingContext2D, text: string, width: number): string {
  const whole = context.measureText(text).width;
  if (whole <= width) return text;
  let length = Math.floor((text.length * width) / whole);
  while (length > 0 && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return length < 2 ? '' : `${text.slice(0, length)}…`;
}
