// On a real GPU: language models say what they say on the CPU, whatever else runs, and give back what they hold.
// TENSORRT_NODE_TEST_BACKEND=cpu runs what is not about TensorRT on the CPU.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {after, before, describe, test} from 'node:test';

import {openModel} from '../../bench/generate/open_model.mjs';
import {checkOptions} from '../../dist/generate/options.js';
import {loadModel} from '../../dist/index.js';
import {Device} from '../../dist/native/device.js';
import {backend, smollm2, tinyModel} from './generate/fixture.mjs';

const replies = JSON.parse(readFileSync(new URL('generate/replies.json', import.meta.url), 'utf8'));
const onTensorrt = backend === 'tensorrt' ? false : 'about TensorRT';
const LIMITS = {maxContext: 512, maxBatch: 4};
const GREEDY = {temperature: 0};
const prompt = (length, seed = 1) => Uint32Array.from({length}, (_, at) => (at * 7 * seed + seed) % 256);

let model;
/** On TensorRT, with its backend. */
let opened;
/** What the scheduler holds. */
const stats = () => opened.decoder.stats();
before(async () => {
  const folder = await tinyModel();
  if (backend === 'tensorrt') {
    opened = await openModel(folder, LIMITS);
    model = opened.model;
  } else {
    model = await loadModel(folder, {...LIMITS, backend});
  }
});
after(() => model?.dispose());

async function answersAsStored(tested, stored) {
  const ask = ({prompt: tokens}) => tested.generateText(Uint32Array.from(tokens), {...GREEDY, maxNewTokens: 32});
  const alone = [];
  for (const each of stored) alone.push(await ask(each));
  const together = await Promise.all(stored.map(ask));
  for (const [index, {tokens, text}] of stored.entries()) {
    assert.deepEqual(alone[index].tokens, tokens, `prompt ${index} alone: ${alone[index].text}\ninstead of: ${text}`);
    assert.deepEqual(together[index].tokens, tokens, `prompt ${index} among others: ${together[index].text}\ninstead of: ${text}`);
  }
}

describe('greedy', () => {
  test('a small model says what it says in fp32 on the CPU', () => answersAsStored(model, replies.tiny));

  test('SmolLM2, too', {skip: smollm2 === undefined && 'needs npm run model'}, async (t) => {
    if (process.env.TENSORRT_NODE_TEST_SLOW !== undefined) return t.skip('minutes on a simulated GPU');
    const real = await loadModel(smollm2, {...LIMITS, backend, maxBatch: 8});
    try {
      await answersAsStored(real, replies.smollm2);
    } finally {
      await real.dispose();
    }
  });

  test('streams chunks that join to the whole, the last one saying how it ended', async () => {
    const whole = await model.generateText(prompt(9), {...GREEDY, maxNewTokens: 24});
    const chunks = [];
    for await (const chunk of model.generate(prompt(9), {...GREEDY, maxNewTokens: 24})) chunks.push(chunk);
    assert.equal(chunks.map(({text}) => text).join(''), whole.text);
    assert.deepEqual(
      chunks.flatMap(({tokens}) => tokens),
      whole.tokens,
    );
    assert(chunks.slice(0, -1).every(({finish}) => finish === undefined));
    assert.equal(chunks.at(-1).finish.usage.completionTokens, whole.tokens.length);
  });
});

