/** `evaluateModel`: what a format or a setting costs, in perplexity and in distance from the original. */

import {setImmediate} from 'node:timers/promises';

import {OptionError, TensorrtNodeError, throwIfAborted, UnsupportedError} from '../errors.js';
import type {OpenedModel} from '../generate/load.js';
import type {TextTokenizer} from '../tokenizer/tokenizer.js';
import {comparisonOf, perplexityOf} from './figures.js';
import {LogitsReader, logitsKey, writeLogits} from './logits_file.js';
import {checkEvaluateOptions} from './options.js';
import {compareRows, negativeLogLikelihood, type RowComparison} from './row_statistics.js';
import {type Hooks, ScoredModel} from './scored_model.js';
import type {EvaluatedModel, EvaluateOptions, Evaluation} from './types.js';
import {type Window, windowsOf} from './windows.js';

const DEFAULT_WINDOW = 512;
/** Rows between two turns of the event loop: some 50 ms. */
const ROWS_A_TURN = 32;

/** The original's logits, window after window, from the model or from a file. */
interface Original extends AsyncDisposable {
  readonly vocabSize: number;
  /** Logits of a window's scored rows. */
  next(window: Window): Promise<Float32Array>;
  /** Once all windows have been scored; their negative log-likelihoods given. */
  evaluated(negativeLogLikelihoods: readonly number[]): EvaluatedModel;
}

/**
 * Perplexity of a text, teacher-forced in windows, with memory and speed; with `against`, the same of the original, and the
 * model's distance from it in each position: KL divergence of its distribution of the next token from the original's, and
 * whether both would choose the same token. The text is cut as Hugging Face's guide to perplexity does it ("Perplexity of
 * fixed-length models"), by default into disjoint windows as lm-evaluation-harness does; each token after the first counts
 * once. `llama-perplexity` counts the second half of each window alone, so its figures are lower.
 *
 * Rejects with OptionError; what `loadModel` throws; UnsupportedError for models of different vocabularies; TensorrtNodeError
 * ERR_BACKEND for logits that are not numbers; AbortError, which is heard of between two windows.
 */
export async function evaluateModel(source: string, options: EvaluateOptions = {}): Promise<Evaluation> {
  const {against, text, maxTokens, load, againstLoad, logits, ...checked} = checkEvaluateOptions(source, options);
  const {signal, onProgress} = checked;
  const hooks: Hooks = {signal, onProgress};
  throwIfAborted(signal);

  const opened = await ScoredModel.open(source, load, hooks);
  const openedOriginal = against === undefined ? undefined : await ScoredModel.open(against, againstLoad, hooks);
  const tokens = encoded(opened.tokenizer, text, maxTokens);
  if (openedOriginal !== undefined) checkTokenizers(opened, openedOriginal, text, tokens, maxTokens);

  const {window = Math.min(DEFAULT_WINDOW, contextOf(opened), openedOriginal === undefined ? Infinity : contextOf(openedOriginal))} =
    checked;
  const {stride = window} = checked;
  if (stride > window) throw new OptionError('stride', `at most ${window}, the window`, stride);
  const bos = tokens[0] === opened.tokenizer.bos?.id ? tokens[0] : undefined;
  const windows = windowsOf(tokens, {window, stride, bos});
  const scored = tokens.length - 1;

  const common = {tokens: {text: tokens.length, scored}, window, stride};
  const progressOf = (phase: string) => {
    let done = 0;
    return ({targets, firstScored}: Window): void => {
      done += targets.length - firstScored;
      onProgress?.({phase, done, total: scored, unit: 'tokens'});
    };
  };

  if (against === undefined || openedOriginal === undefined) {
    await using model = await ScoredModel.load(source, opened, tokens, window, hooks);
    const losses: number[] = [];
    const progress = progressOf('evaluate');
    for (const each of windows) {
      await eachRow(await scoredRows(model, each, signal), each, model.vocabSize, signal, (row, target) => {
        losses.push(numeric(negativeLogLikelihood(row, target), source));
      });
      progress(each);
    }
    return {...common, model: {...model.measured, ...perplexityOf(losses)}};
  }

  const loadOriginal = () => ScoredModel.load(against, openedOriginal, tokens, window, hooks);
  await using original =
    logits === undefined
      ? fromModel(await loadOriginal(), signal)
      : await fromFile(logits, {
          key: await logitsKey({source: against, modelPath: openedOriginal.modelPath, load: againstLoad, tokens, window, stride}),
          loadOriginal,
          windows,
          signal,
          progress: progressOf('original'),
        });
  await using model = await ScoredModel.load(source, opened, tokens, window, hooks);
  checkVocabularies(source, model.vocabSize, against, original.vocabSize);

  const rows: RowComparison[] = [];
  const progress = progressOf('evaluate');
  const {vocabSize} = model;
  for (const each of windows) {
    const expected = await original.next(each);
    const found = await scoredRows(model, each, signal);
    await eachRow(found, each, vocabSize, signal, (row, target, index) => {
      const compared = compareRows(expected.subarray(index * vocabSize, (index + 1) * vocabSize), row, target);
      numeric(compared.reference, against);
      numeric(compared.other, source);
      rows.push(compared);
    });
    progress(each);
  }
  return {
    ...common,
    model: {...model.measured, ...perplexityOf(rows.map(({other}) => other))},
    against: original.evaluated(rows.map(({reference}) => reference)),
    comparison: comparisonOf(rows),
  };
}

