// The work of a model's steps, as the scheduler asks for it: queued on one stream, done in that order.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <utility>

#include "../kernels/parameters.h"
#include "../weights/usage.h"
#include "page_pool.h"
#include "request.h"
#include "step_layers.h"

namespace tensorrt_node::decode {

struct RunnerLimits {
  // Sequences that have a row in the table of pages and a state.
  std::int32_t slots;
  // Pages of the whole cache.
  std::int32_t pages;
  std::int32_t pagesPerSlot;
  // Rows of a step of prompts, and of one of streams.
  std::int32_t prefillRows;
  std::int32_t decodeRows;
  // Rows of which score() gives the logits in one call.
  std::int32_t scoreRows;
  std::int32_t vocabulary;
};

// What a slot begins with. Spans are read before the call returns.
struct SlotStart {
  std::int32_t slot;
  // The slot's row in the table of pages, from its beginning; it does not change while the request lasts.
  std::span<const Page> pages;
  // The whole prompt: for penalties.
  std::span<const std::int32_t> prompt;
  // Tokens that may be chosen: SlotState::remaining before the first.
  std::int32_t maxNewTokens;
  const Sampling& sampling;
};

// Tokens of a prompt, one after the other.
struct PromptRun {
  std::int32_t slot;
  // Of the first token.
  std::int32_t position;
  std::span<const std::int32_t> tokens;
  // The prompt ends here: a token is chosen, and the slot runs from then on.
  bool last;
};

// Steps queued, from 1.
using StepNumber = std::uint64_t;

// What a runner takes, in bytes.
struct RunnerUsage {
  weights::StoreBytes weights;
  weights::StoreCounters moved;
  // Keys and values, on the device, and in pinned RAM while the runner is suspended.
  std::uint64_t cache = 0;
  std::uint64_t savedCache = 0;
  // What steps compute in, on the device.
  std::uint64_t scratch = 0;
};

// The weights for a step could not be brought. Some of it was queued, and chooses nothing; other steps may go well.
class StepLostError : public std::exception {
 public:
  explicit StepLostError(std::exception_ptr cause) noexcept : cause_(std::move(cause)) {}
  const char* what() const noexcept override { return "the weights for a step could not be brought"; }
  const std::exception_ptr& cause() const noexcept { return cause_; }

 private:
  std::exception_ptr cause_;
};

// For one thread. Calls that queue return at once, and have read what they were given: pinned staging is the runner's.
// One that throws CudaError with CUDA_ERROR_OUT_OF_MEMORY has queued nothing and may be tried again; after
// StepLostError the slots of the step must begin again; after anything else the runner is of no more use than to be
// waited for and destroyed.
class StepRunner {
 public:
  virtual ~StepRunner() = default;
  virtual RunnerLimits limits() const = 0;

  // Steps queued from now on know the slot as this. Earlier ones may still be under way with what it was before.
  virtual void begin(const SlotStart& start) = 0;
  // All layers' keys and values of a page.
  virtual void copyPage(Page from, Page to) = 0;

  // Writes the keys and values of these rows, at most prefillRows; no slot twice. A record for each last run, in order.
  virtual StepNumber prefill(std::span<const PromptRun> runs) = 0;
  // Runs each slot's token and chooses the next, at most decodeRows; no slot twice, in ascending order. A record for
  // each. A slot that ended in a step before this one writes no keys and values, chooses nothing, and its record says
  // so (token -1).
  virtual StepNumber decode(std::span<const std::int32_t> slots) = 0;

  // Whether the step is done. Throws what it failed with.
  virtual bool done(StepNumber step) = 0;
  // Blocks until then.
  virtual void wait(StepNumber step) = 0;
  // Of a step that is done; good until stepsInFlight more were queued.
  virtual std::span<const kernels::TokenRecord> records(StepNumber step) = 0;

  // Steps whose records are kept at a time: so many may be under way.
  virtual std::size_t stepsInFlight() const = 0;

  // Runs a piece of a prompt, at most scoreRows, and waits for the logits after each of its tokens:
  // [tokens, vocabulary]. Nothing is chosen; `last` is not looked at.
  virtual void score(const PromptRun& run, std::span<float> logits) = 0;

  // Gives memory of the device up, weights and cache; no step may be under way, and none be queued before resume(). Of
  // the cache it keeps `pages`; false where there is no memory to keep them in, and all is lost. Weights are kept in
  // pinned RAM, or read again from their files. Throws CudaError, and has changed nothing then.
  virtual bool suspend(std::span<const Page> pages, bool keepRam) = 0;
  // Throws CudaError with CUDA_ERROR_OUT_OF_MEMORY, or files::FileError, and is suspended still.
  virtual void resume() = 0;

  virtual RunnerUsage usage() = 0;

  // Times the layers of such steps, in contexts of their own, and waits for that. No step may be under way. The slots
  // are begun, with pages for the context and the rows: as many as a decode step has rows, as told by layerRows(), or
  // one. What they hold is of no use then. Throws tensorrt::AbortedError where `stopped` says so, TensorrtError, and
  // as steps do; but after a TensorrtError the runner is as good as before.
  virtual StepLayers layers(const StepLayersRequest& request, std::span<const std::int32_t> slots,
                            const std::function<bool()>& stopped) = 0;
  // Rows of the step that so many are run in, but for padding of prompts; 0 where there is none so large.
  virtual std::int32_t layerRows(StepKind kind, std::int32_t rows) const = 0;
};

}  // namespace tensorrt_node::decode
