/**
 * How fast does memory cross to the GPU and back? Copies from and to pinned ArrayBuffers, timed by CUDA events on the
 * GPU, medians; ordinary memory beside them; both directions at once; and PyTorch's pinned copies in the same run.
 *
 *   node bench/pinned-copy.mjs [--mebibytes 256] [--rounds 20] [--python python3] [--save]
 *
 * Needs a GPU and `npm run build` and `build:addon`, and no package but node-gyp-build. Without PyTorch the peer's
 * figures are left out.
 */

import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {inspect} from '../dist/inspect.js';
import {Device} from '../dist/native/device.js';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    mebibytes: {type: 'string', default: '256'},
    rounds: {type: 'string', default: '20'},
    python: {type: 'string', default: 'python3'},
    save: {type: 'boolean'},
  },
});
const bytes = Number(options.mebibytes) * 2 ** 20;
const rounds = Number(options.rounds);

const {driver, devices} = await inspect();
if (devices.length === 0) {
  say(`not run: ${driver.reason ?? 'the driver sees no GPU'}`);
  process.exit(2);
}

const torch = pytorch();
const device = Device.open(0);
const up = device.createStream('host to device');
const down = device.createStream('device to host');
const [source, target] = [device.allocatePinned(bytes), device.allocatePinned(bytes)];
new Uint8Array(source.buffer).fill(1);
const [pageableSource, pageableTarget] = [new ArrayBuffer(bytes), new ArrayBuffer(bytes)];
new Uint8Array(pageableSource).fill(1);
new Uint8Array(pageableTarget).fill(1);
// One block a stream: the two directions touch no common memory.
const [upMemory, downMemory] = [device.allocate(bytes, up), device.allocate(bytes, down)];
const [start, end, downEnd] = Array.from({length: 3}, () => device.createEvent({timing: true}));

const milliseconds = {
  h2d: await timed(up, () => up.copyToDevice(upMemory, source)),
  d2h: await timed(down, () => down.copyToHost(target, downMemory)),
  pageableH2d: await timed(up, () => up.copyToDevice(upMemory, pageableSource)),
  pageableD2h: await timed(down, () => down.copyToHost(pageableTarget, downMemory)),
  both: await timed(up, () => {
    down.wait(start);
    up.copyToDevice(upMemory, source);
    down.copyToHost(target, downMemory);
    down.record(downEnd);
    up.wait(downEnd);
  }),
};

const results = new Results('foundation.jsonl', {
  gpu: devices[0].name,
  driver: driver.version,
  versions: {cuda: driver.cuda, ...(torch && {pytorch: torch.version})},
});
const speed = (name) => bytes / milliseconds[name] / 1e6;
const against = (name) => torch && {pytorch: torch[name]};
results.record({claim: 'foundation.7.h2d_gb_s', value: speed('h2d'), unit: 'GB/s', peer: against('h2d')});
results.record({claim: 'foundation.7.d2h_gb_s', value: speed('d2h'), unit: 'GB/s', peer: against('d2h')});
results.record({claim: 'foundation.7.pageable_h2d_gb_s', value: speed('pageableH2d'), unit: 'GB/s', peer: against('pageableH2d')});
results.record({claim: 'foundation.7.pageable_d2h_gb_s', value: speed('pageableD2h'), unit: 'GB/s', peer: against('pageableD2h')});
// 2 when each direction runs as fast as alone, 1 when they take turns.
results.record({
  claim: 'foundation.7.overlap_ratio',
  value: (milliseconds.h2d + milliseconds.d2h) / milliseconds.both,
  unit: 'x',
});
if (torch) {
  // The slower of the two directions, as a share of PyTorch's.
  const value = Math.min(speed('h2d') / torch.h2d, speed('d2h') / torch.d2h);
  results.record({claim: 'foundation.7.pinned_vs_pytorch', value, unit: 'x'});
}

/** Median GPU milliseconds of the work that `queue` puts on `stream`, after two rounds of warming up. */
async function timed(stream, queue) {
  const times = [];
  for (let round = -2; round < rounds; round++) {
    stream.record(start);
    queue();
    stream.record(end);
    await stream.done();
    if (round >= 0) times.push(end.millisecondsSince(start));
  }
  return median(times);
}

function pytorch() {
  const script = fileURLToPath(new URL('pinned_copy_torch.py', import.meta.url));
  try {
    return JSON.parse(execFileSync(options.python, [script, String(bytes), String(rounds)], {encoding: 'utf8', stdio: 'pipe'}));
  } catch (error) {
    say(
      `without PyTorch: ${String(error.stderr || error.message)
        .trim()
        .split('\n')
        .at(-1)}`,
    );
    return undefined;
  }
}
