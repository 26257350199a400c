// Names of dimensions: TensorRT holds a profile to them, and exporters write what is no promise.
#include "build.h"

namespace trt = tensorrt_node::tensorrt;
using test::BuildRun;
using test::OnnxModel;

// Both dynamic dimensions of this model have one name.
TEST(a_profile_may_give_dimensions_of_one_name_different_ranges) {
  BuildRun build(OnnxModel().input("x", {-1, -1}).output("y").node("Relu", {"x"}, {"y"}));
  build.request.profiles = {{{"x", {{{1, 4}, {1, 4}, {8, 4}}, false}}}};
  CHECK(build.run().planBytes > 0);
}

TEST(names_that_the_profiles_keep_stay) {
  BuildRun build(OnnxModel().input("x", {-1}).input("z", {-1}).output("y").node("Add", {"x", "z"}, {"y"}));
  const trt::RequestedRange range{{{1}, {2}, {4}}, false};
  build.request.profiles = {{{"x", range}, {"z", range}}};
  CHECK(build.run().planBytes > 0);
}
