/** Messages to the prompt text a chat model was trained on, by the Jinja template that comes with it. */

import {Template} from '@huggingface/jinja';

import {OptionError, TensorrtNodeError, UnsupportedError} from '../errors.js';
import {observedWork} from '../observers.js';
import {oneOf} from '../options.js';
import type {TokenizerSource} from './tokenizer_file.js';

/** One turn. Field names are those of Hugging Face's templates, which read them. */
export interface ChatMessage {
  role: 'system' | 'user' | 'assistant' | 'tool';
  content: string;
  /** Calls the assistant made, as the model's template expects them. */
  tool_calls?: readonly object[];
  /** Which call a tool's message answers. */
  tool_call_id?: string;
  name?: string;
}

export interface ChatTemplateOptions {
  /** End with what begins the assistant's turn, so that the model answers. Default true. */
  addGenerationPrompt?: boolean;
  /** Functions the model may call, as JSON schemas in the form its template expects. */
  tools?: readonly object[];
  /** Further variables a template reads, such as `enable_thinking`. */
  variables?: Readonly<Record<string, unknown>>;
}

/** The Jinja source of a model's templates. */
export interface ChatTemplate {
  source: string;
  /** Used instead when tools are given, by models that keep two templates. */
  toolSource?: string;
  bosToken?: string;
  eosToken?: string;
}

const ROLES = ['system', 'user', 'assistant', 'tool'] as const;
// A template is parsed once; few are ever loaded.
const parsed = new Map<string, Template>();

/**
 * The prompt for `messages`. Throws OptionError for messages that are no messages, and TensorrtNodeError with code
 * ERR_CHAT_TEMPLATE when there is no template, it does not parse, or it refuses the messages (`cause` says why).
 */
export function renderChat(
  template: ChatTemplate | undefined,
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions = {},
): string {
  const {addGenerationPrompt = true, tools, variables} = options;
  checkMessages(messages);
  if (template === undefined) {
    throw new TensorrtNodeError('ERR_CHAT_TEMPLATE', 'the model has no chat template', 'pass a prompt as text instead of messages');
  }
  const source = tools !== undefined && template.toolSource !== undefined ? template.toolSource : template.source;
  try {
    const values = {
      ...variables,
      messages,
      add_generation_prompt: addGenerationPrompt,
      bos_token: template.bosToken ?? '',
      eos_token: template.eosToken ?? '',
      ...(tools === undefined ? {} : {tools}),
    };
    return observedWork('tokenizer', 'chat template', () => parse(source).render(values));
  } catch (cause) {
    throw new TensorrtNodeError('ERR_CHAT_TEMPLATE', `chat template: ${(cause as Error).message}`, undefined, {cause});
  }
}

/** Throws OptionError naming the message and the field that is wrong. */
export function checkMessages(messages: unknown): asserts messages is readonly ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) throw new OptionError('messages', 'a list of at least one message', messages);
  messages.forEach((message: unknown, index) => {
    if (typeof message !== 'object' || message === null) {
      throw new OptionError(`messages[${index}]`, 'an object with role and content', message);
    }
    const {role, content} = message as Partial<ChatMessage>;
    oneOf(`messages[${index}].role`, role, ROLES);
    if (typeof content !== 'string') throw new OptionError(`messages[${index}].content`, 'a string', content);
  });
}

/** chat_template.jinja, or `chat_template` of tokenizer_config.json: a text, or a list of named ones. */
export function readChatTemplate(
  {config, chatTemplateFile, path}: TokenizerSource,
  tokens: {bosToken?: string; eosToken?: string},
): ChatTemplate | undefined {
  const value = chatTemplateFile ?? config.chat_template;
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return {source: value, ...tokens};
  const named = (name: string): string | undefined => {
    const found = Array.isArray(value) ? value.find((each) => each?.name === name) : undefined;
    return typeof found?.template === 'string' ? found.template : undefined;
  };
  const source = named('default');
  if (source === undefined) throw new UnsupportedError(`${path}: chat_template is neither text nor a list with one named 'default'`);
  return {source, toolSource: named('tool_use'), ...tokens};
}

function parse(source: string): Template {
  let template = parsed.get(source);
  if (template === undefined) {
    template = new Template(source);
    parsed.set(source, template);
  }
  return template;
}
