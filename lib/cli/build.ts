/** `tensorrt-node build`: an ONNX model, or a language model's folder, to an engine folder. */

import {Command, Option} from 'commander';

import type {BuildResult} from '../engine/build/build.js';
import {BuildError, type BuildLogLine} from '../engine/build/build_error.js';
import {formatRange} from '../engine/build/command_line.js';
import {type BuildOptions, isShape, PRECISIONS} from '../engine/build/options.js';
import {describeTensor} from '../engine/tensor.js';
import {buildDecoder, DECODER_FLAGS, type DecoderFlags, isFolder} from './build_decoder.js';
import {bytes, type CalibrationFlags, calibrationOptions, layer, list, profile} from './build_flags.js';
import {formatBytes, formatDuration} from './format.js';
import {withInterrupt} from './interrupt.js';
import {kvCacheOption, number} from './options.js';
import {createProgressDisplay} from './progress.js';

interface Flags extends CalibrationFlags, DecoderFlags, Omit<BuildOptions, 'profiles' | 'layers' | 'calibration' | 'output'> {
  profile?: BuildOptions['profiles'];
  layer?: BuildOptions['layers'];
  verbose?: boolean;
}

const EXAMPLES = `
Examples:
  tensorrt-node build model.onnx engines/model --precision fp16
  tensorrt-node build model.onnx engines/model --profile images=1x3x224x224:8x3x224x224:32x3x224x224
  tensorrt-node build model.onnx engines/model --precision int8 --calibration-folder pictures --preprocess preprocess.mjs
  tensorrt-node build models/chat engines/chat --max-context 4096 --max-batch 32

An engine runs on the GPU and TensorRT it was built for. It is code: load only engines that you built.
Ends with 0, with 1 if the build failed, with 2 if the command line is wrong, with 128 and the signal's number if interrupted.`;

export function buildCommand(): Command {
  return new Command('build')
    .description('build a TensorRT engine of an ONNX model, or take it from the engine cache')
    .argument('<model>', "an ONNX file, or a language model's folder")
    .argument('[output]', "the engine folder to write (default: the engine cache's own, printed on stdout)")
    .addOption(
      new Option('-p, --precision <name>', 'what the engine may compute in (default: fp32, or what the model carries)').choices(PRECISIONS),
    )
    .addOption(
      new Option('--typing <how>', 'strong: types are those of the model; weak: TensorRT chooses').choices(['auto', 'strong', 'weak']),
    )
    .option('--profile <name=min:opt:max,...>', 'shapes to optimize for, such as x=1x8:4x8:16x8; repeatable, one profile each', profile)
    .option('--layer <pattern=precision>', "a layer's own precision, such as '/head/*=fp32'; repeatable, the last one counts", layer)
    .addOption(new Option('--layer-constraints <how>', 'fail or warn where a layer cannot have it').choices(['obey', 'prefer']))
    .option('--calibration-folder <folder>', 'int8: .npy files, or pictures with --preprocess')
    .option('--preprocess <module>', 'int8: a module whose default export makes tensors of pictures')
    .addOption(new Option('--calibration-algorithm <name>', 'int8: how ranges are found').choices(['entropy2', 'min-max']))
    .option('--calibration-cache <file>', 'int8: use these ranges if the file is there, else write it')
    .option('--calibration-batch-size <n>', 'int8: samples of a batch', number)
    .option('--calibration-batches <n>', 'int8: take at most so many batches', number)
    .option('--calibration-key <text>', 'int8: names the preprocessing for the engine cache (default: a hash of the module)')
    .option('--sparsity', 'use 2:4 sparse kernels where weights are sparse')
    .option('-O, --optimization-level <n>', '0 to 5: higher builds longer for a faster engine', number)
    .option('--workspace <size>', "device memory for a layer's kernel, such as 4GiB", bytes)
    .option('--tactic-sources <names>', 'kernels from these libraries alone, such as cublas,cudnn', list)
    .addOption(
      new Option('--hardware-compatibility <level>', 'other GPUs it is to run on').choices([
        'none',
        'ampere-plus',
        'same-compute-capability',
      ]),
    )
    .option('--version-compatible', 'run on later versions of TensorRT 10')
    .option('--exclude-lean-runtime', 'do not carry the runtime that --version-compatible needs')
    .option('--refit', 'weights can be changed after the build')
    .option('--strip', 'leave out the weights: they are taken from the ONNX model at load')
    .option('--weight-streaming', 'weights may stay in host memory; strongly typed builds alone')
    .addOption(
      new Option('--profiling-verbosity <level>', "what can be told of the engine's layers").choices([
        'none',
        'layer-names-only',
        'detailed',
      ]),
    )
    .option('--max-aux-streams <n>', 'streams beside the main one', number)
    .option('--average-timing-iterations <n>', "timings a kernel's time is averaged over", number)
    .addOption(
      new Option('--tiling <level>', 'keep data on the chip; TensorRT 10.8 and later').choices(['none', 'fast', 'moderate', 'full']),
    )
    .option('--name <name>', 'what the engine is called')
    .option('--timing-cache <file>', 'timings to start from and add to (default: in the cache folder)')
    .option('--no-timing-cache', 'measure everything anew')
    .option('--cache <folder>', 'finished engines and timings (default: TENSORRT_NODE_CACHE, or in the XDG cache folder)')
    .option('--no-cache', 'build even if the engine is in the cache, and keep nothing there')
    .option('--device <n>', 'GPU, as CUDA numbers them', number)
    .option('--tensorrt-path <path>', 'libnvinfer.so.10, or the folder it is in')
    .option('-v, --verbose', "show TensorRT's log")
    .addOption(
      new Option('--log-level <level>', 'the least that TensorRT logs, for --verbose and failures').choices([
        'error',
        'warning',
        'info',
        'verbose',
      ]),
    )
    .addOption(
      new Option('--type <name>', 'language models: what they compute in (default: that of the weights, else float16)').choices([
        'float16',
        'bfloat16',
      ]),
    )
    .option('--max-context <n>', 'language models: tokens a sequence may hold at most', number)
    .option('--max-batch <n>', 'language models: requests at once, at most', number)
    .option('--deterministic', 'language models: engines for `deterministic` alone, of which there are fewer')
    .option('--dequantize', 'language models: weights of 8 and 4 bits become floats when they are loaded')
    .addOption(kvCacheOption('language models: '))
    .option('--json', 'write what was built as JSON')
    .addHelpText('after', EXAMPLES)
    .action(build);
}