function fromModel(model: ScoredModel, signal: AbortSignal | undefined): Original {
  return {
    vocabSize: model.vocabSize,
    next: (window) => scoredRows(model, window, signal),
    evaluated: (losses) => ({...model.measured, ...perplexityOf(losses)}),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

interface FileOptions {
  key: string;
  loadOriginal(): Promise<ScoredModel>;
  windows: readonly Window[];
  signal: AbortSignal | undefined;
  progress(window: Window): void;
}

async function fromFile(path: string, {key, loadOriginal, windows, signal, progress}: FileOptions): Promise<Original> {
  let reader = await LogitsReader.open(path, key);
  if (reader === undefined) {
    await using model = await loadOriginal();
    const {vocabSize} = model;
    await writeLogits(path, {key, vocabSize}, async (append) => {
      const losses: number[] = [];
      for (const each of windows) {
        const rows = await scoredRows(model, each, signal);
        await append(rows);
        await eachRow(rows, each, vocabSize, signal, (row, target) => losses.push(negativeLogLikelihood(row, target)));
        progress(each);
      }
      return {...model.measured, ...perplexityOf(losses)};
    });
    reader = await LogitsReader.open(path, key);
  }
  if (reader === undefined) throw new OptionError('logits', 'a file that nobody else writes', path);
  const file = reader;
  return {
    vocabSize: file.vocabSize,
    next: ({targets, firstScored}) => file.read(targets.length - firstScored),
    evaluated: () => file.model,
    [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
  };
}

async function scoredRows(model: ScoredModel, {input, firstScored}: Window, signal: AbortSignal | undefined): Promise<Float32Array> {
  throwIfAborted(signal);
  return (await model.score(input)).subarray(firstScored * model.vocabSize);
}

/** Calls for each scored row of a window, letting others have a turn now and then. */
async function eachRow(
  rows: Float32Array,
  {targets, firstScored}: Window,
  vocabSize: number,
  signal: AbortSignal | undefined,
  take: (row: Float32Array, target: number, index: number) => void,
): Promise<void> {
  for (let index = 0; index < targets.length - firstScored; index++) {
    if (index % ROWS_A_TURN === 0) {
      await setImmediate();
      throwIfAborted(signal);
    }
    take(rows.subarray(index * vocabSize, (index + 1) * vocabSize), targets[firstScored + index]!, index);
  }
}

function encoded(tokenizer: TextTokenizer, text: string, maxTokens: number | undefined): Uint32Array {
  const tokens = tokenizer.encode(text).subarray(0, maxTokens);
  if (tokens.length < 2) throw new OptionError('text', 'at least two tokens long', text);
  return tokens;
}

function contextOf({config}: OpenedModel): number {
  return config.maxPositionEmbeddings ?? Infinity;
}

/** Compared by what they make of this text: files of tokenizers differ in ways that mean nothing. */
function checkTokenizers(
  model: OpenedModel,
  original: OpenedModel,
  text: string,
  tokens: Uint32Array,
  maxTokens: number | undefined,
): void {
  const others = encoded(original.tokenizer, text, maxTokens);
  if (tokens.length === others.length && tokens.every((token, index) => token === others[index])) return;
  throw new UnsupportedError(
    `${model.modelPath} and ${original.modelPath} have different vocabularies: the text becomes other tokens`,
    'compare models of one tokenizer',
  );
}

function checkVocabularies(source: string, vocabSize: number, against: string, originalSize: number): void {
  if (vocabSize === originalSize) return;
  throw new UnsupportedError(
    `${source} and ${against} have different vocabularies: of ${vocabSize} and ${originalSize} tokens`,
    'compare models of one tokenizer',
  );
}

/** Infinite is the loss of a token that a model rules out; what is no number comes from logits that are none. */
function numeric(loss: number, source: string): number {
  if (Number.isNaN(loss)) throw new TensorrtNodeError('ERR_BACKEND', `${source} gave logits that are not numbers`);
  return loss;
}
