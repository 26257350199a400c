/** Checks what `evaluateModel` was given and fills in what needs no model. */

import {OptionError} from '../errors.js';
import {checkLoadOptions} from '../generate/load.js';
import {abortSignal, callback, integer, noOthers, object} from '../options.js';
import {SAMPLE_TEXT} from './sample_text.js';
import type {EvaluateOptions, EvaluationLoadOptions} from './types.js';

export type CheckedEvaluateOptions = EvaluateOptions & Required<Pick<EvaluateOptions, 'text' | 'load' | 'againstLoad'>>;

const NAMES = ['against', 'text', 'maxTokens', 'window', 'stride', 'load', 'againstLoad', 'logits', 'signal', 'onProgress'];
/** Of loadModel's options, those that the evaluation sets. */
const OWN_LOAD_OPTIONS = ['signal', 'onProgress', 'maxBatch', 'monitor', 'name'];

/** Throws OptionError. */
export function checkEvaluateOptions(source: string, options: EvaluateOptions): CheckedEvaluateOptions {
  noOthers('options', object('options', options), NAMES);
  const {against, text = SAMPLE_TEXT, maxTokens, window, stride, load = {}, logits, signal, onProgress} = options;
  const {againstLoad = whereOf(load)} = options;
  checkLoad('load', source, load);
  if (against !== undefined) checkLoad('againstLoad', path('against', against), againstLoad);
  else if (options.againstLoad !== undefined) throw new OptionError('againstLoad', 'left out without against', options.againstLoad);
  else if (logits !== undefined) throw new OptionError('logits', 'left out without against', logits);
  if (typeof text !== 'string' || text === '') throw new OptionError('text', 'a text', text);
  if (maxTokens !== undefined) integer('maxTokens', maxTokens, {min: 2});
  if (window !== undefined) integer('window', window, {min: 2});
  if (stride !== undefined) integer('stride', stride, {min: 1, max: window});
  if (logits !== undefined) path('logits', logits);
  abortSignal(signal);
  if (onProgress !== undefined) callback('onProgress', onProgress);
  return {...options, text, load, againstLoad};
}

/** What says where a model runs, and not how exactly. */
function whereOf(load: EvaluationLoadOptions): EvaluationLoadOptions {
  const {backend, device, threads} = object('load', load);
  return {...(backend !== undefined && {backend}), ...(device !== undefined && {device}), ...(threads !== undefined && {threads})};
}

function checkLoad(option: 'load' | 'againstLoad', source: string, load: EvaluationLoadOptions): void {
  const own = OWN_LOAD_OPTIONS.find((name) => name in object(option, load));
  if (own !== undefined) throw new OptionError(`${option}.${own}`, 'left out: it is the evaluation that says it', Object(load)[own]);
  checkLoadOptions(source, load);
}

function path(option: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new OptionError(option, 'a path', value);
}
