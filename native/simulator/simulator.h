// Control of the simulated CUDA driver: what it is like, which calls fail, and what it found. Plain C, so that tests
// may link it and anything else may look the functions up with dlsym.
//
// libcuda_simulated.so stands in for libcuda.so.1 where there is no GPU. Streams are real queues with a thread each;
// device memory is on the heap. It judges by what was ordered, not by what happened to run when: two accesses of which
// one writes are a race unless stream order, events or a wait of the host put one before the other. All host threads
// count as one timeline, in the order of their calls (ThreadSanitizer is the judge between them).
//
// Under a program that cannot call these, the environment variable TENSORRT_NODE_SIMULATOR holds settings as
// "name=value" separated by commas: the fields of SimulatorConfig, "fail=SYMBOL:NTH:CODE" (any number of them),
// "report=stderr" or "report=/a/file" to write the findings at exit, "leaks=1" to count what is still alive then,
// and "exitCode=N" to end the process with N if there was any finding.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct SimulatorConfig {
  // 0 for a driver without a GPU.
  uint64_t devices;
  // Memory of each device, and the most that can be pinned, in bytes.
  uint64_t deviceBytes;
  uint64_t pinnedBytes;
  // How long each operation on a stream takes, in nanoseconds, and the most that chance adds.
  uint64_t operationNs;
  uint64_t jitterNs;
  // Bytes a second that copies run at; 0 for no limit.
  uint64_t copyBytesPerSecond;
  // Of the jitter.
  uint64_t seed;
  // 0 for devices without virtual memory (cuMemMap and its like).
  uint64_t virtualMemory;
} SimulatorConfig;

typedef enum SimulatorFindingKind {
  // Two accesses that nothing ordered.
  SIMULATOR_RACE,
  SIMULATOR_USE_AFTER_FREE,
  // An access beyond an allocation, or a damaged guard around one.
  SIMULATOR_OUT_OF_BOUNDS,
  SIMULATOR_DOUBLE_FREE,
  // Freed by the wrong function, or never allocated.
  SIMULATOR_INVALID_FREE,
  SIMULATOR_LEAK,
  // A call that makes the host or other streams wait for the whole device: cuCtxSynchronize, a synchronous copy, work
  // on the legacy stream or a stream that it stalls, freeing memory that queued work still uses.
  SIMULATOR_DEVICE_WIDE_SYNC,
  // An "asynchronous" copy from or to memory that is not pinned: the driver makes the host wait.
  SIMULATOR_PAGEABLE_COPY,
  // A stream, event or graph that was destroyed, or never existed.
  SIMULATOR_DEAD_HANDLE,
  // A CUDA call inside a host function.
  SIMULATOR_CALL_IN_HOST_FUNCTION,
  // An access to reserved addresses that have no memory behind them, or that cuMemSetAccess was not called for.
  SIMULATOR_UNMAPPED,
  // Addresses mapped twice, unmapped or given access without being mapped, or freed while mapped; memory mapped twice.
  SIMULATOR_INVALID_MAPPING,
} SimulatorFindingKind;

typedef struct SimulatorFinding {
  SimulatorFindingKind kind;
  // For people: which call, which memory, what it collided with.
  const char* message;
} SimulatorFinding;

// A new world with the default settings: no faults, no findings. Waits for work in flight. What was alive is gone.
void simulatorReset(void);
// One device of 1 GiB, operations that take no time.
SimulatorConfig simulatorDefaults(void);
void simulatorConfigure(const SimulatorConfig* config);

// Makes calls fail: those to `symbol` ("cuMemAlloc_v2"), beginning with the nth from now (1 is the next), `count` of
// them, with the CUresult `code`. Null stands for all but cuCtx*, without which no destructor could free anything.
// Calls that free or destroy do their work and then report the failure. With `code` CUDA_SUCCESS the others do nothing
// and say that all is well: as if the program had left them out.
void simulatorFail(const char* symbol, uint64_t nth, uint64_t count, int code);
// How often `symbol` (null for all but cuCtx...) was called since the reset.
uint64_t simulatorCalls(const char* symbol);
// From now on every call fails with CUDA_ERROR_DEINITIALIZED, as after the driver's own teardown at exit.
void simulatorDeinitialize(void);

