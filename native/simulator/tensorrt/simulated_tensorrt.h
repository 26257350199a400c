// Control of the simulated TensorRT: what it pretends to be, and what goes wrong.
//
// libnvinfer.so.10 and libnvonnxparser.so.10 of this folder stand in for NVIDIA's where there is no GPU. They speak
// TensorRT's own C++ interfaces (take them from its headers), run on the simulated CUDA driver beside them, and are
// real as far as they go: the parser reads ONNX files, the builder makes plans, engines compute on the CPU, in the
// order of their CUDA stream, and the driver sees what they read and write. A method that is not simulated, or that the
// pretended version does not have yet, ends the process with a message that names it.
//
// Operators: see operators.cc, and plugins of the third generation whose creators are in getPluginRegistry(): the
// attributes plugin_namespace and plugin_version of a node find them. The builder asks and times them as TensorRT may,
// plans keep what they serialize and the expressions of their outputs' sizes, and an execution with plugins is one
// kernel for each other node, and whatever the plugins queue. Anything else is a parser error like TensorRT's own. A
// Reshape or Expand whose shape is an input of the model makes that input a shape tensor (in host memory); NonZero has
// an output whose shape depends on data (IOutputAllocator; not capturable).
//
// Settings are "name=value", separated by commas in the environment variable TENSORRT_NODE_SIMULATOR_TENSORRT, or one
// by one by simulatedTensorrtSet():
//
//   version=10.6.0            what getInferLibVersion() says and plans are stamped with
//   computeCapability=9.0     of the GPU it believes to run on, for plans and timing caches; default: the driver's
//   noParser=1                the parser's factory returns null
//   parse=fail                every model is refused
//   build=HOW                 after the first step of the build: fail (an error and no plan), out-of-memory (TensorRT's
//   own
//                             error), abort, segfault, exit (with code 3), print-and-abort (as LLVM does), hang
//                             (without asking the progress monitor again)
//   buildSteps=4              steps of the longest phase
//   buildStepMs=0             what each of them takes
//   layerMs=0                 what timing a layer takes that the timing cache does not know
//   deserialize=fail, context=fail, enqueue=fail, refit=fail
//   executeNs=0               what one execution takes, of plans without plugins
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Returns 0 if that makes no sense, and changes nothing.
int simulatedTensorrtSet(const char* name, const char* value);
// All settings as without any environment.
void simulatedTensorrtReset(void);
// Layers that were timed, rather than found in a timing cache, since the reset.
uint64_t simulatedTensorrtTimedLayers(void);

#ifdef __cplusplus
}
#endif
