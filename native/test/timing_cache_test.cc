// Timing caches: kept from build to build, merged, and passed over when they do not fit.
#include "tensorrt/timing_cache.h"

#include "build.h"
#include "cuda/context.h"
#include "files/error.h"
#include "tensorrt/error.h"

namespace trt = tensorrt_node::tensorrt;
using test::BuildRun;
using test::productModel;

namespace {

// The timing cache that a build of this model leaves.
std::string timings(const test::OnnxModel& model) {
  BuildRun build(model);
  build.request.timingCacheOut = build.folder.file("out");
  build.run();
  return build.folder.read("out");
}

test::OnnxModel otherModel() {
  return test::OnnxModel().input("x", {2}).output("y").node("Exp", {"x"}, {"y"}, "exp");
}

// How many layers a build with this timing cache times.
std::uint64_t timedWith(const test::OnnxModel& model, const std::string& cache, bool& used) {
  BuildRun build(model);
  build.request.timingCache = build.folder.write("in", cache);
  const std::uint64_t before = simulatedTensorrtTimedLayers();
  used = build.run().timingCacheUsed;
  return simulatedTensorrtTimedLayers() - before;
}

void merge(const test::TemporaryFolder& folder) {
  const auto context = test::context();
  const tensorrt_node::cuda::Current current(*context);
  trt::mergeTimingCache(test::libraries(), folder.file("into"), folder.file("from"));
}

}  // namespace

TEST(a_second_build_finds_the_first_ones_timings) {
  const std::string cache = timings(productModel({2, 4}));
  bool used = false;
  CHECK_EQUAL(timedWith(productModel({2, 4}), cache, used), 0U);
  CHECK(used);
}

TEST(timing_caches_that_do_not_fit_are_passed_over) {
  const std::string cache = timings(productModel({2, 4}));
  simulatedTensorrtSet("computeCapability", "8.0");
  const std::string foreign = timings(productModel({2, 4}));
  simulatedTensorrtSet("computeCapability", "9.0");
  for (const std::string& each :
       {std::string(), std::string("no timing cache"), cache.substr(0, cache.size() / 2), cache + "more", foreign}) {
    bool used = true;
    CHECK_EQUAL(timedWith(productModel({2, 4}), each, used), 2U);
    CHECK(!used);
  }
}

TEST(a_timing_cache_that_does_not_exist_is_no_error) {
  BuildRun build(productModel({2, 4}));
  build.request.timingCache = build.folder.file("missing");
  CHECK(!build.run().timingCacheUsed);
}

TEST(a_timing_cache_that_cannot_be_read_is_an_error) {
  BuildRun build(productModel({2, 4}));
  build.request.timingCache = build.folder.file("");
  CHECK_EQUAL(CHECK_THROWS(build.run(), tensorrt_node::files::FileError).codeName(), "EISDIR");
}

TEST(a_cancelled_build_leaves_its_timings) {
  BuildRun build(productModel({2, 4}));
  build.request.timingCacheOut = build.folder.file("out");
  build.listener.onProgress = [&](const trt::Progress& progress) {
    if (progress.phase == "Timing graph nodes" && progress.event == trt::Progress::Event::step) build.control.cancel();
  };
  CHECK_THROWS(build.run(), trt::AbortedError);
  bool used = false;
  CHECK_EQUAL(timedWith(productModel({2, 4}), build.folder.read("out"), used), 1U);
  CHECK(used);
}

TEST(a_failed_build_keeps_its_own_error_when_its_timings_cannot_be_written) {
  simulatedTensorrtSet("build", "fail");
  BuildRun build(productModel({2, 4}));
  build.request.timingCacheOut = build.folder.file("no/such/folder");
  CHECK_CONTAINS(CHECK_THROWS(build.run(), trt::TensorrtError).what(), "Could not find any implementation");
}

TEST(timings_that_cannot_be_written_are_an_error) {
  BuildRun build(productModel({2, 4}));
  build.request.timingCacheOut = build.folder.file("no/such/folder");
  CHECK_EQUAL(CHECK_THROWS(build.run(), tensorrt_node::files::FileError).codeName(), "ENOENT");
  CHECK(!build.folder.has("model.plan"));
}

TEST(a_merged_timing_cache_has_the_entries_of_both) {
  const test::TemporaryFolder folder;
  folder.write("into", timings(productModel({2, 4})));
  folder.write("from", timings(otherModel()));
  merge(folder);
  CHECK_EQUAL(folder.list().find(".tmp"), std::string::npos);
  for (const test::OnnxModel& model : {productModel({2, 4}), otherModel()}) {
    bool used = false;
    CHECK_EQUAL(timedWith(model, folder.read("into"), used), 0U);
    CHECK(used);
  }
}

TEST(a_missing_or_damaged_timing_cache_is_merged_into_anew) {
  const test::TemporaryFolder folder;
  const std::string cache = folder.read(folder.write("from", timings(otherModel())));
  merge(folder);
  folder.write("into", "damaged");
  merge(folder);
  bool used = false;
  CHECK_EQUAL(timedWith(otherModel(), folder.read("into"), used), 0U);
}

TEST(what_is_no_timing_cache_is_not_merged) {
  const test::TemporaryFolder folder;
  const std::string before = timings(productModel({2, 4}));
  folder.write("into", before);
  CHECK_CONTAINS(CHECK_THROWS(merge(folder), trt::TensorrtError).what(), "from: is missing, or is no timing cache");
  folder.write("from", "damaged");
  CHECK_THROWS(merge(folder), trt::TensorrtError);
  simulatedTensorrtSet("computeCapability", "8.0");
  folder.write("from", timings(otherModel()));
  simulatedTensorrtSet("computeCapability", "9.0");
  CHECK_THROWS(merge(folder), trt::TensorrtError);
  CHECK(folder.read("into") == before);
}