// The host reads (write = 0) or writes memory; known only by being told. Memory that is not pinned is ignored. Telling
// of a read of the four bytes that a cuStreamWriteValue32 has written counts as having waited for it; reading them
// while the write is still to come is no race.
void simulatorHostAccess(const void* address, size_t bytes, int write);

// Memory that a kernel reads (write = 0) or writes.
typedef struct SimulatorRange {
  const void* address;
  size_t bytes;
  int write;
} SimulatorRange;

// Work of any kind, for libraries that are simulated as well.
typedef struct SimulatorKernel {
  // For messages.
  const char* name;
  const SimulatorRange* ranges;
  size_t rangeCount;
  // What it takes beyond SimulatorConfig's times.
  uint64_t nanoseconds;
  // Called in the order of the stream, for a captured kernel at each launch of its graph.
  void (*run)(void* data);
  void* data;
  // Called once, when nothing will run any more, also when the launch fails. Null for none.
  void (*release)(void* data);
} SimulatorKernel;

// Queues a kernel on a stream (a CUstream), or captures it, as cuLaunchKernel does. A CUresult.
int simulatorLaunch(void* stream, const SimulatorKernel* kernel);

typedef enum SimulatorActivityKind {
  SIMULATOR_KERNEL,
  SIMULATOR_COPY,
  SIMULATOR_SET,
  // A launch of a graph, from its first node to its last; told beside its nodes.
  SIMULATOR_GRAPH,
  // The host waited for a stream or an event.
  SIMULATOR_WAIT,
  // A call of this thread that queues what is told later under the same correlation.
  SIMULATOR_CALL,
} SimulatorActivityKind;

typedef enum SimulatorMemoryKind { SIMULATOR_PAGEABLE, SIMULATOR_PINNED, SIMULATOR_DEVICE } SimulatorMemoryKind;

// What does not apply is 0.
typedef struct SimulatorActivity {
  SimulatorActivityKind kind;
  const char* name;
  // Nanoseconds of CLOCK_MONOTONIC.
  uint64_t start;
  uint64_t end;
  int device;
  // Streams are counted from 1.
  uint64_t stream;
  uint64_t correlation;
  uint64_t graph;
  // Counted from 1 in its graph.
  uint64_t node;
  // Of copies and sets.
  uint64_t bytes;
  SimulatorMemoryKind from;
  SimulatorMemoryKind to;
  // Of kernels.
  unsigned grid[3];
  unsigned block[3];
  unsigned sharedBytes;
} SimulatorActivity;

typedef void (*SimulatorObserver)(const SimulatorActivity* activity, void* data);

// Tells `observer` from now on, on any thread but one at a time; it must not call the driver. Null for nobody: after
// that no call is under way. What a stream did is told before anybody can see that it is done.
void simulatorObserve(SimulatorObserver observer, void* data);
// While it is on, the launch of a graph that was instantiated while it was off ends the process; while it is off, to
// instantiate one that was captured while it was on does. So it is with CUPTI 13.0.
void simulatorTraceLaunches(int on);
// What activities call a stream (a CUstream); 0 for one that is not alive.
uint64_t simulatorStreamNumber(void* stream);

// Adds a finding for each allocation, stream, event, graph and context that is still alive and not yet reported.
void simulatorFindLeaks(void);
// What was found since the reset, in order; the array is good until the next call of any function here or of the
// driver.
size_t simulatorFindings(const SimulatorFinding** findings);
void simulatorClearFindings(void);

#ifdef __cplusplus
}
#endif