async function build(model: string, output: string | undefined, flags: Flags, command: Command): Promise<void> {
  const isDecoder = await isFolder(model);
  for (const option of command.options) {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== 'cli' || name === 'json' || name === 'device') continue;
    if (DECODER_FLAGS.has(name) === isDecoder) continue;
    command.error(
      `error: option '${option.long}' is for ${isDecoder ? "ONNX files, and this is a language model's folder" : "a language model's folder, and this is an ONNX file"}`,
      {
        exitCode: 2,
      },
    );
  }
  if (isDecoder) return buildDecoder(model, output, flags);
  const {buildEngine} = await import('../engine/build/build.js');
  const options = await buildOptions(output, flags);
  using progress = createProgressDisplay();
  const onLog = ({severity, message}: BuildLogLine) => {
    if (flags.verbose) process.stderr.write(`${severity}: ${message}\n`);
  };
  let result: BuildResult;
  try {
    result = await withInterrupt((signal) => buildEngine(model, {...options, signal, onProgress: progress.update, onLog}));
  } catch (error) {
    progress[Symbol.dispose]();
    // They were seen as they came, or never.
    if (error instanceof BuildError && !flags.verbose) for (const line of error.log) console.error(line);
    throw error;
  }
  progress[Symbol.dispose]();
  if (!flags.verbose) for (const warning of result.warnings) console.error(`warning: ${warning}`);
  if (flags.json) {
    console.log(JSON.stringify(result, null, 2));
    return;
  }
  describe(result);
  console.log(result.folder);
}

async function buildOptions(output: string | undefined, flags: Flags): Promise<BuildOptions> {
  const given: BuildOptions = {
    output,
    name: flags.name,
    precision: flags.precision,
    typing: flags.typing,
    profiles: flags.profile,
    layers: flags.layer,
    layerConstraints: flags.layerConstraints,
    calibration: await calibrationOptions(flags),
    sparsity: flags.sparsity,
    optimizationLevel: flags.optimizationLevel,
    workspace: flags.workspace,
    tacticSources: flags.tacticSources,
    hardwareCompatibility: flags.hardwareCompatibility,
    versionCompatible: flags.versionCompatible,
    excludeLeanRuntime: flags.excludeLeanRuntime,
    refit: flags.refit,
    strip: flags.strip,
    weightStreaming: flags.weightStreaming,
    profilingVerbosity: flags.profilingVerbosity,
    maxAuxStreams: flags.maxAuxStreams,
    averageTimingIterations: flags.averageTimingIterations,
    tiling: flags.tiling,
    device: flags.device,
    tensorrtPath: flags.tensorrtPath,
    logLevel: flags.logLevel,
  };
  // The flags that begin with --no- make these true where they are not given at all.
  const {cache, timingCache} = flags as {cache?: string | boolean; timingCache?: string | boolean};
  if (cache !== true) given.cache = cache as string | false | undefined;
  if (timingCache !== true) given.timingCache = timingCache as string | false | undefined;
  return given;
}

function describe({manifest, cached, profiles, profilesDerived}: BuildResult): void {
  const {plan, inputs, outputs, precision, stronglyTyped, tensorrt, gpu, buildSeconds} = manifest;
  const lines = [
    `${cached ? 'from the cache' : `built in ${formatDuration(1000 * buildSeconds)}`}: ${formatBytes(plan.bytes)}, ${precision}, ${stronglyTyped ? 'strongly' : 'weakly'} typed`,
    `for TensorRT ${tensorrt.version} on ${gpu.name}`,
    ...inputs.map(({name, type, dims}) => `input ${name}: ${describeTensor(type, dims)}`),
    ...outputs.map(({name, type, dims}) => `output ${name}: ${describeTensor(type, dims)}`),
    ...profiles.map((each, index) => {
      const ranges = Object.entries(each).map(([name, range]) =>
        isShape(range) ? `${name}=${range.join('x')}` : `${name}${range.values ? ':' : ''}=${formatRange(range)}`,
      );
      return `profile ${index}${profilesDerived ? ', derived; --profile sets it' : ''}: ${ranges.join(',')}`;
    }),
  ];
  for (const line of lines) console.error(line);
}