describe('sampling', () => {
  test('repeats itself with a seed, alone and among others', async () => {
    const options = (seed) => ({maxNewTokens: 16, temperature: 1, topP: 0.95, seed});
    const alone = await model.generateText(prompt(20), options(5));
    const among = await Promise.all([5, 6, 5].map((seed) => model.generateText(prompt(20), options(seed))));
    assert.deepEqual(among[0].tokens, alone.tokens);
    assert.deepEqual(among[2].tokens, alone.tokens);
    assert.notDeepEqual(among[1].tokens, alone.tokens);
  });

  test('bans and forces tokens by their bias', async () => {
    const {tokens} = await model.generateText(prompt(5), {...GREEDY, maxNewTokens: 1});
    const banned = await model.generateText(prompt(5), {...GREEDY, maxNewTokens: 1, logitBias: {[tokens[0]]: -Infinity}});
    assert.notDeepEqual(banned.tokens, tokens);
    const forced = await model.generateText(prompt(5), {...GREEDY, maxNewTokens: 2, logitBias: {77: 1000}});
    assert.deepEqual(forced.tokens, [77, 77]);
  });

  test('reports logprobs that agree with the logits of a forced pass', async () => {
    const tokens = prompt(40);
    const reply = await model.generateText(tokens, {...GREEDY, maxNewTokens: 4, logprobs: 3});
    const logits = await model.score([...tokens, ...reply.tokens]);
    for (const [index, {token, logprob, top}] of reply.logprobs.entries()) {
      const row = logits.subarray((tokens.length - 1 + index) * model.vocabSize).subarray(0, model.vocabSize);
      const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      assert.equal(token, reply.tokens[index]);
      assert(Math.abs(logprob - (row[token] - total)) < 0.02, `${logprob} beside ${row[token] - total}`);
      assert.equal(top.length, 3);
      assert.deepEqual(top[0], {token, logprob});
    }
  });

  test('ends before a stop string', async () => {
    const {text} = await model.generateText(prompt(9), {...GREEDY, maxNewTokens: 48, logitBias: letters()});
    const stop = text.slice(6, 9);
    const cut = await model.generateText(prompt(9), {...GREEDY, maxNewTokens: 48, logitBias: letters(), stop: ['never said', stop]});
    assert.equal(cut.text, text.slice(0, text.indexOf(stop)));
    assert.equal(cut.finishReason, 'stop');
    assert.equal(cut.stopString, stop);
  });
});

describe('an abort', () => {
  test('frees its slot within two steps', {skip: onTensorrt}, async () => {
    let stepsThen;
    const ended = new Promise((resolve, reject) => {
      const request = {tokens: prompt(9), maxNewTokens: 400, stopTokens: new Set(), sampling: greedySampling()};
      const handle = opened.backend.submit(request, {
        tokens: ({length}) => {
          handle.consumed(length);
          if (stepsThen !== undefined) return;
          stepsThen = stats().decodeSteps;
          handle.abort();
        },
        finished: resolve,
        failed: reject,
      });
    });
    assert.equal(await ended, 'aborted');
    assert.equal(stats().slotsInUse + stats().pagesInUse, 0);
    // And one that is queued between the two calls.
    assert(stats().decodeSteps - stepsThen <= 3, `${stats().decodeSteps - stepsThen} steps more`);
  });

  test('lets those go on that wait', async () => {
    const leave = async () => {
      for await (const _ of model.generate(prompt(3), {...GREEDY, logitBias: noEnd()})) break;
    };
    await Promise.all(Array.from({length: 3 * LIMITS.maxBatch}, leave));
    assert.equal((await model.generateText(prompt(3), {...GREEDY, maxNewTokens: 2, logitBias: noEnd()})).tokens.length, 2);
  });
});

describe('sessions', () => {
  test('run only what is new, fork and rewind', async () => {
    const session = model.createSession();
    const turn = {...GREEDY, maxNewTokens: 8, logitBias: noEnd()};
    const first = await session.generateText(prompt(70), turn);
    const {position} = session;
    const fork = session.fork();
    const second = await session.generateText(prompt(6, 3), turn);
    assert(second.usage.cachedTokens >= 64, `${second.usage.cachedTokens} of ${second.usage.promptTokens} tokens were in the cache`);
    const whole = Uint32Array.of(...prompt(70), ...first.tokens, ...prompt(6, 3));
    assert.deepEqual(second.tokens, (await model.generateText(whole, turn)).tokens);
    assert.deepEqual((await fork.generateText(prompt(6, 3), turn)).tokens, second.tokens);
    session.rewind(position);
    await session.generateText(prompt(2, 5), turn);
    session.rewind(position);
    assert.deepEqual((await session.generateText(prompt(6, 3), turn)).tokens, second.tokens);
    await fork.dispose();
    await session.dispose();
    await assert.rejects(session.generateText(prompt(1), turn), {code: 'ERR_DISPOSED'});
  });
});

