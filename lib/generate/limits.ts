/** How much a model holds where its user does not say. */

import {OptionError} from '../errors.js';
import type {ModelConfig} from './model_folder.js';

export const DEFAULT_MAX_BATCH = 8;
const DEFAULT_MAX_CONTEXT = 8192;

/** Tokens a sequence may hold. Throws OptionError for more than the model was trained for. */
export function contextLimit({maxPositionEmbeddings: trained = DEFAULT_MAX_CONTEXT}: ModelConfig, asked: number | undefined): number {
  if (asked !== undefined && asked > trained) {
    throw new OptionError('maxContext', `at most ${trained}, the positions the model was trained for`, asked);
  }
  return asked ?? Math.min(trained, DEFAULT_MAX_CONTEXT);
}
