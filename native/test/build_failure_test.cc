// Each driver call of a calibrated build fails once: an error comes out or none is needed, and nothing leaks.
#include "build.h"
#include "cuda/error.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;

namespace {

// Whether it went well; an error is one of ours.
bool builds() {
  test::BuildRun build(test::productModel({2, 4}));
  build.request.flags = {"int8"};
  build.request.calibration.emplace();
  build.request.timingCacheOut = build.folder.file("timings");
  bool given = false;
  build.listener.onBatchWanted = [&] {
    if (given)
      build.control.provideBatch(std::nullopt);
    else
      build.control.provideBatch(trt::Batch{{"x", {std::vector<std::byte>(32), {2, 4}}}});
    given = true;
  };
  try {
    build.run();
    return true;
  } catch (const cuda::CudaError&) {
  } catch (const trt::TensorrtError&) {
  }
  CHECK(!build.folder.has("model.plan"));
  return false;
}

}  // namespace

TEST(a_build_survives_the_failure_of_any_driver_call) {
  const std::uint64_t before = simulatorCalls(nullptr);
  CHECK(builds());
  const std::uint64_t calls = simulatorCalls(nullptr) - before;
  CHECK(calls > 10);
  std::uint64_t failed = 0;
  for (std::uint64_t nth = 1; nth <= calls; ++nth) {
    simulatorReset();
    simulatorFail(nullptr, nth, 1, CUDA_ERROR_LAUNCH_FAILED);
    if (!builds()) ++failed;
    simulatorFindLeaks();
    auto found = test::takeFindings();
    // When TensorRT's own wait for its reading of a batch fails, nobody can know that it is over.
    std::erase_if(found, [](const test::Finding& each) {
      return each.kind == SIMULATOR_DEVICE_WIDE_SYNC && each.message.find("calibration") != std::string::npos;
    });
    if (!found.empty()) throw check::Failure("when call " + std::to_string(nth) + " failed:" + test::describe(found));
  }
  // The others are calls that free.
  CHECK(failed > calls / 2);
}
