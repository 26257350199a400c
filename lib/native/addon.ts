/** What the native addon exports, as it is; the rest of this folder checks arguments and makes typed errors of its errors. */

import type {DecoderAddon} from './decoder_addon.js';
import type {EngineAddon} from './engine_addon.js';
import type {ProfilerAddon} from './profiler_addon.js';

export interface Addon extends EngineAddon, Partial<DecoderAddon>, Partial<ProfilerAddon> {
  loadDriver(): NativeDriver;
  /** Needs `loadDriver` to have said 'ready', as `devices` does. Slow where the kernel module tells nothing: NVML is started. */
  driverVersion(): NativeDriverVersion;
  devices(): NativeDeviceInfo[];
  /** The machine's GPUs in the order of the PCI bus, from NVML and without starting CUDA; undefined without NVML. */
  gpuModels(): NativeGpuModel[] | undefined;
  /**
   * Memory and PCIe traffic of those of the GPUs that tell, read on a thread within 50 milliseconds a GPU. Makes no CUDA
   * context. An older addon has it not.
   */
  gpuMemory?(gpus: readonly {ordinal: number; pciBusId: string}[]): Promise<NativeGpuMemory[]>;
  /** Opens libnvinfer from the first candidate, a path or a bare name, that serves. */
  openTensorrt(candidates: readonly string[]): NativeTensorrt;
  /** Detaches a buffer of `allocatePinned` and gives its memory back. */
  releasePinned(buffer: ArrayBuffer): void;
  Device: new (ordinal: number) => NativeDevice;
  Stream: new (device: NativeDevice, name: string) => NativeStream;
  Event: new (device: NativeDevice, timing: boolean) => NativeEvent;
  DeviceMemory: new (device: NativeDevice, bytes: number, stream: NativeStream) => NativeDeviceMemory;
}

export interface NativeDriver {
  status: 'ready' | 'library-missing' | 'function-missing' | 'initialisation-failed';
  path: string;
  /** Empty when ready. */
  problem: string;
  hint: string;
}

export interface NativeDriverVersion {
  /** 13000 is CUDA 13.0. */
  api: number;
  /** The kernel module's version: '580.95.05'. */
  kernel?: string;
}

export interface NativeDeviceInfo {
  ordinal: number;
  name: string;
  computeMajor: number;
  computeMinor: number;
  multiprocessors: number;
  totalBytes: number;
  pciBusId: string;
}

export interface NativeGpuModel {
  name: string;
  computeMajor: number;
  computeMinor: number;
  /** In multi-instance mode, where CUDA sees parts of it under other names. */
  divided: boolean;
}

/** Bytes. */
export interface NativeGpuMemory {
  ordinal: number;
  /** Of the whole card, other processes included. */
  totalBytes: number;
  usedBytes: number;
  freeBytes: number;
  /** Over PCIe, of all processes; undefined where the card does not tell. */
  receivedBytesPerSecond?: number;
  sentBytesPerSecond?: number;
  /** Of this process, once it uses the GPU. */
  pinnedPool?: Pick<PoolStats, 'reservedBytes' | 'usedBytes'>;
  devicePool?: Pick<PoolStats, 'reservedBytes' | 'usedBytes'>;
}

export interface NativeTensorrt {
  version: string;
  infer: string;
  parser?: string;
  parserProblem?: string;
}

/** Figures of a pool of memory. Sizes in bytes. */
export interface PoolStats {
  /** Taken from the driver. */
  reservedBytes: number;
  /** Of that, in blocks that are out. */
  usedBytes: number;
  /** The most that was ever out at once. */
  highWaterBytes: number;
  usedBlocks: number;
  idleBlocks: number;
  /** Blocks that came from the driver. */
  allocations: number;
  /** Blocks that came from the idle ones. */
  reuses: number;
}

export interface NativeDevice {
  memory(): {freeBytes: number; totalBytes: number};
  allocatePinned(bytes: number): ArrayBuffer;
  pinnedStats(): PoolStats;
  trimPinned(keepBytes: number): number;
  deviceStats(): PoolStats;
  trimDevice(keepBytes: number): number;
  /** Bytes a second that products of one row read of `bytes` of weights. Blocks for milliseconds. An older addon has it not. */
  weightReadsPerSecond?(bytes: number): number;
}

export interface NativeStream {
  copyToDevice(to: NativeDeviceMemory, toOffset: number, from: ArrayBuffer, fromOffset: number, bytes: number): void;
  copyToHost(to: ArrayBuffer, toOffset: number, from: NativeDeviceMemory, fromOffset: number, bytes: number): void;
  record(event: NativeEvent): void;
  wait(event: NativeEvent): void;
  done(): Promise<void>;
  dispose(): void;
}

export interface NativeEvent {
  millisecondsSince(start: NativeEvent): number;
  dispose(): void;
}

export interface NativeDeviceMemory {
  dispose(): void;
}
