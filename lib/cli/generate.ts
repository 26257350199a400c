/** `tensorrt-node generate`: one reply, streamed to stdout. */

import {Command} from 'commander';

import {UsageError} from './errors.js';
import {withInterrupt} from './interrupt.js';
import {addLoadOptions, addSamplingOptions, type LoadFlags, loadOptions, type SamplingFlags, samplingOptions} from './options.js';
import {createProgressDisplay} from './progress.js';
import {readStandardInput} from './standard_input.js';
import {summary} from './summary.js';

interface Flags extends LoadFlags, SamplingFlags {
  json?: boolean;
  raw?: boolean;
  system?: string;
  logprobs?: number;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('answer a prompt; the text goes to stdout as it comes')
    .argument('<model>', 'a model folder, or an ONNX file in one')
    .argument('[prompt]', "the prompt; '-' or none reads standard input")
    .option('--system <text>', 'instructions that stand above the conversation')
    .option('--raw', 'continue the prompt as it is, without the chat template')
    .option('--json', 'write one JSON object at the end: text, tokens, finishReason, usage, timings')
    .option('--logprobs <n>', 'with --json: the n likeliest tokens at each step', Number);
  return addSamplingOptions(addLoadOptions(command)).action(generate);
}

async function generate(path: string, argument: string | undefined, flags: Flags): Promise<void> {
  const {raw, system, json, logprobs} = flags;
  if (raw && system !== undefined) throw new UsageError('--system needs the chat template that --raw leaves out');
  if (logprobs !== undefined && !json) throw new UsageError('--logprobs needs --json');
  if (argument === undefined && process.stdin.isTTY) throw new UsageError('a prompt is needed, as an argument or on standard input');
  const prompt = argument === undefined || argument === '-' ? await readStandardInput() : argument;
  if (prompt === '' && argument !== '') throw new UsageError('standard input has no prompt');

  const {loadModel} = await import('../generate/load.js');
  await withInterrupt(async (signal) => {
    using progress = createProgressDisplay();
    await using model = await loadModel(path, {...loadOptions(flags), signal, onProgress: progress.update});
    progress[Symbol.dispose]();

    const input = raw || (model.tokenizer.chatTemplate === undefined && system === undefined) ? prompt : conversation(prompt, system);
    const options = {...samplingOptions(flags), logprobs, signal};
    if (json) {
      console.log(JSON.stringify(await model.generateText(input, options)));
      return;
    }
    for await (const {text, finish} of model.generate(input, options)) {
      process.stdout.write(text);
      if (finish !== undefined) {
        process.stdout.write('\n');
        console.error(summary(finish, model));
      }
    }
  });
}

function conversation(prompt: string, system: string | undefined) {
  const user = {role: 'user', content: prompt} as const;
  return system === undefined ? [user] : [{role: 'system', content: system} as const, user];
}
