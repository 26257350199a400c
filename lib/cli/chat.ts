/** `tensorrt-node chat`: a conversation, on a terminal or line by line from a pipe. */

import {createInterface} from 'node:readline';

import {Command} from 'commander';

import {AbortError, OptionError} from '../errors.js';
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
  const {loadModel} = await import('../generate/load.js');
  await using model = await withInterrupt(async (signal) => {
    using progress = createProgressDisplay();
    return await loadModel(path, {...loadOptions(flags), signal, onProgress: progress.update});
  });
  await using session = model.createSession();

  const opening: ChatMessage[] = flags.system === undefined ? [] : [{role: 'system', content: flags.system}];
  let reply: AbortController | undefined;

  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({input: process.stdin, output: terminal ? process.stderr : undefined, prompt: '> '});
  // Ctrl-D closes it even while a reply comes; a prompt would then take up standard input again for ever.
  let open = true;
  lines.on('close', () => {
    open = false;
  });
  const prompt = (): void => {
    if (terminal && open) lines.prompt();
  };
  // On a terminal readline takes Ctrl-C for itself, elsewhere it comes as a signal.
  let warned = false;
  const onInterrupt = (): void => {
    if (reply !== undefined) {
      reply.abort();
    } else if (warned || !terminal) {
      if (!terminal) process.exitCode = 130;
      lines.close();
    } else {
      warned = true;
      process.stderr.write('\n(Ctrl-C again, or /exit, to leave)\n');
      prompt();
    }
  };
  let closed = false;
  const onClosedOutput = (): void => {
    closed = true;
    reply?.abort();
    lines.close();
  };
  lines.on('SIGINT', onInterrupt);
  process.on('SIGINT', onInterrupt);
  process.stdout.on('error', onClosedOutput);

  try {
    prompt();
    for await (const line of lines) {
      // Lines that were read before the end still come.
      if (closed) break;
      warned = false;
      const text = line.trim();
      if (text === '/exit') break;
      if (text === '/reset') session.rewind({tokens: 0, messages: 0});
      else if (text !== '') await answer(text);
      prompt();
    }
  } finally {
    lines.close();
    process.off('SIGINT', onInterrupt);
    process.stdout.off('error', onClosedOutput);
  }

  /** Streams the reply; one that is broken off stays in the conversation, a turn that failed does not. */
  async function answer(text: string): Promise<void> {
    const before = session.position;
    const turn: ChatMessage[] = [...(before.messages === 0 ? opening : []), {role: 'user', content: text}];
    reply = new AbortController();
    let midLine = false;
    try {
      for await (const {text: part, finish} of session.generate(turn, {...samplingOptions(flags), signal: reply.signal})) {
        process.stdout.write(part);
        midLine = finish === undefined;
        if (finish === undefined) continue;
        process.stdout.write('\n');
        if (terminal) console.error(summary(finish, model));
      }
    } catch (error) {
      if (error instanceof AbortError) return;
      // A flag that is out of range is so for all turns.
      if (error instanceof OptionError) throw error;
      // The next turn may well do: a conversation that grew too long can be reset.
      session.rewind(before);
      console.error(`tensorrt-node: ${describe(error)}`);
    } finally {
      reply = undefined;
      if (midLine) process.stdout.write('\n');
    }
  }
}
