/** Traces as a GPU would give them, made up: of a decoder in VRAM, and of one whose weights pass through. */

import type {Activity, HostEvent, Trace} from '../../lib/profile/activity.js';

const US = 1000;
const COMPUTE = {device: 0, stream: 13, streamName: 'compute'};
const PREFETCH = {device: 0, stream: 14, streamName: 'prefetch'};

export function kernel(name: string, start: number, end: number, rest: Partial<Activity> = {}): Activity {
  return {...COMPUTE, kind: 'kernel', name, start, end, grid: [128, 1, 1], block: [256, 1, 1], ...rest};
}

export function copy(bytes: number, start: number, end: number, rest: Partial<Activity> = {}): Activity {
  return {...PREFETCH, kind: 'copy', name: 'copy to device', direction: 'toDevice', bytes, start, end, ...rest};
}

export interface DecodeShape {
  steps: number;
  layers: number;
  /** Copies of a layer's weights run beside the layer before; without, no copies. */
  layerBytes?: number;
}

const LAYER_KERNELS = [
  ['norm_qkv', 9],
  ['attention', 4],
  ['output_residual', 6],
  ['norm_gate_up', 14],
  ['down_residual', 8],
] as const;

/** A request's prefill, then its steps: kernels back to back but for a microsecond between steps. */
export function decoderTrace({steps, layers, layerBytes}: DecodeShape): Trace {
  const activities: Activity[] = [];
  const hostEvents: HostEvent[] = [];
  let now = 1_000_000 * US;
  const begin = now;
  for (let step = 0; step <= steps; step++) {
    const phase = step === 0 ? 'prefill' : 'decode';
    const stepStart = now;
    for (let layer = 0; layer < layers; layer++) {
      const layerStart = now;
      for (const [name, micros] of LAYER_KERNELS) {
        const end = now + micros * US * (step === 0 ? 3 : 1);
        activities.push(kernel(name, now, end, {phase, layer: `layer ${layer}`, graph: step === 0 ? undefined : 7, correlation: step}));
        now = end;
      }
      if (layerBytes !== undefined) activities.push(copy(layerBytes, layerStart, layerStart + Math.round((layerBytes / 50) * 1)));
    }
    activities.push(kernel('sample', now, now + 5 * US, {phase, layer: 'epilogue'}));
    now += 5 * US;
    hostEvents.push({
      track: 'scheduler',
      name: phase,
      start: stepStart - 20 * US,
      end: stepStart - 10 * US,
      args: {rows: step === 0 ? 12 : 1},
    });
    now += US;
  }
  const firstEnd = activities.find(({name}) => name === 'sample')!.end;
  hostEvents.push(
    {track: 'request 1', name: 'request 1', start: begin - 400 * US, end: now, args: {promptTokens: 12, tokens: steps + 1}},
    {track: 'request 1', name: 'queue', start: begin - 100 * US, end: begin},
    {track: 'request 1', name: 'prefill', start: begin, end: firstEnd},
    {track: 'request 1', name: 'decode', start: firstEnd, end: now},
  );
  return {info: {device: 'Simulated', source: 'simulated', speeds: {memory: 3e12, toDevice: 55e9, toHost: 55e9}}, activities, hostEvents};
}

/** Of the samples in test/fixtures/traces those that are made up. */
export const SAMPLES = {
  /** A decoder in VRAM. */
  decode: () => decoderTrace({steps: 8, layers: 6}),
  /** In the middle of decoding a copy of 6 MB that nothing runs beside, then 90 microseconds without work while text is encoded. */
  planted: () => plant(decoderTrace({steps: 8, layers: 6})),
} as const;

function plant({info, activities, hostEvents}: Trace): Trace {
  const at = activities[Math.floor(activities.length / 2)]!.start;
  const later = <T extends {start: number; end: number}>(event: T): T => ({
    ...event,
    start: event.start >= at ? event.start + 210 * US : event.start,
    end: event.end > at ? event.end + 210 * US : event.end,
  });
  return {
    info,
    activities: [
      ...activities.map(later),
      copy(6e6, at, at + 120 * US, {stream: 15, streamName: 'uploads'}),
      kernel('scatter', at + 120 * US, at + 120 * US + 100),
    ].sort((a, b) => a.start - b.start),
    hostEvents: [...hostEvents.map(later), {track: 'tokenizer', name: 'encode', start: at + 125 * US, end: at + 205 * US}],
  };
}
