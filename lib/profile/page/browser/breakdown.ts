/** Time by kernel, phase, layer and event of the host, as bars: one list at a time. */

import {max, scaleLinear, select} from 'd3';

import {formatTime, percent} from '../../summary_text.js';
import type {PageTimes} from '../summary_parts.js';
import {count} from './format.js';

const ROWS = 10;

/** `choose` gets the name of a bar that was clicked. */
export function showBreakdown(lists: readonly PageTimes[], tabs: HTMLElement, body: HTMLElement, choose: (name: string) => void): void {
  let current = lists[0];
  let whole = false;
  const buttons = select(tabs)
    .selectAll('button')
    .data(lists)
    .join('button')
    .attr('type', 'button')
    .text(({title}) => title)
    .on('click', (_, list) => {
      current = list;
      whole = false;
      redraw();
    });
  redraw();

  function redraw(): void {
    buttons.attr('aria-pressed', (list) => String(list === current));
    if (current === undefined) return;
    const rows = whole ? current.rows : current.rows.slice(0, ROWS);
    const width = scaleLinear()
      .domain([0, max(rows, ({total}) => total) ?? 1])
      .range([0, 100]);
    const row = select(body)
      .selectAll('button.bar')
      .data(rows, (each) => (each as (typeof rows)[number]).name)
      .join((enter) => {
        const added = enter.append('button').attr('type', 'button').attr('class', 'bar');
        for (const part of ['bar-name', 'bar-count', 'bar-track', 'bar-total', 'bar-share']) added.append('span').attr('class', part);
        added.select('.bar-track').append('span').attr('class', 'bar-fill');
        return added;
      })
      .order()
      .attr('title', ({name, longest, total, count: n}) => `${name}\nmean ${formatTime(total / n)}, longest ${formatTime(longest)}`)
      .on('click', (_, {filter}) => choose(filter));
    row.select('.bar-name').text(({name}) => name);
    row.select('.bar-count').text((each) => `${count(each.count)} ×`);
    row.select('.bar-fill').style('width', ({total}) => `${width(total)}%`);
    row.select('.bar-total').text(({total}) => formatTime(total));
    row.select('.bar-share').text(({share}) => percent(share));
    const rest = current.rows.length - rows.length;
    select(body)
      .selectAll('button.more')
      .data(rest > 0 ? [rest] : [])
      .join('button')
      .attr('type', 'button')
      .attr('class', 'more')
      .text((number) => `${number} more`)
      .on('click', () => {
        whole = true;
        redraw();
      })
      .raise();
  }
}
