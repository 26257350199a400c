/** The page's script. It goes there as text, so the function uses nothing from outside of itself. */

import type {PageElement, PagePointer, PageWindow} from './dom.js';
import type {PageData, PageLane} from './page_data.js';

export function timeline(data: PageData, window: PageWindow): void {
  const LANE = 20;
  const TITLE = 16;
  const LABELS = 190;
  const AXIS = 22;
  const COLORS: {[kind: string]: string} = {
    toDevice: '#d9822b',
    toHost: '#8f5fbf',
    onDevice: '#b0783c',
    set: '#999999',
    graph: '#5b8fb9',
    range: '#c9d6e2',
    synchronize: '#c0504d',
  };
  const element = (id: string): PageElement => window.document.getElementById(id);
  const canvas = element('timeline');
  const scroll = element('scroll');
  const filter = element('filter');
  const tooltip = element('tooltip');
  const context = canvas.getContext('2d');

  let from = 0;
  let to = Math.max(1, data.length);
  let matching: boolean[] | undefined;
  let hovered: {lane: PageLane; index: number} | undefined;
  let waiting = false;

  const colors = data.names.map((name, index) => COLORS[data.kinds[index]!] ?? colorOf(name, data.kinds[index] === 'host'));
  const rows: {lane: PageLane; top: number; track: number}[] = [];
  const titles: {text: string; top: number}[] = [];
  let height = AXIS;
  for (const [track, {group, name, lanes}] of data.tracks.entries()) {
    titles.push({text: `${group} · ${name}`, top: height});
    for (const lane of lanes) {
      rows.push({lane, top: height, track});
      height += LANE;
    }
    height += 6;
  }
  element('space').style.height = `${height}px`;

  function colorOf(name: string, pale: boolean): string {
    let hash = 0;
    for (let i = 0; i < name.length; i++) hash = (hash * 31 + name.charCodeAt(i)) | 0;
    return `hsl(${(hash >>> 0) % 360} ${pale ? '35% 78%' : '55% 62%'})`;
  }

  function time(nanoseconds: number): string {
    const units = ['ns', 'µs', 'ms', 's'];
    let value = nanoseconds;
    let unit = 0;
    while (Math.abs(value) >= 999.5 && unit < 3) {
      value /= 1000;
      unit++;
    }
    return `${Number(value.toPrecision(4))} ${units[unit]}`;
  }

  function bytesOf(bytes: number): string {
    const units = ['B', 'kB', 'MB', 'GB'];
    let value = bytes;
    let unit = 0;
    while (value >= 999.5 && unit < 3) {
      value /= 1000;
      unit++;
    }
    return `${Number(value.toPrecision(4))} ${units[unit]}`;
  }

  /** The first event of a lane that ends after a time. */
  function firstAfter({starts, lengths}: PageLane, when: number, low = 0): number {
    let high = starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (starts[middle]! + lengths[middle]! > when) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  const pixels = () => Math.max(1, canvas.clientWidth - LABELS);
  const xOf = (when: number) => LABELS + ((when - from) / (to - from)) * pixels();
  const timeAt = (x: number) => from + ((x - LABELS) / pixels()) * (to - from);

  function redraw(): void {
    if (waiting) return;
    waiting = true;
    window.requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  }

  function draw(): void {
    const ratio = window.devicePixelRatio;
    const [width, tall] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(tall * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, tall);
    context.font = '11px system-ui, sans-serif';
    context.textBaseline = 'middle';
    for (const row of rows) {
      const top = row.top - scroll.scrollTop;
      if (top > -LANE && top < tall) drawLane(row.lane, top);
    }
    context.fillStyle = '#ffffff';
    context.fillRect(0, 0, LABELS - 4, tall);
    context.fillStyle = '#333333';
    for (const {text, top} of titles) {
      const y = top - scroll.scrollTop;
      if (y > -LANE && y < tall) context.fillText(cut(text, LABELS - 14), 6, y + TITLE / 2 + 2);
    }
    drawAxis(width);
    const range = element('range');
    range.textContent = `${time(from)} to ${time(to)}: ${time(to - from)}`;
    range.dataset.from = String(Math.round(from));
    range.dataset.to = String(Math.round(to));
  }

  function drawLane(lane: PageLane, top: number): void {
    const perPixel = (to - from) / pixels();
    const drawn = {pixel: -1, matched: false};
    for (let i = firstAfter(lane, from); i < lane.starts.length && lane.starts[i]! < to; ) {
      const start = lane.starts[i]!;
      const end = start + lane.lengths[i]!;
      const name = lane.names[i]!;
      const matched = matching === undefined || matching[name]!;
      const x = Math.max(LABELS, xOf(start));
      const right = Math.min(LABELS + pixels(), xOf(end));
      const isHovered = hovered?.lane === lane && hovered.index === i;
      const pixel = right - x < 1 ? Math.floor(x) : -1;
      // Of many within one pixel the first is drawn, and one that the filter wants.
      if (pixel === -1 || pixel !== drawn.pixel || (matched && !drawn.matched) || isHovered) {
        context.fillStyle = isHovered ? '#222222' : matched ? colors[name]! : '#eeeeee';
        context.fillRect(x, top, Math.max(right - x, 0.8), LANE - 2);
        if (right - x > 30 && matched) {
          context.fillStyle = isHovered ? '#ffffff' : '#1b1b1b';
          context.fillText(cut(data.names[name]!, right - x - 6), x + 3, top + LANE / 2 - 1);
        }
        drawn.pixel = pixel;
        drawn.matched = matched;
      }
      const next = i + 1;
      // Past the pixel at once, unless the filter may want another one in it.
      i = end - start < perPixel && matching === undefined ? Math.max(next, firstAfter(lane, end + perPixel * 0.5, next)) : next;
    }
  }

  function drawAxis(width: number): void {
    context.fillStyle = '#f6f6f6';
    context.fillRect(0, 0, width, AXIS - 2);
    context.fillStyle = '#666666';
    const wanted = (to - from) / Math.max(2, pixels() / 120);
    const power = 10 ** Math.floor(Math.log10(wanted));
    const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= wanted)!;
    for (let tick = Math.ceil(from / step) * step; tick < to; tick += step) {
      const x = xOf(tick);
      context.fillRect(x, 0, 1, AXIS - 2);
      context.fillText(time(tick), x + 4, AXIS / 2 - 1);
    }
  }

  function cut(text: string, width: number): string {
    if (context.measureText(text).width <= width) return text;
    let length = Math.floor((text.length * width) / context.measureText(text).width);
    while (length > 0 && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
    return length === 0 ? '' : `${text.slice(0, length)}…`;
  }

  function show(start: number, end: number): void {
    const least = 20;
    const length = Math.min(Math.max(end - start, least), Math.max(data.length, least));
    from = Math.max(0, Math.min(start, data.length - length));
    to = from + length;
    redraw();
  }

  function zoom(factor: number, around: number): void {
    show(around - (around - from) * factor, around - (around - from) * factor + (to - from) * factor);
  }

  function applyFilter(): void {
    const wanted = filter.value.toLowerCase();
    matching = wanted === '' ? undefined : data.names.map((name) => name.toLowerCase().includes(wanted));
    let [count, total] = [0, 0];
    if (matching !== undefined) {
      for (const {lane} of rows) {
        for (let i = 0; i < lane.names.length; i++) {
          if (!matching[lane.names[i]!]) continue;
          count++;
          total += lane.lengths[i]!;
        }
      }
    }
    element('matches').textContent = matching === undefined ? '' : `${count} events, ${time(total)}`;
    redraw();
  }

  function eventAt(x: number, y: number): typeof hovered {
    const row = rows.find(({top}) => y >= top && y < top + LANE - 2);
    if (row === undefined || x < LABELS || y < scroll.scrollTop + AXIS) return undefined;
    const when = timeAt(x);
    // Two pixels either way, so that what is thin can be met.
    const slack = ((to - from) / pixels()) * 2;
    const index = firstAfter(row.lane, when - slack);
    return index < row.lane.starts.length && row.lane.starts[index]! <= when + slack ? {lane: row.lane, index} : undefined;
  }

  function hover({clientX, clientY}: PagePointer): void {
    const {left, top} = canvas.getBoundingClientRect();
    hovered = eventAt(clientX - left, clientY - top + scroll.scrollTop);
    tooltip.hidden = hovered === undefined;
    if (hovered !== undefined) {
      const {lane, index} = hovered;
      const length = lane.lengths[index]!;
      const lines = data.details[lane.details[index]!]!.map((line) => {
        const bytes = /^bytes (\d+)$/.exec(line);
        if (bytes === null) return line;
        const rate = length > 0 ? `, ${(Number(bytes[1]) / length).toPrecision(4)} GB/s` : '';
        return `${bytesOf(Number(bytes[1]))}${rate}`;
      });
      tooltip.textContent = [data.names[lane.names[index]!]!, `${time(length)} at ${time(lane.starts[index]!)}`, ...lines].join('\n');
      tooltip.style.left = `${left + Math.min(clientX - left + 14, canvas.clientWidth - tooltip.offsetWidth - 4)}px`;
      tooltip.style.top = `${top + Math.min(clientY - top + 14, canvas.clientHeight - tooltip.offsetHeight - 4)}px`;
    }
    redraw();
  }

  let dragged: {x: number; from: number; to: number} | undefined;
  canvas.addEventListener('pointerdown', (event) => {
    dragged = {x: event.clientX, from, to};
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointerup', () => {
    dragged = undefined;
  });
  canvas.addEventListener('pointermove', (event) => {
    if (dragged === undefined) {
      hover(event);
      return;
    }
    const moved = ((event.clientX - dragged.x) / pixels()) * (dragged.to - dragged.from);
    show(dragged.from - moved, dragged.to - moved);
  });
  canvas.addEventListener('pointerleave', () => {
    hovered = undefined;
    tooltip.hidden = true;
    redraw();
  });
  canvas.addEventListener(
    'wheel',
    (event) => {
      const x = event.clientX - canvas.getBoundingClientRect().left;
      // Over the names the wheel scrolls tracks.
      if (x < LABELS) return;
      event.preventDefault();
      const across = event.shiftKey ? event.deltaY : event.deltaX;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const moved = (across / pixels()) * (to - from);
        show(from + moved, to + moved);
      } else {
        zoom(Math.exp(event.deltaY / 400), timeAt(x));
      }
    },
    {passive: false},
  );
  canvas.addEventListener('dblclick', () => show(0, data.length));
  window.addEventListener('keydown', (event) => {
    if (event.target.tagName === 'INPUT') return;
    const step = (to - from) / 5;
    const middle = (from + to) / 2;
    if (event.key === 'w' || event.key === '+') zoom(0.7, middle);
    else if (event.key === 's' || event.key === '-') zoom(1 / 0.7, middle);
    else if (event.key === 'a' || event.key === 'ArrowLeft') show(from - step, to - step);
    else if (event.key === 'd' || event.key === 'ArrowRight') show(from + step, to + step);
    else if (event.key === '0') show(0, data.length);
  });
  for (const button of window.document.querySelectorAll('[data-finding]')) {
    button.addEventListener('click', () => {
      const {start, end} = data.findings[Number(button.dataset.finding)]!;
      show(start - (end - start), end + (end - start));
    });
  }
  filter.addEventListener('input', applyFilter);
  scroll.addEventListener('scroll', redraw);
  window.addEventListener('resize', redraw);
  draw();
}
