/** A strict reader of Prometheus' text format (0.0.4) and of OpenMetrics 1.0: throws on what either forbids. */

export interface ExposedSample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface ExposedFamily {
  name: string;
  help: string | undefined;
  type: string | undefined;
  samples: ExposedSample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)/y;
const NUMBER = /^(NaN|[+-]?Inf|[+-]?\d+(\.\d+)?([eE][+-]?\d+)?)$/;
const PARTS = {histogram: ['_bucket', '_sum', '_count'], counter: [''], gauge: ['']};

/** By the family's name as its TYPE line has it. */
export function parseExposition(text: string, format: 'prometheus' | 'openmetrics'): Map<string, ExposedFamily> {
  const open = format === 'openmetrics';
  if (!text.endsWith(open ? '\n# EOF\n' : '\n')) throw new Error('it does not end as it must');
  const families = new Map<string, ExposedFamily>();
  const seen = new Set<string>();
  let current: ExposedFamily | undefined;
  for (const line of text.slice(0, open ? -'\n# EOF\n'.length : undefined).split('\n')) {
    if (line === '' && !open) continue;
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, 'HELP' | 'TYPE', string, string];
      if (current?.name !== name) {
        if (families.has(name)) throw new Error(`${name} comes in two places`);
        if (!NAME.test(name)) throw new Error(`${name} is no name`);
        current = {name, help: undefined, type: undefined, samples: []};
        families.set(name, current);
      }
      const field = kind === 'HELP' ? 'help' : 'type';
      if (current[field] !== undefined || current.samples.length > 0) throw new Error(`${line}: too late`);
      if (kind === 'TYPE' && !(rest in PARTS)) throw new Error(`${line}: no such type`);
      current[field] = rest;
      continue;
    }
    const sample = parseSample(line);
    if (current === undefined || !belongs(sample.name, current, open)) throw new Error(`${line}: of no family`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (seen.has(key)) throw new Error(`${line}: twice`);
    seen.add(key);
    if (current.type === 'counter' && !(sample.value >= 0)) throw new Error(`${line}: a counter below 0`);
    current.samples.push(sample);
  }
  for (const family of families.values()) {
    if (family.help === undefined || family.type === undefined) throw new Error(`${family.name} has no HELP or no TYPE`);
    if (family.type === 'histogram') checkHistograms(family);
  }
  return families;
}

function parseSample(line: string): ExposedSample {
  const match = /^([^{\s]+)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`${line}: no sample`);
  const [, name, inner = '', value] = match as unknown as [string, string, string | undefined, string];
  if (!NAME.test(name) || !NUMBER.test(value)) throw new Error(`${line}: no sample`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < inner.length) {
    const label = LABEL.exec(inner);
    if (label === null) throw new Error(`${line}: wrong labels`);
    if (label[1]! in labels) throw new Error(`${line}: a label twice`);
    labels[label[1]!] = label[2]!.replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char));
  }
  return {name, labels, value: value.endsWith('Inf') ? (value.startsWith('-') ? -Infinity : Infinity) : Number(value)};
}

function belongs(sample: string, {name, type}: ExposedFamily, open: boolean): boolean {
  if (type === 'counter') return open ? sample === `${name}_total` && !name.endsWith('_total') : sample === name && name.endsWith('_total');
  return PARTS[type as keyof typeof PARTS].some((part) => sample === name + part);
}

/** Of each set of labels: all bounds in order, counts that only grow, and a sum and a count that fit. */
function checkHistograms({name, samples}: ExposedFamily): void {
  const series = new Map<string, ExposedSample[]>();
  for (const sample of samples) {
    const {le: _, ...rest} = sample.labels;
    const key = JSON.stringify(Object.entries(rest).sort());
    series.set(key, [...(series.get(key) ?? []), sample]);
  }
  for (const [key, all] of series) {
    const buckets = all.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({labels}) => (labels.le === '+Inf' ? Infinity : Number(labels.le)));
    const [sum, count] = ['_sum', '_count'].map((part) => all.find((sample) => sample.name === name + part)?.value);
    const sound =
      bounds.at(-1) === Infinity &&
      bounds.every((bound, at) => at === 0 || bound > bounds[at - 1]!) &&
      buckets.every(({value}, at) => Number.isInteger(value) && (at === 0 || value >= buckets[at - 1]!.value)) &&
      count === buckets.at(-1)!.value &&
      Number.isFinite(sum);
    if (!sound) throw new Error(`${name} ${key}: no histogram`);
  }
}
