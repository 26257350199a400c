/** A model under evaluation: loaded for one request at a time, its speed and memory measured before anything else is loaded. */

import type {Backend} from '../backend/backend.js';
import {OptionError} from '../errors.js';
import {type OpenedModel, openModel} from '../generate/load.js';
import {LanguageModel} from '../generate/model.js';
import type {OnProgress} from '../progress.js';
import {modelFileBytes} from '../weights/model_file_bytes.js';
import type {EvaluatedModel, EvaluationLoadOptions} from './types.js';

const REPLY_TOKENS = 32;

export interface Hooks {
  signal?: AbortSignal | undefined;
  onProgress?: OnProgress | undefined;
}

export class ScoredModel implements AsyncDisposable {
  private constructor(
    private readonly model: LanguageModel,
    /** All that is known before a text is scored. */
    readonly measured: Omit<EvaluatedModel, 'perplexity' | 'perplexityError' | 'crossEntropy'>,
  ) {}

  /** Opens nothing but files: tokenizer and config. Throws as `loadModel` does. */
  static open(source: string, load: EvaluationLoadOptions, {signal}: Hooks): Promise<OpenedModel> {
    return openModel(source, {...load, maxBatch: 1, signal});
  }

  /** Of what `open` gave. Runs the text's first `window` tokens and a reply to them, twice. Throws as `loadModel` does, and OptionError for a window longer than the context. */
  static async load(
    source: string,
    opened: OpenedModel,
    tokens: Uint32Array,
    window: number,
    {signal, onProgress}: Hooks,
  ): Promise<ScoredModel> {
    const before = process.memoryUsage.rss();
    const backend = await opened.loadBackend({signal, onProgress});
    const model = new LanguageModel(backend, opened.tokenizer, opened.config, opened.name);
    try {
      const {maxContext} = model.limits;
      if (window > maxContext) throw new OptionError('window', `at most ${maxContext}, the context of ${source}`, window);
      const speed = await measureSpeed(model, tokens.subarray(0, Math.min(window, maxContext - REPLY_TOKENS)), signal);
      return new ScoredModel(model, {
        source,
        description: model.description,
        diskBytes: await modelFileBytes(opened.modelPath),
        memory: memoryOf(backend),
        rssBytes: process.memoryUsage.rss() - before,
        speed,
      });
    } catch (error) {
      await model.dispose();
      throw error;
    }
  }

  get vocabSize(): number {
    return this.model.vocabSize;
  }

  /** The logits after each token of `input`, [input.length, vocabSize]. */
  score(input: Uint32Array): Promise<Float32Array> {
    return this.model.score(input);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.model.dispose();
  }
}

function memoryOf(backend: Backend): EvaluatedModel['memory'] {
  return backend.memory?.().filter(({bytes}) => bytes > 0) ?? [];
}

/**
 * The second of two runs: the first brings weights into caches. It begins elsewhere in the text, so that it finds none of the
 * first's keys and values.
 */
async function measureSpeed(model: LanguageModel, tokens: Uint32Array, signal: AbortSignal | undefined): Promise<EvaluatedModel['speed']> {
  const run = async (offset: number) => {
    const prompt = Uint32Array.from(tokens, (_, index) => tokens[(index + offset) % tokens.length]!);
    return await model.generateText(prompt, {maxNewTokens: REPLY_TOKENS, temperature: 0, ...(signal && {signal})});
  };
  await run(0);
  const {timings, usage} = await run(1);
  const promptTokens = usage.promptTokens - usage.cachedTokens;
  return {
    promptTokens,
    prompt: (1000 * promptTokens) / timings.prefill,
    ...(timings.perToken > 0 && {reply: 1000 / timings.perToken}),
  };
}
