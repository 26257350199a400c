/** The typed generate API on the real small model, through the built package. */

import {type ChatMessage, type GenerateChunk, type LanguageModel, loadModel, type Progress} from 'tensorrt-node';
import {afterAll, beforeAll, describe, expect, it} from 'vitest';

import {projectFile, runNode} from './helpers/child.js';
import {MODEL_FOLDER} from './helpers/model.js';

const STORY = 'Once upon a time, in a small village by the sea,';
const QUESTION: ChatMessage[] = [{role: 'user', content: 'What is the capital of France?'}];

let model: LanguageModel;

beforeAll(async () => {
  model = await loadModel(MODEL_FOLDER, {maxContext: 512, maxBatch: 3});
});

afterAll(() => model.dispose());

async function chunksOf(chunks: AsyncIterable<GenerateChunk>): Promise<GenerateChunk[]> {
  const all: GenerateChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

describe('generate', () => {
  it('answers a question', async () => {
    const {text, finishReason, tokens, usage} = await model.generateText(QUESTION, {maxNewTokens: 32});
    expect(text).toContain('Paris');
    expect(text).not.toContain('<|im_end|>');
    expect(finishReason).toBe('stop');
    expect(model.tokenizer.decode(tokens)).toBe(text);
    expect(usage.completionTokens).toBe(tokens.length);
    expect(usage.cachedTokens).toBe(0);
  });

  it('streams chunks that join to the whole, the last one saying how it ended', async () => {
    const whole = await model.generateText(STORY, {maxNewTokens: 16});
    const chunks = await chunksOf(model.generate(STORY, {maxNewTokens: 16}));
    expect(chunks.length).toBeGreaterThan(4);
    expect(chunks.map(({text}) => text).join('')).toBe(whole.text);
    expect(chunks.flatMap(({tokens}) => tokens)).toEqual(whole.tokens);
    expect(chunks.slice(0, -1).every(({finish, text}) => finish === undefined && text !== '')).toBe(true);
    expect(chunks.at(-1)!.finish).toMatchObject({finishReason: 'length', usage: {completionTokens: 16}});
  });

  it('takes text, the same tokens, and messages', async () => {
    const tokens = model.tokenizer.encode(STORY);
    const replies = await Promise.all([STORY, tokens, [...tokens]].map((prompt) => model.generateText(prompt, {maxNewTokens: 8})));
    expect(new Set(replies.map(({text}) => text)).size).toBe(1);
    expect(replies[0]!.usage.promptTokens).toBe(tokens.length);
  });

  it('repeats itself with a seed and tells the seed it chose', async () => {
    const options = {maxNewTokens: 12, temperature: 1, topP: 0.95};
    const one = await model.generateText(STORY, options);
    const again = await model.generateText(STORY, {...options, seed: one.seed});
    const other = await model.generateText(STORY, {...options, seed: (one.seed + 1) % 2 ** 32});
    expect(again.tokens).toEqual(one.tokens);
    expect(other.tokens).not.toEqual(one.tokens);
  });

  it('gives the same tokens alone and among others', async () => {
    const options = (seed: number) => ({maxNewTokens: 10, temperature: 0.8, seed});
    const alone = await model.generateText(STORY, options(5));
    const among = await Promise.all([5, 6, 7, 8, 5].map((seed) => model.generateText(STORY, options(seed))));
    expect(among[0]!.tokens).toEqual(alone.tokens);
    expect(among[4]!.tokens).toEqual(alone.tokens);
  });

  it('ends before a stop string, whatever tokens it is cut into', async () => {
    const {text} = await model.generateText(STORY, {maxNewTokens: 24});
    const stop = text.slice(10, 17);
    const cut = await chunksOf(model.generate(STORY, {maxNewTokens: 24, stop: ['never said', stop]}));
    expect(cut.map((chunk) => chunk.text).join('')).toBe(text.slice(0, text.indexOf(stop)));
    expect(cut.at(-1)!.finish).toMatchObject({finishReason: 'stop', stopString: stop});
  });

  it('bans and forces tokens by their bias', async () => {
    const {tokens} = await model.generateText(STORY, {maxNewTokens: 1});
    const banned = await model.generateText(STORY, {maxNewTokens: 1, logitBias: {[tokens[0]!]: -Infinity}});
    expect(banned.tokens).not.toEqual(tokens);
    const forced = await model.generateText(STORY, {maxNewTokens: 2, logitBias: new Map([[260, 1000]])});
    expect(forced.tokens).toEqual([260, 260]);
  });

  it('reports logprobs that agree with the logits of a forced pass', async () => {
    const prompt = model.tokenizer.encode(STORY);
    const {tokens, logprobs} = await model.generateText(prompt, {maxNewTokens: 4, logprobs: 3});
    const logits = await model.score([...prompt, ...tokens]);
    for (const [index, {token, logprob, top}] of logprobs!.entries()) {
      const start = (prompt.length - 1 + index) * model.vocabSize;
      const row = logits.subarray(start, start + model.vocabSize);
      const max = row.reduce((a, b) => Math.max(a, b));
      const logTotal = max + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
      expect(token).toBe(tokens[index]);
      expect(logprob).toBeCloseTo(row[token]! - logTotal, 3);
      expect(top).toHaveLength(3);
      // Greedy: the token chosen is the most likely one.
      expect(top[0]).toEqual({token, logprob});
    }
  });

  it('runs a prompt longer than one prefill chunk as it runs a short one', async () => {
    const prompt = model.tokenizer.encode(STORY.repeat(20)).subarray(0, 200);
    const logits = await model.score(prompt);
    const last = logits.subarray(-model.vocabSize);
    const {tokens} = await model.generateText(prompt, {maxNewTokens: 1});
    expect(last.indexOf(last.reduce((a, b) => Math.max(a, b)))).toBe(tokens[0]);
  });

  it('measures its phases', async () => {
    const {timings} = await model.generateText(STORY, {maxNewTokens: 4});
    const {queue, prefill, firstToken, decode, perToken, total} = timings;
    expect(Math.min(queue, prefill, firstToken, decode, perToken)).toBeGreaterThan(0);
    expect(perToken).toBeCloseTo(decode / 3, 6);
    expect(firstToken).toBeGreaterThanOrEqual(prefill);
    expect(total).toBeGreaterThan(firstToken);
  });
});

describe('abort', () => {
  it('before it began: nothing runs', async () => {
    const chunks = model.generate(STORY, {signal: AbortSignal.abort('why not')});
    await expect(chunks.next()).rejects.toMatchObject({name: 'AbortError', code: 'ERR_ABORTED', cause: 'why not'});
  });

  it('in the middle: the iteration throws, and the model goes on answering', async () => {
    const controller = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const {text} of model.generate(STORY, {signal: controller.signal})) {
        seen.push(text);
        if (seen.length === 3) controller.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({code: 'ERR_ABORTED'});
    expect(seen.length).toBe(3);
    expect((await model.generateText(QUESTION, {maxNewTokens: 32})).text).toContain('Paris');
  });

  it('leaving the loop frees the place for those that wait', async () => {
    const leave = async () => {
      for await (const _ of model.generate(STORY)) break;
    };
    await Promise.all(Array.from({length: 7}, leave));
    expect((await model.generateText(STORY, {maxNewTokens: 2})).tokens).toHaveLength(2);
  });
});

describe('bad input', () => {
  it.each([
    ['maxNewTokens', {maxNewTokens: 0}, 'maxNewTokens must be an integer of at least 1, got 0'],
    ['temperature', {temperature: -1}, 'temperature must be a number from 0 to 100, got -1'],
    ['topK', {topK: 1.5}, 'topK must be an integer of at least 0, got 1.5'],
    ['topP', {topP: 0}, 'topP must be a number above 0 and up to 1, got 0'],
    ['minP', {minP: 2}, 'minP must be a number from 0 to 1, got 2'],
    ['seed', {seed: -3}, 'seed must be an integer from 0 to 4294967295, got -3'],
    ['stop', {stop: ['']}, 'stop[0] must be'],
    ['logprobs', {logprobs: 101}, 'logprobs must be an integer from 0 to 100, got 101'],
    ['logitBias', {logitBias: {999999: 1}}, 'logitBias key must be an integer from 0 to 49151, got 999999'],
    ['signal', {signal: {} as AbortSignal}, 'signal must be an AbortSignal, got {}'],
  ])('%s', (_, options, message) => {
    expect(() => model.generate(STORY, options)).toThrow(
      expect.objectContaining({code: 'ERR_OPTION', message: expect.stringContaining(message)}),
    );
  });

  it.each([
    ['no prompt', [], 'prompt must be text, a list of messages, or a list of tokens'],
    ['an unknown token', [1, 60000], 'prompt[1] must be a token from 0 to 49151, got 60000'],
    [
      'an unknown role',
      [{role: 'robot', content: 'x'}],
      "messages[0].role must be 'system' or 'user' or 'assistant' or 'tool', got 'robot'",
    ],
  ])('%s', (_, prompt, message) => {
    expect(() => model.generate(prompt as never)).toThrow(
      expect.objectContaining({code: 'ERR_OPTION', message: expect.stringContaining(message)}),
    );
  });

  it('a prompt longer than the context', async () => {
    const prompt = new Uint32Array(513).fill(5);
    expect(() => model.generate(prompt)).toThrow(expect.objectContaining({code: 'ERR_CONTEXT_LENGTH'}));
    // One that just fits still gets a token.
    expect(await model.generateText(prompt.subarray(1))).toMatchObject({finishReason: 'length', usage: {completionTokens: 1}});
  });
});

describe('sessions', () => {
  it('keep the past: a turn runs only what is new', async () => {
    await using session = model.createSession();
    const first = await session.generateText(QUESTION, {maxNewTokens: 32});
    const second = await session.generateText([{role: 'user', content: 'And of Spain?'}], {maxNewTokens: 24});
    expect(second.text).toContain('Madrid');
    expect(second.usage.cachedTokens).toBeGreaterThanOrEqual(first.usage.promptTokens + first.usage.completionTokens - 1);
    expect(session.messages.map(({role}) => role)).toEqual(['user', 'assistant', 'user', 'assistant']);

    const anew = await model.generateText([...session.messages.slice(0, 3)], {maxNewTokens: 24});
    expect(anew.text).toBe(second.text);
  });

  it('append text to text', async () => {
    await using session = model.createSession();
    const {text} = await session.generateText(STORY, {maxNewTokens: 6});
    const more = await session.generateText(' and then', {maxNewTokens: 6});
    expect(model.tokenizer.decode(session.tokens)).toBe(`${STORY}${text} and then${more.text}`);
    expect(more.usage.cachedTokens).toBe(more.usage.promptTokens - model.tokenizer.encode(' and then').length - 1);
  });

  it('fork to two futures of one past', async () => {
    await using session = model.createSession();
    await session.generateText(STORY, {maxNewTokens: 8});
    await using fork = session.fork();
    const [one, two] = await Promise.all([
      session.generateText(' The king', {maxNewTokens: 6}),
      fork.generateText(' The king', {maxNewTokens: 6}),
    ]);
    expect(two.tokens).toEqual(one.tokens);
    expect(two.usage.cachedTokens).toBe(one.usage.cachedTokens);
    expect(one.usage.cachedTokens).toBeGreaterThan(0);
  });

  it('rewind and go on as if nothing had been', async () => {
    await using session = model.createSession();
    await session.generateText(STORY, {maxNewTokens: 4});
    const {position} = session;
    const one = await session.generateText(' The king', {maxNewTokens: 6});
    session.rewind(position);
    await session.generateText(' Nobody', {maxNewTokens: 3});
    session.rewind(position);
    const again = await session.generateText(' The king', {maxNewTokens: 6});
    expect(again.tokens).toEqual(one.tokens);
    expect(() => session.rewind({tokens: 9999, messages: 0})).toThrow('position.tokens must be an integer from 0 to');
  });

  it('keep a reply that was broken off', async () => {
    await using session = model.createSession();
    for await (const chunk of session.generate(QUESTION)) {
      if (chunk.text !== '') break;
    }
    expect(session.messages).toHaveLength(2);
    expect(session.messages[1]!.content).not.toBe('');
    expect((await session.generateText([{role: 'user', content: 'Go on.'}], {maxNewTokens: 4})).tokens).toHaveLength(4);
  });

  it('refuse two replies at once, and anything once disposed', async () => {
    const session = model.createSession();
    const reply = session.generate(STORY);
    await reply.next();
    expect(() => session.generate(STORY)).toThrow(expect.objectContaining({code: 'ERR_BUSY'}));
    expect(() => session.fork()).toThrow(expect.objectContaining({code: 'ERR_BUSY'}));
    await reply.return();
    await session.dispose();
    await session.dispose();
    expect(() => session.generate(STORY)).toThrow(expect.objectContaining({code: 'ERR_DISPOSED'}));
  });
});

describe('loadModel', () => {
  it.each([
    ['a folder that is not there', '/nowhere/at/all', {}, {code: 'ERR_NOT_FOUND'}],
    ['no path', '', {}, {code: 'ERR_OPTION'}],
    ['a name that is none', MODEL_FOLDER, {name: ''}, {code: 'ERR_OPTION', option: 'name'}],
    ['an unknown backend', MODEL_FOLDER, {backend: 'gpu' as never}, {code: 'ERR_OPTION', message: expect.stringContaining("got 'gpu'")}],
    ['more context than trained for', MODEL_FOLDER, {maxContext: 10_000_000}, {code: 'ERR_OPTION'}],
    ['options that are none', MODEL_FOLDER, null as never, {code: 'ERR_OPTION', message: 'options must be an object, got null'}],
    ['a signal that is none', MODEL_FOLDER, {signal: {} as never}, {code: 'ERR_OPTION', message: 'signal must be an AbortSignal, got {}'}],
    ['progress to nowhere', MODEL_FOLDER, {onProgress: 5 as never}, {code: 'ERR_OPTION', message: 'onProgress must be a function, got 5'}],
    ['an accuracy level there is not', MODEL_FOLDER, {accuracyLevel: 2 as never}, {code: 'ERR_OPTION'}],
  ])('refuses %s', async (_, source, options, error) => {
    await expect(loadModel(source, options)).rejects.toMatchObject(error);
  });

  it('ends at once when aborted, before and while it loads', async () => {
    await expect(loadModel(MODEL_FOLDER, {signal: AbortSignal.abort()})).rejects.toMatchObject({code: 'ERR_ABORTED'});
    const controller = new AbortController();
    // Once the thread that reads the weights has been started, which takes longer than a turn of the event loop.
    const onProgress = ({detail}: Progress) => void (detail === 'weights' && setImmediate(() => controller.abort()));
    await expect(loadModel(MODEL_FOLDER, {signal: controller.signal, onProgress})).rejects.toMatchObject({code: 'ERR_ABORTED'});
  });

  it('disposing ends what is under way', async () => {
    const doomed = await loadModel(MODEL_FOLDER, {maxContext: 256});
    const session = doomed.createSession();
    const waiting = [doomed.generateText(STORY), session.generateText(STORY), doomed.score([1, 2, 3])];
    const ends = Promise.allSettled(waiting);
    await doomed.dispose();
    await doomed.dispose();
    for (const end of await ends) expect(end).toMatchObject({status: 'rejected', reason: {code: 'ERR_DISPOSED'}});
    await expect(doomed.generateText(STORY)).rejects.toMatchObject({code: 'ERR_DISPOSED'});
    await session.dispose();
  });

  it('rounds activations when asked to, and stays close', async () => {
    await using rounded = await loadModel(MODEL_FOLDER, {accuracyLevel: 4});
    expect(rounded.description).toContain('8 bits');
    const tokens = model.tokenizer.encode(
      'The first steam engines pumped water out of mines, and later they drove mills, ships and trains.',
    );
    const [exact, close] = await Promise.all([model.score(tokens), rounded.score(tokens)]);
    const differences = exact.map((logit, index) => Math.abs(logit - close[index]!));
    const mean = differences.reduce((sum, difference) => sum + difference, 0) / differences.length;
    // Logits spread over about 20; rounding moves them by hundredths.
    expect(mean).toBeGreaterThan(0.001);
    expect(mean).toBeLessThan(0.5);
  });
});

describe('a model nobody gets', () => {
  it('is freed: progress threw when it was loaded', async () => {
    const child = await runNode([
      '--input-type=module',
      '--eval',
      `import {loadModel} from ${JSON.stringify(projectFile('dist/index.js'))};
       // Each loaded model has this thread's exit wait for it.
       const waiting = () => process.listenerCount('exit');
       let loaded;
       const onProgress = ({done}) => {
         loaded = waiting();
         if (done === 2) throw new Error('not interested');
       };
       const {message} = await loadModel(${JSON.stringify(MODEL_FOLDER)}, {threads: 1, onProgress}).catch((error) => error);
       console.log(message, waiting() - loaded);`,
    ]);
    expect(child).toMatchObject({status: 0, stdout: 'not interested -1\n'});
  });
});

describe('a process that ends', () => {
  const program = (body: string) => `
    import {loadModel} from ${JSON.stringify(projectFile('dist/index.js'))};
    const loading = loadModel(${JSON.stringify(MODEL_FOLDER)}, {threads: 1});
    ${body}`;
  const GENERATE = 'const model = await loading; const chunks = model.generate("Hello"); await chunks.next();';

  it.each([
    ['in the middle of a reply', `${GENERATE} process.exit(5);`, 5],
    ['by an error in the middle of a reply', `${GENERATE} throw new Error('thrown by the user');`, 1],
    ['while it loads', 'setTimeout(() => process.exit(5), 200); await loading; await new Promise(() => {});', 5],
    ['with an idle model, by itself', 'await loading;', 0],
  ])('%s ends with its own status', async (_, body, status) => {
    const child = await runNode(['--input-type=module', '--eval', program(body)]);
    expect(child).toMatchObject({status, stdout: ''});
    expect(child.stderr).not.toContain('terminate called');
  });
});
