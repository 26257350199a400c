/** What colour an event has: by what it is, its phase or its layer. */

import {hsl, interpolateCool, lab, schemeObservable10} from 'd3';

import type {Lane, Model} from './model.js';

export type ColorBy = 'kernel' | 'phase' | 'layer';

export interface LegendEntry {
  color: string;
  text: string;
  /** What the filter takes for it. */
  filter: string;
}

export interface Colors {
  of(lane: Lane, index: number): string;
  /** Of text upon a colour. */
  textOn(color: string): string;
  legend: LegendEntry[];
}

const [BLUE, AMBER, RED, TEAL, GREEN, PINK, VIOLET, SKY, BROWN] = schemeObservable10 as unknown as string[];
const FAMILIES = [BLUE, GREEN, VIOLET, TEAL, PINK, SKY, BROWN, RED].map(String);
/** More cannot be told apart. */
const LEGEND = 12;
const OTHER = '#8a94a6';
const KINDS: Record<string, [string, string]> = {
  toDevice: [AMBER!, 'copy to device'],
  toHost: ['#d9663f', 'copy to host'],
  onDevice: ['#b9a06a', 'copy on device'],
  set: ['#9aa3af', 'memory set'],
  graph: ['#7a8fd0', 'graph launch'],
  range: ['#8fa3bf', 'range'],
  synchronize: ['#c98b8b', 'wait of the host'],
};
const PHASES: Record<string, string> = {prefill: VIOLET!, decode: BLUE!};

export function makeColors(model: Model, by: ColorBy): Colors {
  const texts = new Map<string, string>();
  const textOn = (color: string) => {
    const found = texts.get(color) ?? (lab(color).l > 58 ? '#10151f' : '#ffffff');
    texts.set(color, found);
    return found;
  };
  const {families, colors: familyColors} = colorFamilies(model);
  if (by === 'kernel') return {of: ({names}, index) => familyColors[model.familyOf[names[index]!]!]!, textOn, legend: families};
  const values = [...new Set(model.details.flatMap((detail) => detail[by] ?? []))].sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1));
  const colorOf = by === 'layer' ? colorLayers(values) : colorPhases(values);
  const ofDetail = model.details.map((detail) => colorOf.get(detail[by] ?? '') ?? KINDS[detail.kind]?.[0] ?? OTHER);
  const shown = values.length <= LEGEND ? values : values.filter((_, i) => i % Math.ceil(values.length / LEGEND) === 0);
  const legend = shown.map((value) => ({color: colorOf.get(value)!, text: value, filter: value}));
  return {of: ({details}, index) => ofDetail[details[index]!]!, textOn, legend};
}

/** The model's first layer first; what is before and after the layers keeps apart from them. */
function order(value: string): number {
  const layer = /^layer (\d+)/.exec(value)?.[1];
  return layer === undefined ? (value === 'prologue' ? -1 : Infinity) : Number(layer);
}

function colorLayers(values: readonly string[]): Map<string, string> {
  const layers = values.filter((value) => Number.isFinite(order(value)) && order(value) >= 0);
  const spare = [AMBER!, '#d9663f', PINK!];
  return new Map(
    values.map((value) => {
      const place = layers.indexOf(value);
      return [value, place === -1 ? (spare.shift() ?? BROWN!) : interpolateCool(0.08 + 0.7 * (place / Math.max(1, layers.length - 1)))];
    }),
  );
}

function colorPhases(values: readonly string[]): Map<string, string> {
  const spare = FAMILIES.filter((color) => !Object.values(PHASES).includes(color));
  return new Map(values.map((value, i) => [value, PHASES[value] ?? spare[i % spare.length]!]));
}

/** The kernels that take most time have colours of their own; each direction of copies has one; the host is pale. */
function colorFamilies({families}: Model): {families: LegendEntry[]; colors: string[]} {
  const legend: LegendEntry[] = [];
  const others: LegendEntry[] = [];
  const kinds = new Set<string>();
  let next = 0;
  const colors = families.map(({name, kind}) => {
    if (kind === 'kernel') {
      const color = FAMILIES[next++] ?? OTHER;
      if (color !== OTHER) legend.push({color, text: name, filter: name});
      return color;
    }
    const known = KINDS[kind];
    if (known === undefined) return hostColor(name);
    if (!kinds.has(kind)) others.push({color: known[0], text: known[1], filter: name});
    kinds.add(kind);
    return known[0];
  });
  return {families: [...legend, ...others], colors};
}

function hostColor(name: string): string {
  if (name === 'prefill' || name === 'decode') return PHASES[name]!;
  if (/^request\b/.test(name)) return '#5d6b82';
  if (name === 'blocked') return '#c4606b';
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) | 0;
  return String(hsl(190 + ((hash >>> 0) % 90), 0.2, 0.62));
}
