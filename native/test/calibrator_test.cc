// INT8 calibration on the simulated TensorRT: batches in, scales kept, and every way it can go wrong.
#include "tensorrt/calibrator.h"

#include <cstring>
#include <thread>

#include "build.h"
#include "files/error.h"
#include "tensorrt/error.h"

namespace cuda = tensorrt_node::cuda;
namespace trt = tensorrt_node::tensorrt;
using test::BuildRun;
using test::productModel;

namespace {

trt::BatchTensor tensor(const trt::Shape& dims, float value) {
  std::size_t count = 1;
  for (const std::int64_t each : dims) count *= static_cast<std::size_t>(each);
  const std::vector<float> values(count, value);
  trt::BatchTensor result{std::vector<std::byte>(count * sizeof(float)), dims};
  std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
  return result;
}

// Provides each of `batches` when it is wanted, then says that there are no more.
void provide(BuildRun& build, std::vector<trt::Batch> batches) {
  build.listener.onBatchWanted = [&build, batches = std::move(batches), next = std::size_t{0}]() mutable {
    if (next < batches.size()) {
      build.control.provideBatch(batches[next++]);
    } else {
      build.control.provideBatch(std::nullopt);
    }
  };
}

trt::RequestedProfile profile() {
  return {{"x", {{{1, 4}, {2, 4}, {8, 4}}, false}}};
}

void askForCalibration(BuildRun& build, std::int64_t batchSize = 2) {
  build.request.flags = {"int8"};
  build.request.calibration.emplace();
  build.request.calibration->batchSize = batchSize;
  build.request.calibration->cacheOut = build.folder.file("calibration");
}

// What calibrating on these values leaves in the calibration cache.
std::string calibrated(const std::vector<float>& values, bool minMax = false) {
  BuildRun build(productModel({2, 4}));
  askForCalibration(build);
  build.request.calibration->minMax = minMax;
  std::vector<trt::Batch> batches;
  for (const float each : values) batches.push_back({{"x", tensor({2, 4}, each)}});
  provide(build, batches);
  build.run();
  return build.folder.read("calibration");
}

}  // namespace

TEST(calibration_reads_every_batch) {
  const std::string two = calibrated({1, 2});
  CHECK(!two.empty());
  CHECK(two != calibrated({1}));
  CHECK(two != calibrated({1, 3}));
  CHECK(two == calibrated({1, 2}));
}

TEST(calibration_has_two_algorithms) {
  CHECK_CONTAINS(calibrated({1}), "EntropyCalibration2");
  CHECK_CONTAINS(calibrated({1}, true), "MinMaxCalibration");
}

TEST(a_dynamic_network_is_calibrated_at_the_first_profiles_optimum) {
  BuildRun build(productModel({-1, 4}));
  build.request.profiles = {profile()};
  askForCalibration(build, 3);
  provide(build, {{{"x", tensor({3, 4}, 1)}}, {{"x", tensor({3, 4}, 2)}}});
  CHECK(build.run().planBytes > 0);
  CHECK_EQUAL(build.listener.batchesWanted, 3);
}

TEST(a_calibration_cache_spares_the_batches) {
  BuildRun build(productModel({2, 4}));
  askForCalibration(build);
  build.request.calibration->cache = build.folder.write("kept", calibrated({1, 2}));
  CHECK(build.run().planBytes > 0);
  CHECK_EQUAL(build.listener.batchesWanted, 0);
}

TEST(a_calibration_cache_that_does_not_exist_is_no_error) {
  BuildRun build(productModel({2, 4}));
  askForCalibration(build);
  build.request.calibration->cache = build.folder.file("missing");
  provide(build, {{{"x", tensor({2, 4}, 1)}}});
  CHECK(build.run().planBytes > 0);
  CHECK_EQUAL(build.listener.batchesWanted, 2);
}

TEST(batches_that_do_not_fit_name_the_input) {
  trt::BatchTensor brief = tensor({2, 4}, 1);
  brief.bytes.pop_back();
  const std::pair<trt::Batch, const char*> cases[] = {
      {{}, "calibration batch 1: input 'x' is missing"},
      {{{"z", tensor({2, 4}, 1)}}, "calibration batch 1: input 'x' is missing"},
      {{{"x", tensor({3, 4}, 1)}}, "input 'x' has the shape [3, 4], expected [2, 4]"},
      {{{"x", tensor({2, 4, 1}, 1)}}, "input 'x' has the shape [2, 4, 1], expected [2, 4]"},
      {{{"x", brief}}, "input 'x' has 31 bytes, expected 32"},
  };
  for (const auto& [batch, expected] : cases) {
    BuildRun build(productModel({2, 4}));
    askForCalibration(build);
    provide(build, {batch});
    CHECK_CONTAINS(CHECK_THROWS(build.run(), trt::TensorrtError).what(), expected);
    CHECK(!build.folder.has("model.plan"));
  }
}

TEST(calibration_without_a_batch_is_an_error) {
  BuildRun build(productModel({2, 4}));
  askForCalibration(build);
  provide(build, {});
  CHECK_CONTAINS(CHECK_THROWS(build.run(), trt::TensorrtError).what(), "there is no batch to calibrate with");
}

TEST(a_build_cancelled_while_it_waits_for_a_batch_ends) {
  BuildRun build(productModel({2, 4}));
  askForCalibration(build);
  std::thread canceller;
  build.listener.onBatchWanted = [&] {
    if (build.listener.batchesWanted == 1) {
      build.control.provideBatch(trt::Batch{{"x", tensor({2, 4}, 1)}});
    } else {
      canceller = std::thread([&] { build.control.cancel(); });
    }
  };
  CHECK_THROWS(build.run(), trt::AbortedError);
  canceller.join();
  CHECK_EQUAL(build.listener.batchesWanted, 2);
  CHECK(!build.folder.has("model.plan"));
}

TEST(batches_may_be_provided_from_another_thread) {
  BuildRun build(productModel({2, 4}));
  askForCalibration(build);
  std::vector<std::thread> providers;
  build.listener.onBatchWanted = [&] {
    const bool more = build.listener.batchesWanted < 5;
    providers.emplace_back([&build, more] {
      if (more)
        build.control.provideBatch(trt::Batch{{"x", tensor({2, 4}, 1)}});
      else
        build.control.provideBatch(std::nullopt);
    });
  };
  build.run();
  for (std::thread& each : providers) each.join();
  CHECK_EQUAL(build.listener.batchesWanted, 5);
}

TEST(a_batch_that_the_gpu_refuses_ends_the_build) {
  for (const std::string call : {"cuMemcpyHtoDAsync", "cuMemAlloc"}) {
    BuildRun build(productModel({2, 4}));
    askForCalibration(build);
    provide(build, {{{"x", tensor({2, 4}, 1)}}});
    simulatorFail((call + "_v2").c_str(), 1, 100, CUDA_ERROR_OUT_OF_MEMORY);
    const auto error = CHECK_THROWS(build.run(), cuda::CudaError);
    CHECK_EQUAL(error.call(), call);
    simulatorReset();
  }
}

TEST(a_calibration_cache_that_cannot_be_written_ends_the_build) {
  BuildRun build(productModel({2, 4}));
  askForCalibration(build);
  build.request.calibration->cacheOut = build.folder.file("no/such/folder");
  provide(build, {{{"x", tensor({2, 4}, 1)}}});
  CHECK_EQUAL(CHECK_THROWS(build.run(), tensorrt_node::files::FileError).codeName(), "ENOENT");
}
