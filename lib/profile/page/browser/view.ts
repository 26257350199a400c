/** Which time is shown: D3's zoom upon the tracks, and what else moves it. */

import {type ScaleLinear, scaleLinear, select, type ZoomBehavior, zoom, zoomIdentity, zoomTransform} from 'd3';

export interface View {
  /** From times to pixels of the tracks. */
  scale: ScaleLinear<number, number>;
  /** The tracks' pixels. */
  left: number;
  width: number;
  /** Least nanoseconds a page shows. */
  show(from: number, to: number, options?: {animated?: boolean}): void;
  move(share: number): void;
  zoom(factor: number): void;
  resize(width: number): void;
  range(): [number, number];
}

const LEAST = 50;

/** `all`: the times that can be shown. `changed` is called whenever others are. */
export function makeView(surface: HTMLElement, all: [number, number], left: number, changed: () => void): View {
  const base = scaleLinear()
    .domain(all)
    .range([left, left + 1]);
  const most = Math.max(1, (all[1] - all[0]) / LEAST);
  const behavior: ZoomBehavior<HTMLElement, unknown> = zoom<HTMLElement, unknown>()
    .scaleExtent([1, most])
    .filter((event: MouseEvent) => {
      const inside = event.type.startsWith('touch') || event.offsetX >= left;
      return inside && !event.shiftKey && !event.button && event.type !== 'dblclick';
    })
    .on('zoom', ({transform}) => {
      view.scale = transform.rescaleX(base);
      changed();
    });
  const target = select(surface);
  const still = window.matchMedia('(prefers-reduced-motion: reduce)');

  const view: View = {
    scale: base.copy(),
    left,
    width: 1,
    range: () => view.scale.domain() as [number, number],
    show(from, to, {animated = false} = {}) {
      const length = Math.min(Math.max(to - from, LEAST), all[1] - all[0]);
      const begin = Math.max(all[0], Math.min((from + to - length) / 2, all[1] - length));
      const k = (all[1] - all[0]) / length;
      const transform = zoomIdentity.translate(left - k * base(begin), 0).scale(k);
      if (animated && !still.matches) target.transition().duration(350).call(behavior.transform, transform);
      else target.interrupt().call(behavior.transform, transform);
    },
    move(share) {
      const [from, to] = view.range();
      const by = Math.max(all[0] - from, Math.min((to - from) * share, all[1] - to));
      view.show(from + by, to + by);
    },
    zoom(factor) {
      const [from, to] = view.range();
      const middle = (from + to) / 2;
      view.show(middle - ((to - from) / 2) * factor, middle + ((to - from) / 2) * factor);
    },
    resize(width) {
      const [from, to] = view.range();
      view.width = Math.max(1, width - left);
      base.range([left, left + view.width]);
      const area: [[number, number], [number, number]] = [
        [left, 0],
        [left + view.width, 1],
      ];
      behavior.extent(area).translateExtent(area);
      view.show(from, to);
    },
  };
  target.call(behavior).on('dblclick.zoom', null);
  target.property('__zoom', zoomTransform(surface));
  return view;
}
