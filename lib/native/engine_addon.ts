/** What the addon exports for engines: building them, running them, and a lock on a file. */

/** Element types of an engine's tensors, as TensorRT has them, by ONNX's names. */
export type NativeTensorType = 'float32' | 'float16' | 'bfloat16' | 'float8e4m3fn' | 'int8' | 'uint8' | 'int32' | 'int64' | 'bool' | 'int4';

export interface EngineAddon {
  /**
   * An exclusive lock of a file, which is made if missing; null while anybody else holds it, in this process or another.
   * The kernel frees the lock of a process that dies.
   */
  tryLock(path: string): NativeFileLock | null;
  /** Starts a build on a thread of its own. One build at a time in a process. */
  buildEngine(request: NativeBuildRequest, listener: NativeBuildListener): NativeBuild;
  /** Adds the entries of `from` to the timing cache `into`; both files, of the same device and TensorRT. */
  mergeTimingCache(request: {device: number; tensorrt: readonly string[]; into: string; from: string}): Promise<void>;
  /** Deserializes a plan on a thread of its own. `plan` must not change until the promise settles. */
  loadEngine(request: NativeLoadRequest): Promise<NativeEngine>;
}

export interface NativeFileLock {
  release(): void;
}

export type NativeBuilderFlag =
  | 'fp16'
  | 'bf16'
  | 'int8'
  | 'fp8'
  | 'tf32'
  | 'sparse-weights'
  | 'refit'
  | 'refit-identical'
  | 'strip-plan'
  | 'weight-streaming'
  | 'version-compatible'
  | 'exclude-lean-runtime'
  | 'obey-precision-constraints'
  | 'prefer-precision-constraints'
  | 'disable-timing-cache';

export type NativeTacticSource = 'cublas' | 'cublas-lt' | 'cudnn' | 'edge-mask-convolutions' | 'jit-convolutions';

/** Everything is checked by now; names that the loaded TensorRT does not know are refused with ERR_UNSUPPORTED. */
export interface NativeBuildRequest {
  device: number;
  /** Candidates for libnvinfer, most wanted first. */
  tensorrt: readonly string[];
  /** The ONNX file; external data lies beside it. */
  model: string;
  /** A file to read in its place; external data is still beside `model`. */
  rewrittenModel?: string;
  /** The file to write the plan to. */
  plan: string;
  /** A timing cache to start from, if that file exists. */
  timingCache?: string;
  /** Where the timing cache is written after the build, also after one that was cancelled. */
  timingCacheOut?: string;
  stronglyTyped: boolean;
  flags: readonly NativeBuilderFlag[];
  /** 0 to 5. */
  optimizationLevel?: number;
  /** Bytes. */
  workspace?: number;
  tacticSources?: readonly NativeTacticSource[];
  hardwareCompatibility?: 'none' | 'ampere-plus' | 'same-compute-capability';
  profilingVerbosity: 'none' | 'layer-names-only' | 'detailed';
  maxAuxStreams?: number;
  /** Averages over so many runs of each tactic. */
  averageTimingIterations?: number;
  /** TensorRT 10.8 and later. */
  tilingOptimizationLevel?: 'none' | 'fast' | 'moderate' | 'full';
  /** Each profile names every input that has a dynamic shape. */
  profiles: readonly Readonly<Record<string, NativeProfileRange>>[];
  /** Patterns of fnmatch(3) on layers' names; a later one wins. */
  layers: readonly {pattern: string; precision?: NativeTensorType; outputType?: NativeTensorType}[];
  calibration?: {
    algorithm: 'entropy2' | 'min-max';
    /** Elements of a batch's first dimension. */
    batchSize: number;
    /** A calibration cache to use instead of batches, if that file exists. */
    cache?: string;
    /** Where the calibration cache is written. */
    cacheOut?: string;
  };
  /**
   * Lines of TensorRT's log of at least this severity go to stderr, at once and unbuffered, so that they outlive an abort:
   * '[tensorrt] W a line', with F (internal error), E, W, I or V. For the rest of the process's life; without it none do.
   */
  logLevel?: 'error' | 'warning' | 'info' | 'verbose';
}

/** Of an input's shape, or with `values` of the content of an input that holds a shape. */
export interface NativeProfileRange {
  min: readonly number[];
  opt: readonly number[];
  max: readonly number[];
  values?: boolean;
}

/** Called on the JavaScript thread. What it throws ends the build with ERR_ADDON. */
export interface NativeBuildListener {
  /** From TensorRT's progress monitor. `steps` and `parent` come with the start. */
  progress(event: {event: 'start' | 'step' | 'finish'; phase: string; parent?: string; steps?: number; step?: number}): void;
  /** The calibrator wants a batch; answer with provideBatch. */
  batchWanted(): void;
}

export interface NativeBuild {
  /** Rejects with ERR_TENSORRT; ERR_ABORTED after cancel(). */
  readonly result: Promise<NativeBuildResult>;
  /** TensorRT notices between two steps, which may take seconds. */
  cancel(): void;
  /** A batch for every input of the network, dense and row-major; null when there are no more. */
  provideBatch(batch: Readonly<Record<string, NativeBatchTensor>> | null): void;
}

