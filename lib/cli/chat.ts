/** `tensorrt-node chat`: a conversation, on a terminal or line by line from a pipe. */

import {createInterface} from 'node:readline';

import {Command} from 'commander';

import {AbortError} from '../errors.js';
import type {ChatMessage} from '../tokenizer/chat.js';
import {describe} from './errors.js';
import {withInterrupt} from './interrupt.js';
import {addLoadOptions, addSamplingOptions, type LoadFlags, loadOptions, type SamplingFlags, samplingOptions} from './options.js';
import {createProgressDisplay} from './progress.js';
import {summary} from './summary.js';

interface Flags extends LoadFlags, SamplingFlags {
  system?: string;
}

export function chatCommand(): Command {
  const command = new Command('chat')
    .description('talk with a model; /reset forgets the conversation, /exit ends it, Ctrl-C stops a reply')
    .argument('<model>', 'a model folder, or an ONNX file in one')
    .option('--system <text>', 'instructions that stand above the conversation');
  return addSamplingOptions(addLoadOptions(command)).action(chat);
}

async function chat(path: string, flags: Flags): Promise<void> {
  const {loadModel} = await import('../index.js');
  await using model = await withInterrupt(async (signal) => {
    using progress = createProgressDisplay();
    return await loadModel(path, {...loadOptions(flags), signal, onProgress: progress.update});
  });
  using session = model.createSession();

  const opening: ChatMessage[] = flags.system === undefined ? [] : [{role: 'system', content: flags.system}];
  let messages = [...opening];
  let reply: AbortController | undefined;

  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({input: process.stdin, output: terminal ? process.stderr : undefined, prompt: '> '});
  // On a terminal readline takes Ctrl-C for itself, elsewhere it comes as a signal.
  let warned = false;
  const onInterrupt = (): void => {
    if (reply !== undefined) {
      reply.abort();
    } else if (warned || !terminal) {
      lines.close();
      if (!terminal) process.exit(130);
    } else {
      warned = true;
      process.stderr.write('\n(Ctrl-C again, or /exit, to leave)\n');
      lines.prompt();
    }
  };
  lines.on('SIGINT', onInterrupt);
  process.on('SIGINT', onInterrupt);

  try {
    if (terminal) lines.prompt();
    for await (const line of lines) {
      warned = false;
      const text = line.trim();
      if (text === '/exit') break;
      if (text === '/reset') messages = [...opening];
      else if (text !== '') messages = await answer(text);
      if (terminal) lines.prompt();
    }
  } finally {
    lines.close();
    process.off('SIGINT', onInterrupt);
  }

  /** Streams the reply and resolves with the conversation so far; a turn that failed is not part of it. */
  async function answer(text: string): Promise<ChatMessage[]> {
    const asked: ChatMessage[] = [...messages, {role: 'user', content: text}];
    reply = new AbortController();
    let said = '';
    try {
      for await (const {text: part, finish} of session.generate(asked, {...samplingOptions(flags), signal: reply.signal})) {
        process.stdout.write(part);
        said += part;
        if (finish !== undefined) {
          process.stdout.write('\n');
          if (terminal) console.error(summary(finish, model));
        }
      }
    } catch (error) {
      if (said !== '') process.stdout.write('\n');
      if (!(error instanceof AbortError)) {
        // The next turn may well do: a conversation that grew too long can be reset.
        console.error(`tensorrt-node: ${describe(error)}`);
        return messages;
      }
      if (said === '') return messages;
    } finally {
      reply = undefined;
    }
    return [...asked, {role: 'assistant', content: said}];
  }
}
