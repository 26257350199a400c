/** The whole trace in a strip: how busy compute and copies were, and a brush for what is shown. */

import {brushX, type D3BrushEvent, scaleLinear, select} from 'd3';

import type {Theme} from './draw.js';
import {type Busy, busyOf, busyWithin, type Model} from './model.js';

export interface Overview {
  resize(width: number): void;
  /** Tells the brush what is shown. */
  update(range: [number, number]): void;
  redraw(theme: Theme): void;
}

const HEIGHT = 42;

export function makeOverview(
  {model, left, show}: {model: Model; left: number; show: (from: number, to: number) => void},
  canvas: HTMLCanvasElement,
  svg: SVGSVGElement,
): Overview {
  const scale = scaleLinear()
    .domain([model.start, model.end])
    .range([left, left + 1]);
  const brush = brushX<unknown>()
    .on('brush end', ({selection, sourceEvent}: D3BrushEvent<unknown>) => {
      // Also called when the brush is told what is shown.
      if (sourceEvent === undefined || sourceEvent === null) return;
      if (selection === null) show(model.start, model.end);
      else show(scale.invert(Number(selection[0])), scale.invert(Number(selection[1])));
    })
    // Keys on the page have other uses.
    .keyModifiers(false);
  const onGpu = model.tracks.filter((track) => track.onGpu);
  const parts: {busy: Busy; color: string; top: number; height: number}[] = [
    {busy: busyOf(onGpu.filter(({isCopies}) => !isCopies).map(({busy}) => busy)), color: '#4269d0', top: 4, height: 24},
    {busy: busyOf(onGpu.filter(({isCopies}) => isCopies).map(({busy}) => busy)), color: '#efb118', top: 30, height: 8},
  ];
  const group = select(svg).append('g').attr('class', 'brush');
  let shown: [number, number] = [model.start, model.end];
  let theme: Theme | undefined;

  const overview: Overview = {
    resize(width) {
      scale.range([left, Math.max(left + 1, width)]);
      brush.extent([
        [left, 0],
        [Math.max(left + 1, width), HEIGHT],
      ]);
      group.call(brush);
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(HEIGHT * devicePixelRatio);
      overview.update(shown);
      if (theme !== undefined) overview.redraw(theme);
    },
    update(range) {
      shown = range;
      const [a, b] = range.map((time) => scale(time)) as [number, number];
      group.call(brush.move, [Math.max(left, a), Math.max(a + 1, b)]);
    },
    redraw(next) {
      theme = next;
      const context = canvas.getContext('2d')!;
      context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
      context.clearRect(0, 0, canvas.width, HEIGHT);
      const end = scale.range()[1]!;
      for (const {busy, color, top, height} of parts) {
        context.fillStyle = color;
        for (let x = left; x < end; x++) {
          const [from, to] = [scale.invert(x), scale.invert(x + 1)];
          const share = busyWithin(busy, from, to) / (to - from);
          // However little it is, it can be seen.
          const tall = height * Math.max(0.08, share);
          if (share > 0) context.fillRect(x, top + height - tall, 1, tall);
        }
      }
      context.font = '11px Inter, system-ui, sans-serif';
      context.textBaseline = 'middle';
      context.fillStyle = next.muted;
      context.fillText('compute', 22, 17);
      context.fillText('copies', 22, 34);
    },
  };
  return overview;
}
