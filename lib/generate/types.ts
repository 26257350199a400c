/** What `generate` takes and gives. */

import type {TokenLogprob} from '../backend/backend.js';
import type {ChatMessage, ChatTemplateOptions} from '../tokenizer/chat.js';

/** Text, a conversation rendered by the model's chat template, or tokens. */
export type Prompt = string | readonly ChatMessage[] | Uint32Array | readonly number[];

export interface GenerateOptions {
  /** Tokens after which the reply ends. Default: what is left of the context. */
  maxNewTokens?: number;
  /** 0, the default, takes the most likely token each time; more is more varied, up to 100. */
  temperature?: number;
  /** Keep the k most likely tokens; 0, the default, keeps all. */
  topK?: number;
  /** Keep the smallest set of tokens whose probabilities reach p, in (0, 1]; default 1, all. After topK. */
  topP?: number;
  /** Drop tokens less likely than minP times the most likely one, in [0, 1]; default 0. */
  minP?: number;
  /** Divides positive and multiplies negative logits of tokens in prompt or reply (Keskar et al. 2019); default 1, off. */
  repetitionPenalty?: number;
  /** Subtracted once from the logit of each token in the reply, -100 to 100; default 0. */
  presencePenalty?: number;
  /** Subtracted from a token's logit for each time it is in the reply, -100 to 100; default 0. */
  frequencyPenalty?: number;
  /** Added to the logits of these tokens; -Infinity bans one. */
  logitBias?: ReadonlyMap<number, number> | Readonly<Record<number, number>>;
  /** The same seed, prompt and options draw the same tokens. 0 to 2^32-1; default: a random one, told when the reply ends. */
  seed?: number;
  /** Text that ends the reply and is not part of it. */
  stop?: string | readonly string[];
  /** Report each token's log probability, and those of this many most likely ones; 0 to 100. Default: none. */
  logprobs?: number;
  /** Tools and variables for the chat template. */
  chat?: Pick<ChatTemplateOptions, 'tools' | 'variables'>;
  /** Ends the request; the iteration then throws AbortError. */
  signal?: AbortSignal;
}

export interface LogprobEntry extends TokenLogprob {
  /** The most likely tokens, most likely first. */
  top: TokenLogprob[];
}

export interface GenerateChunk {
  /** Whole characters; the chunks joined are the reply. Empty in a last chunk that only ends it. */
  text: string;
  /** The tokens that this text came with. */
  tokens: number[];
  /** One entry a token, when asked for. */
  logprobs?: LogprobEntry[];
  /** In the last chunk alone. */
  finish?: Finish;
}

/** 'stop': the model ended its reply, or a stop string came. 'length': maxNewTokens or the context ran out. */
export type FinishReason = 'stop' | 'length';

export interface Finish {
  finishReason: FinishReason;
  /** The stop string that ended the reply, if one did. */
  stopString?: string;
  usage: Usage;
  timings: Timings;
  /** What the draws came from; give it as `seed` to repeat them. */
  seed: number;
}

export interface Usage {
  /** Tokens of the whole prompt. */
  promptTokens: number;
  /** Of these, the tokens whose keys and values a session had kept. */
  cachedTokens: number;
  /** Tokens of the reply, the one that ended it included. */
  completionTokens: number;
}

/** Milliseconds. */
export interface Timings {
  /** Waiting for a place among the running requests. */
  queue: number;
  /** Running the prompt, up to the first token. */
  prefill: number;
  /** From the first `next()` of the iteration to the first token in JavaScript. */
  firstToken: number;
  /** From the first token to the last. */
  decode: number;
  /** Mean time between two tokens of the reply; 0 for a reply of one. */
  perToken: number;
  /** From the first `next()` to the end. */
  total: number;
}

export interface GenerateResult extends Finish {
  text: string;
  tokens: number[];
  logprobs?: LogprobEntry[];
}