export interface NativeBatchTensor {
  buffer: ArrayBuffer;
  byteOffset: number;
  byteLength: number;
  dims: readonly number[];
}

export interface NativeBuildResult {
  planBytes: number;
  layers: number;
  /** Patterns of `layers` that matched nothing. */
  unmatched: string[];
  /** Entries of the timing cache could be used. */
  timingCacheUsed: boolean;
}

export interface NativeLoadRequest {
  device: number;
  tensorrt: readonly string[];
  plan: Uint8Array;
  /** Execution contexts for run(): how many runs are under way at once. */
  contexts: number;
  /** Bytes of weights kept on the device; for plans built with weight streaming. */
  weightStreamingBudget?: number;
  /** An ONNX file that a refittable or stripped plan takes its weights from. */
  refitFrom?: string;
}

export interface NativeTensorInfo {
  name: string;
  mode: 'input' | 'output';
  type: NativeTensorType;
  /** -1 where dynamic. */
  dims: number[];
  /** 'host': the engine reads or writes it in host memory, as with shapes. */
  location: 'device' | 'host';
  /** Its content, not its shape alone, decides shapes. */
  isShapeTensor: boolean;
  /** For inputs, one for each optimization profile; for shape tensors the range of values is in `values`. */
  profiles: {min: number[]; opt: number[]; max: number[]; values?: {min: number[]; opt: number[]; max: number[]}}[];
}

export interface NativeEngineInfo {
  name: string;
  tensors: NativeTensorInfo[];
  profiles: number;
  layers: number;
  /** Activation memory of one execution context, the largest of all profiles, in bytes. */
  deviceMemoryBytes: number;
  /** Weights that can be streamed, in bytes; 0 for plans without weight streaming. */
  streamableWeightsBytes: number;
  refittable: boolean;
  /** 'none', 'ampere-plus', … */
  hardwareCompatibility: string;
}

/** Where a tensor's elements are: dense, row-major. */
export interface NativeTensorData {
  buffer: ArrayBuffer;
  byteOffset: number;
  byteLength: number;
  dims: readonly number[];
}

export interface NativeRun {
  /** In the order of the engine's outputs. Buffers belong to the caller; large ones are pinned memory, collected with them. */
  readonly result: Promise<{dims: number[]; buffer: ArrayBuffer}[]>;
  /** Before it has begun: it never will. Later: its result is dropped. The promise rejects with ERR_ABORTED at once. */
  cancel(): void;
}

export interface NativeLayerTimes {
  name: string;
  /** Of each run. */
  milliseconds: Float32Array;
}

/** Times in milliseconds, one for each run. */
export interface NativeLayerProfile {
  /** In the order in which they run. */
  layers: NativeLayerTimes[];
  /** The network's work, without copies: without the profiler, and with it. */
  runs: Float32Array;
  profiledRuns: Float32Array;
  /** As layerInformation(), with the shapes of these inputs. */
  information: string;
}

export interface NativeLayerProfiling {
  readonly result: Promise<NativeLayerProfile>;
  cancel(): void;
}

/** Arguments follow the order of `info.tensors` without outputs. */
export interface NativeEngine {
  info(): NativeEngineInfo;
  /** What TensorRT's engine inspector tells, as JSON text. */
  layerInformation(): string;
  /**
   * Runs on an execution context of its own, `warmUp` times for nothing, and then `runs` times without TensorRT's
   * profiler and as often with it. Inputs as of run(). Rejects with ERR_ABORTED after cancel(); refits are refused meanwhile.
   */
  profileLayers(inputs: readonly NativeTensorData[], options: {runs: number; warmUp: number}): NativeLayerProfiling;
  /** Inputs are copied before it returns, unless they are pinned, which then must not change before the result. */
  run(inputs: readonly NativeTensorData[]): NativeRun;
  /** An execution context of its own for these shapes, with pinned inputs and outputs. Blocks while it is made. */
  bind(dims: readonly (readonly number[])[], options: NativeBindOptions): NativeBinding;
  refit(model: string): Promise<void>;
  /** Runs that wait end with ERR_DISPOSED; settles when the last one under way has ended and all memory is back. */
  dispose(): Promise<void>;
}

export interface NativeBindOptions {
  /** Capture a CUDA graph; without it, or where the engine cannot be captured, runs are queued call by call. */
  graph: boolean;
  /** Measure the time on the GPU. */
  timing: boolean;
}

export interface NativeBinding {
  readonly inputs: readonly ArrayBuffer[];
  /** With data-dependent shapes as large as an output may become. */
  readonly outputs: readonly ArrayBuffer[];
  readonly graph: boolean;
  /** Shapes of the outputs, after the last run where they depend on data. */
  outputDims(): number[][];
  /** One at a time: ERR_BUSY. */
  run(): Promise<void>;
  runSync(): void;
  /** Of the last run, copies included; needs `timing`. */
  gpuMilliseconds(): number;
  /** Detaches the buffers; a run under way is waited for by the memory, not by the caller. */
  dispose(): void;
}
