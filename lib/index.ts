/** TensorRT and CUDA in process for Node services: this file is the whole public surface. */

export type {ModelLimits, StepProfile, TokenLogprob} from './backend/backend.js';
export type {KvCacheType} from './backend/kv_cache_type.js';
export {Binding} from './engine/binding.js';
export {type BuildResult, buildEngine} from './engine/build/build.js';
export {BuildError, type BuildLogLine, type ProcessEnd} from './engine/build/build_error.js';
export type {CalibrationImage, CalibrationOptions, Preprocess} from './engine/build/calibration/options.js';
export type {BuildOptions, LayerOverride, LayerPrecision, Precision, Profile, ProfileRange} from './engine/build/options.js';
export {
  type BindOptions,
  Engine,
  type EngineProfile,
  type EngineTensor,
  type ProfileLayersOptions,
  type RunOptions,
} from './engine/engine.js';
export type {InputValue, OnnxRuntimeTensor} from './engine/input_check.js';
export type {LayerProfile, LayerTime} from './engine/layer_profile.js';
export type {EngineLayer, LayerTensor} from './engine/layers.js';
export type {EngineLoadOptions} from './engine/load.js';
export {type EngineManifest, type ManifestRange, type ManifestTensor, readManifest} from './engine/manifest.js';
export type {Tensor, TensorArrays, TensorData, TensorType, TensorTypes} from './engine/tensor.js';
export {AbortError, type ErrorCode, FormatError, OptionError, TensorrtNodeError, UnsupportedError} from './errors.js';
export {evaluateModel} from './eval/evaluate.js';
export type {Comparison, Perplexity} from './eval/figures.js';
export type {EvaluatedModel, EvaluateOptions, Evaluation, EvaluationLoadOptions} from './eval/types.js';
export {type BuildModelOptions, type BuildModelResult, buildModel} from './generate/build_model.js';
export {type LoadOptions, loadModel} from './generate/load.js';
export type {LanguageModel} from './generate/model.js';
export {type ModelPlan, type PlanModelOptions, type PlannedBlock, type PlannedContext, planModel} from './generate/plan_model.js';
export type {Session, SessionPosition} from './generate/session.js';
export type {ProfileStepOptions} from './generate/step_options.js';
export type {
  Finish,
  FinishReason,
  GenerateChunk,
  GenerateOptions,
  GenerateResult,
  LogprobEntry,
  Prompt,
  Timings,
  Usage,
} from './generate/types.js';
export {type ImportOptions, type ImportResult, importModel} from './import/import.js';
export {
  type BackendInspection,
  type DeviceInspection,
  type DriverInspection,
  type Inspection,
  type InspectOptions,
  inspect,
  type Missing,
  type TensorrtInspection,
} from './inspect.js';
export {formatInspection} from './inspect_format.js';
export {type Logger, type LoggingOptions, type LogLevel, setLogging} from './logging/logging.js';
export {type Metrics, type MetricsOptions, type MetricsRegistry, metrics} from './metrics/metrics.js';
export {CudaError, FileError, TensorrtError} from './native/errors.js';
export {fixInput} from './onnx/lower/fix_input.js';
export {inlineConstantIfs} from './onnx/lower/inline_if.js';
export type {Model} from './onnx/model.js';
export {readModel} from './onnx/read.js';
export type {CardSpeeds} from './profile/activity.js';
export {type ProfileOptions, type ProfileResult, profiler, type Recording} from './profile/profiler.js';
export type {OnProgress, Progress} from './progress.js';
export type {QuantizeOptions} from './quantize/options.js';
export {type InsertedQuantization, type InsertQuantizationOptions, insertQuantization} from './quantize/qdq/insert_qdq.js';
export {type QuantizeResult, quantizeModel} from './quantize/quantize.js';
export type {ChatMessage} from './tokenizer/chat.js';
export type {TextTokenizer} from './tokenizer/tokenizer.js';
export {setTracing, type TracingOptions} from './tracing/tracing.js';
export {MemoryBudgetError, type MemoryBudgetOptions, setMemoryBudget} from './weights/budget.js';
export type {ByteSize} from './weights/byte_size.js';
export {DoesNotFitError, type FittingOptions} from './weights/does_not_fit.js';
export type {GpuReading} from './weights/monitor/gpu_reading.js';
export type {MemoryHolder} from './weights/monitor/holders.js';
export type {HostReading} from './weights/monitor/host_reading.js';
export {
  type AdmitOptions,
  createMemoryMonitor,
  type MemoryMonitor,
  type MemoryMonitorEvents,
  type MemoryMonitorOptions,
  MemoryPressureError,
  type MemoryReading,
  type WatermarkEvent,
} from './weights/monitor/memory_monitor.js';
export type {WatermarkRange} from './weights/monitor/watermark.js';
export type {Placement, PlacementBlock, PlacementLimits, Tier} from './weights/placement_option.js';
export {createModelRegistry} from './weights/registry/create.js';
export type {ModelLease} from './weights/registry/lease.js';
export type {ModelRegistry, RegisteredModel} from './weights/registry/model_registry.js';
export type {AcquireOptions, BudgetOptions, ModelRegistryOptions, RegisteredModelOptions} from './weights/registry/options.js';
export type {Memory, ModelState} from './weights/registry/residency.js';
