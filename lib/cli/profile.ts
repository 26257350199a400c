/** `tensorrt-node profile`: records traces, and tells where the microseconds went. */

import {writeFile} from 'node:fs/promises';
import {basename, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

import {Command, Option} from 'commander';

import type {LayersFile} from '../profile/layers_file.js';
import type {Summary} from '../profile/summary.js';
import type {TraceFile} from '../profile/trace_reader.js';
import type {ByteSize} from '../weights/byte_size.js';
import {exitCodeOf, printError, UsageError} from './errors.js';
import {generateCommand} from './generate.js';
import {withInterrupt} from './interrupt.js';
import {cutCommand} from './profile_cut.js';
import {profileLayersCommand} from './profile_layers.js';
import {runCommand} from './run.js';

interface Flags {
  json?: boolean;
}

const EXAMPLES = `
Examples:
  tensorrt-node profile generate ./model "Why is the sky blue?" --trace trace.json
  tensorrt-node profile run ./engine -i x=x.npy --graph-nodes
  tensorrt-node profile ./service.mjs its-argument
  tensorrt-node profile summary trace.json
  tensorrt-node profile compare before.json after.json
  tensorrt-node profile layers ./engine --json > layers.json
  tensorrt-node profile page trace.json trace.html
  tensorrt-node profile cut trace.json part.json --from 1s --to 1.2s`;

export function profileCommand(): Command {
  return new Command('profile')
    .description('record what GPU and host do, and tell where the time went')
    .enablePositionalOptions()
    .addCommand(recorded(generateCommand()))
    .addCommand(recorded(runCommand()))
    .addCommand(scriptCommand(), {isDefault: true})
    .addCommand(profileLayersCommand())
    .addCommand(summaryCommand())
    .addCommand(compareCommand())
    .addCommand(pageCommand())
    .addCommand(cutCommand())
    .addHelpText('after', EXAMPLES);
}

interface RecordFlags {
  trace: string;
  graphNodes?: boolean;
  maxBytes?: ByteSize;
}

function addRecordOptions(command: Command): Command {
  return command
    .option('--trace <file>', 'the trace to write', 'trace.json')
    .option('--graph-nodes', "graphs' kernels one by one, which costs more")
    .option('--max-bytes <size>', "the trace's size, such as 64MiB; its oldest events go (default: 256MiB)");
}

/** A command of its own with a trace around it. Where it fails the trace ends with the process. */
function recorded(command: Command): Command {
  return addRecordOptions(command)
    .hook('preAction', async (_, action) => {
      await startRecording(action.opts<RecordFlags>());
    })
    .hook('postAction', stopRecording);
}

function scriptCommand(): Command {
  const command = new Command('script')
    .description('run a module of yours, until nothing keeps the process alive')
    .argument('[file]', 'an ES module, or CommonJS')
    .argument('[arguments...]', "the script's own")
    .addOption(new Option('--compare <traces...>', 'as the command of that name').hideHelp())
    .passThroughOptions();
  return addRecordOptions(command).action(async (file: string | undefined, rest: string[], flags: RecordFlags & {compare?: string[]}) => {
    if (flags.compare !== undefined) {
      if (flags.compare.length !== 2) throw new UsageError('--compare takes two traces');
      return compareFiles(flags.compare[0]!, flags.compare[1]!, {});
    }
    if (file === undefined) return command.parent!.help({error: true});
    await startRecording(flags);
    const script = resolve(file);
    process.argv = [process.argv[0]!, script, ...rest];
    process.once('beforeExit', () => void stopRecording().catch(fail));
    await import(pathToFileURL(script).href);
  });
}

async function startRecording({trace, graphNodes, maxBytes}: RecordFlags): Promise<void> {
  const [{profiler}, {byteSize}] = await Promise.all([import('../profile/profiler.js'), import('../weights/byte_size.js')]);
  const size = maxBytes === undefined ? undefined : byteSize('maxBytes', maxBytes);
  const {problem} = await profiler.start({file: trace, graphNodes, maxBytes: size});
  if (problem !== undefined) console.error(`the trace is of the host alone: ${problem}`);
}

/** Tells the summary on stderr, as stdout is the recorded command's. */
async function stopRecording(): Promise<void> {
  const {profiler} = await import('../profile/profiler.js');
  const result = await profiler.stop();
  if (result === undefined) return;
  const {formatSummary} = await import('../profile/summary_text.js');
  const text = formatSummary(await summaryOf(result.file));
  console.error(`\n${text}\n${result.file}: ${result.events} events`);
}

function fail(error: unknown): void {
  printError(error);
  process.exitCode = exitCodeOf(error);
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
    .description('tell what changed between two traces, or between the layers of two engines')
    .argument('<before>', 'a file that a profile wrote, or JSON of `profile layers`')
    .argument('<after>', 'another')
    .option('--json', 'write it as JSON: times in nanoseconds, rates in bytes a second; of layers, times in microseconds')
    .action(compareFiles);
}

async function compareFiles(before: string, after: string, {json}: Flags): Promise<void> {
  const [{compareSummaries}, {formatComparison, formatLayerComparison}, {compareLayers}, {readLayers}] = await Promise.all([
    import('../profile/compare.js'),
    import('../profile/compare_text.js'),
    import('../profile/compare_layers.js'),
    import('../profile/layers_file.js'),
  ]);
  const layers = [await readLayers(before), await readLayers(after)] as const;
  if (layers[0] !== undefined && layers[1] !== undefined) {
    const comparison = compareLayers(...(layers as [LayersFile, LayersFile]));
    process.stdout.write(json ? `${JSON.stringify(comparison, null, 2)}\n` : formatLayerComparison(comparison));
    return;
  }
  if (layers[0] !== layers[1]) throw new UsageError('one of the files has layers, and the other one is a trace');
  const comparison = compareSummaries(await summaryOf(before), await summaryOf(after));
  process.stdout.write(json ? `${JSON.stringify(comparison, null, 2)}\n` : formatComparison(comparison));
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
