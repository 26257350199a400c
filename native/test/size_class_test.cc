// What requests are rounded up to.
#include "cuda/size_class.h"

#include <limits>

#include "check.h"
#include "cuda/device_pool.h"
#include "cuda/pinned_pool.h"

namespace cuda = tensorrt_node::cuda;

TEST(size_classes_hold_the_request_and_lose_at_most_a_quarter) {
  constexpr std::size_t smallest = 512;
  for (std::size_t bytes = 1; bytes < 100'000; ++bytes) {
    const std::size_t capacity = cuda::sizeClass(bytes, smallest);
    CHECK(capacity >= bytes);
    CHECK_EQUAL(capacity % smallest, 0U);
    // A class is its own class, or blocks would not fit the next request of their size.
    CHECK_EQUAL(cuda::sizeClass(capacity, smallest), capacity);
    if (bytes > 4 * smallest) CHECK((capacity - bytes) * 4 <= capacity);
  }
}

TEST(size_classes_by_example) {
  struct Example {
    std::size_t bytes;
    std::size_t pinned;
    std::size_t device;
  };
  constexpr std::size_t mebibyte = std::size_t{1} << 20;
  const Example examples[] = {
      {0, 4096, 512},
      {1, 4096, 512},
      {512, 4096, 512},
      {513, 4096, 1024},
      {4097, 8192, 5120},
      {mebibyte, mebibyte, mebibyte},
      {mebibyte + 1, mebibyte / 4 * 5, mebibyte / 4 * 5},
      {7 * mebibyte + 1, 8 * mebibyte, 8 * mebibyte},
      {std::numeric_limits<std::size_t>::max(), std::size_t{1} << 63, std::size_t{1} << 63},
  };
  for (const Example& each : examples) {
    CHECK_EQUAL(cuda::pinnedSizeClass(each.bytes), each.pinned);
    CHECK_EQUAL(cuda::deviceSizeClass(each.bytes), each.device);
  }
}
