#include "detach.h"

#include <atomic>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "cuda/driver.h"

namespace tensorrt_node::profile {

namespace {

constexpr int success = 0;
// CUDA 12.6's: before it, graphs that were captured with CUPTI there may crash once it has gone and come back.
constexpr std::uint32_t oldestThatLeaves = 24;
// CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuDeviceGetCount and CUPTI_API_EXIT.
constexpr std::uint32_t driverApi = 1;
constexpr std::uint32_t deviceGetCount = 4;
constexpr std::uint32_t exitSite = 1;

bool wanted() noexcept {
  const char* text = std::getenv("TENSORRT_NODE_CUPTI_DETACH");
  return text == nullptr || std::string_view(text) != "0";
}

// Not on the stack: another thread's call may come here late.
struct Departure {
  std::atomic<const Cupti*> cupti{nullptr};
  std::thread::id thread;
  bool gone = false;
};
Departure departure;

// Of CUpti_CallbackData the beginning, which tells where in the call this is.
void called(void*, std::uint32_t domain, std::uint32_t function, const void* data) noexcept {
  const Cupti* const cupti = departure.cupti.load(std::memory_order_acquire);
  if (cupti == nullptr || departure.thread != std::this_thread::get_id()) return;
  if (domain != driverApi || function != deviceGetCount || *static_cast<const std::uint32_t*>(data) != exitSite) return;
  departure.cupti = nullptr;
  departure.gone = cupti->finalize() == success;
}

}  // namespace

// The end of a driver's call is where NVIDIA says it is safe, whatever other threads do: so a call is made.
bool detach(const Cupti& cupti) noexcept {
  if (!wanted() || !cupti.canLeave() || cupti.version() < oldestThatLeaves) return false;
  void* subscriber = nullptr;
  if (cupti.subscribe(&subscriber, called, nullptr) != success) return false;
  departure.thread = std::this_thread::get_id();
  departure.gone = false;
  departure.cupti.store(&cupti, std::memory_order_release);
  if (cupti.enableCallback(1, subscriber, driverApi, deviceGetCount) == success) {
    int count = 0;
    cuda::driver().cuDeviceGetCount(&count);
  }
  departure.cupti = nullptr;
  // With CUPTI the subscription has gone.
  if (!departure.gone) cupti.unsubscribe(subscriber);
  return departure.gone;
}

}  // namespace tensorrt_node::profile
