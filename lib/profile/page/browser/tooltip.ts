/** What an event is, beside the pointer and always within the window. */

import {formatBytes} from '../../../cli/format.js';
import {formatTime} from '../../summary_text.js';
import {place} from './format.js';
import {detailOf, type EventRef, type Model} from './model.js';

const APART = 14;
const EDGE = 6;

/** Titles and texts, the name first. */
export function describe(model: Model, event: EventRef): {name: string; fields: [string, string][]} {
  const {lane, index} = event;
  const [start, length] = [lane.starts[index]!, lane.ends[index]! - lane.starts[index]!];
  const {kind, phase, layer, bytes, fields} = detailOf(model, event);
  const all: [string, string][] = [
    ['took', formatTime(length)],
    ['at', place(start)],
  ];
  if (bytes !== undefined) {
    all.push(['bytes', formatBytes(bytes)]);
    if (length > 0) all.push([kind === 'kernel' ? 'read at' : 'rate', `${(bytes / length).toPrecision(3)} GB/s`]);
  }
  if (phase !== undefined) all.push(['phase', phase]);
  if (layer !== undefined) all.push(['layer', layer]);
  const step = lane.steps?.[index] ?? -1;
  if (step >= 0) all.push(['step', String(step)]);
  return {name: model.names[lane.names[index]!]!, fields: [...all, ...fields]};
}

export class Tooltip {
  readonly #element: HTMLElement;

  constructor(element: HTMLElement) {
    this.#element = element;
  }

  show({name, fields}: ReturnType<typeof describe>, color: string, x: number, y: number): void {
    const head = document.createElement('div');
    head.className = 'name';
    head.style.setProperty('--color', color);
    head.textContent = name;
    const list = document.createElement('dl');
    for (const [title, text] of fields) {
      const [term, value] = [document.createElement('dt'), document.createElement('dd')];
      term.textContent = title;
      value.textContent = text;
      list.append(term, value);
    }
    this.#element.replaceChildren(head, list);
    this.#element.hidden = false;
    const {width, height} = this.#element.getBoundingClientRect();
    // On the pointer's other side where there is no room on this one.
    const left = x + APART + width + EDGE > window.innerWidth ? x - APART - width : x + APART;
    const top = y + APART + height + EDGE > window.innerHeight ? y - APART - height : y + APART;
    this.#element.style.left = `${Math.max(EDGE, Math.min(left, window.innerWidth - width - EDGE))}px`;
    this.#element.style.top = `${Math.max(EDGE, Math.min(top, window.innerHeight - height - EDGE))}px`;
  }

  hide(): void {
    this.#element.hidden = true;
  }
}