describe('layers', {skip: onTensorrt}, () => {
  for (const step of [
    {step: 'decode', rows: 1, context: 200},
    {step: 'decode', rows: 3},
    {step: 'prefill', rows: 128},
  ]) {
    test(`of ${JSON.stringify(step)} have times that add up, and nothing of requests is lost`, async (t) => {
      const before = (await model.generateText(prompt(9), {...GREEDY, maxNewTokens: 12})).tokens;
      const {layers, totalMicroseconds, runMicroseconds, runs, rows} = await model.profileLayers(step);
      t.diagnostic(`${rows} rows: a step ${runMicroseconds} us, its layers ${totalMicroseconds / runs} us`);
      for (const layer of layers) t.diagnostic(JSON.stringify(layer));
      for (const {name, type, totalMicroseconds: time} of layers) assert(type === 'NoOp' || (time > 0 && type !== undefined), name);
      // Prologue, blocks and epilogue.
      assert.equal(new Set(layers.map(({part}) => part)).size, 3);
      assert(layers.some(({count}) => count > 1));
      const working = layers.filter(({type}) => type !== 'NoOp' && type !== 'shape_call');
      const named = working.filter(({nodes}) => nodes.length > 0);
      assert(named.length >= 0.9 * working.length, `${named.length} of ${working.length} layers have nodes`);
      // Events between layers keep kernels apart that overlap in a graph.
      assert(totalMicroseconds / runs > 0.5 * runMicroseconds, 'layers take less than half of the step');
      assert.deepEqual((await model.generateText(prompt(9), {...GREEDY, maxNewTokens: 12})).tokens, before);
      assert.equal(stats().slotsInUse + stats().pagesInUse, 0);
    });
  }

  test('are timed while nothing runs', async () => {
    const running = model.generate(prompt(9), {...GREEDY, maxNewTokens: 200, logitBias: noEnd()});
    await running.next();
    await assert.rejects(model.profileLayers(), {code: 'ERR_BUSY'});
    await running.return();
  });
});

describe('what cannot be had is refused', {skip: onTensorrt}, () => {
  test('more requests than may wait', async () => {
    const controller = new AbortController();
    const ends = Array.from({length: 1200}, () =>
      model.generateText(prompt(3), {...GREEDY, maxNewTokens: 400, logitBias: noEnd(), signal: controller.signal}).then(
        () => 'done',
        ({code}) => code,
      ),
    );
    const first = await Promise.race(ends);
    controller.abort();
    assert.equal(first, 'ERR_BUSY');
    assert.deepEqual([...new Set(await Promise.all(ends))].sort(), ['ERR_ABORTED', 'ERR_BUSY']);
    await until(() => stats().slotsInUse + stats().waiting === 0);
    assert.equal((await model.generateText(prompt(3), {...GREEDY, maxNewTokens: 2, logitBias: noEnd()})).tokens.length, 2);
  });

  test('a cache that does not fit, and it fits again when there is room', async () => {
    const positions = 131072;
    const folder = await tinyModel(positions);
    const device = Device.open(0);
    const stream = device.createStream('hoard');
    // A sequence of this model takes 128 MiB. The pool takes powers of two as they are.
    const hoard = [];
    try {
      for (let free = device.memory().freeBytes; free > 2 ** 27; free = device.memory().freeBytes) {
        hoard.push(device.allocate(2 ** Math.floor(Math.log2(free - 2 ** 25)), stream));
      }
      await assert.rejects(loadModel(folder, {backend, maxContext: positions, maxBatch: 1}), {
        code: 'ERR_DOES_NOT_FIT',
        memory: 'gpu',
      });
    } finally {
      for (const memory of hoard) memory.dispose();
    }
    const small = await loadModel(folder, {backend, maxContext: 256, maxBatch: 1});
    assert.equal((await small.generateText(prompt(3), {...GREEDY, maxNewTokens: 2, logitBias: noEnd()})).tokens.length, 2);
    await small.dispose();
  });
});

async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

function greedySampling() {
  return checkOptions(GREEDY, model.vocabSize).sampling;
}

/** No token that ends a reply. */
function noEnd() {
  return new Map([[model.tokenizer.eos.id, -Infinity]]);
}

/** Lower-case letters alone, so that text is text. */
function letters() {
  const bias = new Map(Array.from({length: model.vocabSize}, (_, token) => [token, -Infinity]));
  for (const letter of 'abcdefghijklmnopqrstuvwxyz') bias.delete(model.tokenizer.encode(letter, {addSpecialTokens: false}).at(-1));
  return bias;
}
