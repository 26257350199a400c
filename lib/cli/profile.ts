/** `tensorrt-node profile`: where the microseconds of a trace went. */

import {writeFile} from 'node:fs/promises';
import {basename} from 'node:path';

import {Command} from 'commander';

import type {Summary} from '../profile/summary.js';
import type {TraceFile} from '../profile/trace_reader.js';
import {withInterrupt} from './interrupt.js';

interface Flags {
  json?: boolean;
}

const EXAMPLES = `
Examples:
  tensorrt-node profile summary trace.json
  tensorrt-node profile compare before.json after.json
  tensorrt-node profile page trace.json trace.html`;

export function profileCommand(): Command {
  return new Command('profile')
    .description('tell where the time of a trace went')
    .addCommand(summaryCommand())
    .addCommand(compareCommand())
    .addCommand(pageCommand())
    .addHelpText('after', EXAMPLES);
}

function summaryCommand(): Command {
  return new Command('summary')
    .description('time by kernel, phase and layer; copies and their overlap; gaps and what they waited for')
    .argument('<trace>', 'a file that a profile wrote')
    .option('--json', 'write it as JSON: times in nanoseconds, rates in bytes a second')
    .action(async (path: string, {json}: Flags) => {
      const {formatSummary} = await import('../profile/summary_text.js');
      const summary = await summaryOf(path);
      process.stdout.write(json ? `${JSON.stringify(summary, null, 2)}\n` : formatSummary(summary));
    });
}

function compareCommand(): Command {
  return new Command('compare')
    .description('tell what changed between two traces')
    .argument('<before>', 'a file that a profile wrote')
    .argument('<after>', 'another')
    .option('--json', 'write it as JSON: times in nanoseconds, rates in bytes a second')
    .action(async (before: string, after: string, {json}: Flags) => {
      const [{compareSummaries}, {formatComparison}] = await Promise.all([
        import('../profile/compare.js'),
        import('../profile/compare_text.js'),
      ]);
      const comparison = compareSummaries(await summaryOf(before), await summaryOf(after));
      process.stdout.write(json ? `${JSON.stringify(comparison, null, 2)}\n` : formatComparison(comparison));
    });
}

function pageCommand(): Command {
  return new Command('page')
    .description('draw a trace on one HTML page, which needs no network')
    .argument('<trace>', 'a file that a profile wrote')
    .argument('<page>', 'the HTML file to write')
    .action(async (path: string, page: string) => {
      const [{makePage}, {describeState}, {replaceFile}] = await Promise.all([
        import('../profile/page/page.js'),
        import('../profile/trace_state.js'),
        import('../replace_file.js'),
      ]);
      const trace = await traceOf(path);
      const html = makePage(trace, {title: basename(path), notes: describeState(trace)});
      await replaceFile(page, (temporary) => writeFile(temporary, html));
    });
}

async function summaryOf(path: string): Promise<Summary> {
  const [{summarize}, {describeState}] = await Promise.all([import('../profile/summary.js'), import('../profile/trace_state.js')]);
  const trace = await traceOf(path);
  for (const line of describeState(trace)) console.error(`${path}: ${line}`);
  return summarize(trace);
}

async function traceOf(path: string): Promise<TraceFile> {
  const {readTrace} = await import('../profile/trace_reader.js');
  return withInterrupt((signal) => readTrace(path, {signal}));
}
