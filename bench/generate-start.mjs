/**
 * How long does a service wait for its first token? From the start of its process, with plans in the cache and weights in
 * the page cache; and for the plans, when there are none.
 *
 *   node bench/generate-start.mjs --shape 135m|8b [--folder DIR] [--rounds 3] [--cache DIR] [--save]
 *
 * Needs a GPU. Everything runs in processes of its own, on an empty engine cache that the first one fills, or on the one
 * in DIR, which stays; plans that are there are not timed. The model is made if it is not there. The first start does not count: it reads the weights into the page cache.
 */

import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {modelsFolder} from './engines/places.mjs';
import {ensureShape} from './generate/shapes.mjs';
import {machine} from './lib/machine.mjs';
import {median, Results, say} from './lib/results.mjs';

const {values: options} = parseArgs({
  options: {
    shape: {type: 'string', default: '135m'},
    folder: {type: 'string'},
    rounds: {type: 'string', default: '3'},
    cache: {type: 'string'},
    save: {type: 'boolean'},
  },
});
const {shape} = options;
const program = fileURLToPath(new URL('generate/first_token.mjs', import.meta.url));

const results = new Results('generate.jsonl', await machine());
const folder = await ensureShape(shape, options.folder ?? path.join(modelsFolder, shape));
const cache = options.cache ?? mkdtempSync(path.join(tmpdir(), 'generate-start-'));
try {
  const plans = await startOnce('--plans-only');
  if (plans.built) {
    record(`7.${shape}_build_s`, plans.ms / 1000, {note: 'from the call of loadModel, with an empty engine cache, until weights are read'});
  } else if (options.cache === undefined) {
    throw new Error('no plan was built');
  }

  const starts = [];
  for (let round = -1; round < Number(options.rounds); round++) {
    const start = await startOnce();
    if (start.built) throw new Error('plans were built that should be in the cache');
    say(`started in ${start.seconds.toFixed(2)} s, of these ${(start.ms / 1000).toFixed(2)} s from the call of loadModel`);
    if (round >= 0) starts.push(start);
  }
  record(`7.${shape}_start_s`, median(starts.map(({seconds}) => seconds)), {
    rounds: starts.map(({seconds}) => Number(seconds.toFixed(3))),
    from_load_s: median(starts.map(({ms}) => ms)) / 1000,
  });
} finally {
  if (options.cache === undefined) rmSync(cache, {recursive: true, force: true});
}

/** What the program told, and seconds from its start until it told that. */
async function startOnce(...more) {
  const start = performance.now();
  const child = spawn(process.execPath, [program, folder, ...more], {
    env: {...process.env, TENSORRT_NODE_CACHE: cache},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}`))));
  });
  let told;
  for await (const line of createInterface({input: child.stdout})) {
    told ??= {...JSON.parse(line), seconds: (performance.now() - start) / 1000};
  }
  await ended;
  if (told === undefined) throw new Error(`${program} said nothing`);
  return told;
}

function record(claim, value, more) {
  say(`${claim}: ${value.toFixed(2)} s`);
  results.record({claim: `generate.${claim}`, value, unit: 's', shape, ...more});
}
