/** What a model is built and loaded for: checked, and what holds where its user does not say. */

import {KV_CACHE_TYPES, type KvCacheType} from '../backend/kv_cache_type.js';
import {OptionError} from '../errors.js';
import {boolean, integer, oneOf} from '../options.js';
import type {ModelConfig} from './model_folder.js';

export const DEFAULT_MAX_BATCH = 8;
const DEFAULT_MAX_CONTEXT = 8192;

export interface ModelOptions {
  device?: number;
  type?: 'float16' | 'bfloat16';
  maxContext?: number;
  maxBatch?: number;
  deterministic?: boolean;
  dequantize?: boolean;
  kvCacheType?: KvCacheType;
}

/** Throws OptionError. */
export function checkModelOptions({device, type, maxContext, maxBatch, deterministic, dequantize, kvCacheType}: ModelOptions): void {
  if (device !== undefined) integer('device', device, {min: 0, max: 1023});
  if (type !== undefined) oneOf('type', type, ['float16', 'bfloat16']);
  if (maxContext !== undefined) integer('maxContext', maxContext, {min: 1});
  if (maxBatch !== undefined) integer('maxBatch', maxBatch, {min: 1});
  if (deterministic !== undefined) boolean('deterministic', deterministic);
  if (dequantize !== undefined) boolean('dequantize', dequantize);
  if (kvCacheType !== undefined) oneOf('kvCacheType', kvCacheType, KV_CACHE_TYPES);
}

/** Tokens a sequence may hold. Throws OptionError for more than the model was trained for. */
export function contextLimit({maxPositionEmbeddings: trained = DEFAULT_MAX_CONTEXT}: ModelConfig, asked: number | undefined): number {
  if (asked !== undefined && asked > trained) {
    throw new OptionError('maxContext', `at most ${trained}, the positions the model was trained for`, asked);
  }
  return asked ?? Math.min(trained, DEFAULT_MAX_CONTEXT);
}
