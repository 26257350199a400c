/** `tensorrt-node eval`: what a format costs, as a table or JSON. */

import {readFile} from 'node:fs/promises';

import {Command, Option} from 'commander';

import type {LoadOptions} from '../generate/load.js';
import {UsageError} from './errors.js';
import {formatEvaluation} from './eval_table.js';
import {withInterrupt} from './interrupt.js';
import {addLoadOptions, type LoadFlags, loadOptions, number} from './options.js';
import {createProgressDisplay} from './progress.js';
import {readStandardInput} from './standard_input.js';

interface Flags extends LoadFlags {
  against?: string;
  text?: string;
  tokens?: number;
  window?: number;
  stride?: number;
  logits?: string;
  againstBackend?: LoadOptions['backend'];
  againstAccuracyLevel?: LoadOptions['accuracyLevel'];
  json?: boolean;
}

const EXAMPLES = `
Perplexity is exp of the mean negative log-likelihood of the text's tokens but the first, each counted once, in windows that
share nothing unless --stride is given. KL is that of the model's distribution of the next token from the original's.

Examples:
  tensorrt-node eval model-q4 --against model-fp16 --text book.txt
  tensorrt-node eval model-q4 --against model-fp16 --text book.txt --logits fp16.logits    # the next one is compared sooner
  tensorrt-node eval model --text book.txt --window 2048 --stride 1024 --json`;

export function evalCommand(): Command {
  const command = new Command('eval')
    .description('tell what a format costs: perplexity, distance from the original, memory, speed')
    .argument('<model>', 'a model folder, an ONNX file in one, or an engine folder of one')
    .option('--against <model>', 'the original to compare with')
    .option('--text <file>', "the text, in UTF-8; '-' reads standard input (default: a page of public-domain prose)")
    .option('--tokens <n>', 'use no more of the text', number)
    .option('--window <n>', 'tokens that the model reads at a time (default: 512)', number)
    .option('--stride <n>', 'tokens from one window to the next; fewer than the window leave context (default: the window)', number)
    .option('--logits <file>', "keep the original's logits there, and take them from there if they are those; gigabytes")
    .addOption(
      new Option('--against-backend <name>', 'what runs the original (default: as --backend)').choices(['auto', 'cpu', 'tensorrt']),
    )
    .option('--against-accuracy-level <n>', "the original's --accuracy-level (default: 0)", number)
    .option('--json', 'write the figures as JSON')
    .addHelpText('after', EXAMPLES);
  return addLoadOptions(command).action(evaluate);
}

async function evaluate(source: string, flags: Flags): Promise<void> {
  const {against, tokens, window, stride, logits, json} = flags;
  const load = loadOptions(flags);
  if (against === undefined) {
    for (const [name, value] of [
      ['--logits', logits],
      ['--against-backend', flags.againstBackend],
      ['--against-accuracy-level', flags.againstAccuracyLevel],
    ] as const) {
      if (value !== undefined) throw new UsageError(`${name} needs --against`);
    }
  }
  const text = flags.text === undefined ? undefined : await textOf(flags.text);
  const {evaluateModel} = await import('../eval/evaluate.js');
  await withInterrupt(async (signal) => {
    using progress = createProgressDisplay();
    const evaluation = await evaluateModel(source, {
      text,
      maxTokens: tokens,
      window,
      stride,
      load,
      ...(against !== undefined && {against, logits, againstLoad: originalOptions(flags)}),
      signal,
      onProgress: progress.update,
    });
    progress[Symbol.dispose]();
    process.stdout.write(json ? `${JSON.stringify(evaluation, null, 2)}\n` : formatEvaluation(evaluation));
  });
}

/** What says where models run holds for both; how exactly the model computes is its own. */
function originalOptions({backend, device, threads, maxContext, againstBackend = backend, againstAccuracyLevel}: Flags): LoadFlags {
  return {
    backend: againstBackend,
    device: againstBackend === 'cpu' ? undefined : device,
    threads: againstBackend === 'tensorrt' ? undefined : threads,
    maxContext,
    accuracyLevel: againstAccuracyLevel,
  };
}

async function textOf(path: string): Promise<string> {
  const text = path === '-' ? await readStandardInput() : await readFile(path, 'utf8');
  if (text === '') throw new UsageError(`${path === '-' ? 'standard input' : path} is empty`);
  return text;
}
