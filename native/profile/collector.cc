#include "collector.h"

#include <dlfcn.h>

#include <algorithm>
#include <new>
#include <utility>

#include "cuda/graph_tracing.h"
#include "cuda/stream_names.h"
#include "host_time.h"

namespace tensorrt_node::profile {

namespace {

constexpr int success = 0;
constexpr std::uint32_t flushForced = 1;
// How late activities may be; less costs CUPTI's thread more.
constexpr std::uint32_t flushMilliseconds = 100;
// Steps that are held until they are taken.
constexpr std::size_t mostSteps = 65'536;
// CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, which is for tools.
constexpr std::uint32_t rangeKind = 3;

// CUPTI calls back until the process ends, but a worker's end may unload the library that this code is in.
void keepThisLibrary() noexcept {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&keepThisLibrary), &info) == 0) return;
  // Nothing for a program, which stays anyhow. The handle is ours to leave open.
  ::dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace

Collector& Collector::instance() {
  alignas(Collector) static std::byte storage[sizeof(Collector)];
  static auto* const collector = ::new (static_cast<void*>(storage)) Collector;
  return *collector;
}

std::uint64_t Collector::start(const CollectorOptions& options) {
  const std::lock_guard turn(turn_);
  if (collecting_) throw BusyError();
  if (!options.byEvents) open(options.libraries);
  {
    const std::lock_guard lock(mutex_);
    accepting_ = true;
    byEvents_ = options.byEvents;
    firstStep_ = StepQueue::instance().number();
    attributing_ = options.ranges;
    accepted_ = collection_ + 1;
    most_ = options.mostActivities;
    origin_ = options.origin;
    activities_.clear();
    attribution_ = {};
    steps_.clear();
    names_ = {};
    streams_.clear();
    dropped_ = 0;
  }
  if (options.byEvents) {
    StepQueue::instance().open(true);
    collecting_ = true;
    return ++collection_;
  }
  try {
    enable(options);
    // Only now does CUPTI know contexts and streams that were there before it.
    measureClock();
    nameStreams(true);
    cupti_->check(cupti_->flushPeriod(flushMilliseconds), "cuptiActivityFlushPeriod");
    StepQueue::instance().open(false);
  } catch (...) {
    disable();
    throw;
  }
  collecting_ = true;
  return ++collection_;
}

CollectorInfo Collector::info() const {
  const std::lock_guard turn(turn_);
  return cupti_ && !byEvents_ ? CollectorInfo{cupti_->path(), cupti_->version()} : CollectorInfo{};
}

void Collector::stop(std::uint64_t collection) noexcept {
  const std::lock_guard turn(turn_);
  if (!collecting_ || collection != collection_) return;
  StepQueue::instance().close();
  if (byEvents_) {
    const std::lock_guard lock(mutex_);
    accepting_ = false;
    collecting_ = false;
    return;
  }
  disable();
  collecting_ = false;
}

TakenActivities Collector::take(std::uint64_t collection, std::size_t most) {
  TakenActivities taken;
  const std::lock_guard lock(mutex_);
  if (collection != accepted_) return taken;
  takeSteps();
  if (accepting_) {
    attribution_.take(activities_, names_, hostTime());
  } else {
    attribution_.takeAll(activities_, names_);
  }
  taken.steps = std::exchange(steps_, {});
  for (StepRecord& each : taken.steps) {
    each.begin -= origin_;
    each.end -= origin_;
  }
  const auto end = activities_.begin() + static_cast<std::ptrdiff_t>(std::min(most, activities_.size()));
  taken.activities.assign(activities_.begin(), end);
  activities_.erase(activities_.begin(), end);
  taken.names = names_.takeNew();
  taken.dropped = std::exchange(dropped_, 0);
  return taken;
}

void Collector::add(const TimedStep& timed) {
  const std::lock_guard lock(mutex_);
  if (!accepting_ || !byEvents_ || timed.step < firstStep_) return;
  if (activities_.size() >= most_) {
    ++dropped_;
    return;
  }
  Activity activity;
  activity.kind = ActivityKind::range;
  activity.start = static_cast<double>(timed.start - origin_);
  activity.end = static_cast<double>(timed.end - origin_);
  activity.device = timed.device;
  activity.stream = timed.stream;
  activity.streamName = names_.numberOf(timed.streamName);
  activity.name = activity.phase = names_.numberOf(nameOf(timed.phase));
  activity.step = static_cast<std::uint32_t>(timed.step);
  activities_.push_back(activity);
}

void Collector::takeSteps() {
  StepQueue& queue = StepQueue::instance();
  for (StepRecord& each : queue.take()) {
    attribution_.add(each);
    if (steps_.size() < mostSteps) {
      steps_.push_back(std::move(each));
    } else {
      ++dropped_;
    }
  }
  dropped_ += queue.takeDropped();
}

bool Collector::enter(std::uint64_t range) noexcept {
  // With it, CUPTI is open.
  return ranges_.load(std::memory_order_acquire) && cupti_->pushCorrelation(rangeKind, range) == success;
}

void Collector::leave() noexcept {
  std::uint64_t last = 0;
  cupti_->popCorrelation(rangeKind, &last);
}

void Collector::open(const std::vector<std::string>& libraries) {
  if (cupti_) return;
  const Cupti opened = Cupti::open(libraries);
  keepThisLibrary();
  // Before anything is enabled. What CUPTI makes of it is measured, so it may as well refuse.
  opened.registerTimestamp([]() noexcept { return static_cast<std::uint64_t>(hostTime()); });
  opened.check(opened.registerCallbacks(requestBuffer, completeBuffer), "cuptiActivityRegisterCallbacks");
  cupti_ = opened;
}

void Collector::enable(const CollectorOptions& options) {
  std::vector<cupti::Kind> kinds{cupti::Kind::concurrentKernel, cupti::Kind::copy, cupti::Kind::peerCopy,
                                 cupti::Kind::set, cupti::Kind::synchronization};
  for (const cupti::Kind kind : kinds) enable(kind);
  // With it, CUPTI leaves the nodes out.
  if (!options.graphNodes)
    cuda::GraphTracing::instance().begin(
        [this] { cupti_->check(cupti_->enable(cupti::Kind::graph), "cuptiActivityEnable"); },
        [this] { cupti_->disable(cupti::Kind::graph); });
  if (options.ranges) enableRanges();
}

void Collector::enable(cupti::Kind kind) {
  cupti_->check(cupti_->enable(kind), "cuptiActivityEnable");
  enabled_.push_back(kind);
}

// What a CUPTI refuses of this is missed, not more: steps are told without their work then.
void Collector::enableRanges() noexcept {
  // CUPTI tells of ranges with the calls that it records. To have a few calls recorded alone
  // (cuptiActivityEnableDriverApi) is not enough: CUPTI 13.0 tells of no ranges then, but in the first collection of a
  // process.
  for (const cupti::Kind kind : {cupti::Kind::driver, cupti::Kind::externalCorrelation}) {
    if (cupti_->enable(kind) != success) return;
    enabled_.push_back(kind);
  }
  ranges_.store(true, std::memory_order_release);
}

void Collector::disable() noexcept {
  ranges_.store(false, std::memory_order_release);
  cupti_->flushPeriod(0);
  cuda::GraphTracing::instance().end();
  for (const cupti::Kind kind : enabled_) cupti_->disable(kind);
  enabled_.clear();
  // What has ended, then what is left: CUPTI gives buffers with unfinished records only when it is forced.
  cupti_->flushAll(0);
  cupti_->flushAll(flushForced);
  try {
    nameStreams(false);
  } catch (...) {
    // Nobody listens all the same: it is the telling of names that can fail.
  }
  {
    const std::lock_guard lock(mutex_);
    accepting_ = false;
  }
  buffers_.trim();
}

void Collector::nameStreams(bool wanted) {
  if (!wanted) {
    cuda::StreamNames::instance().listen(nullptr);
    return;
  }
  cuda::StreamNames::instance().listen([this](CUcontext context, CUstream stream, const std::string& name) {
    std::uint32_t contextId = 0;
    std::uint32_t streamId = 0;
    if (cupti_->getContextId(context, &contextId) != success) return;
    if (cupti_->getStreamId(context, stream, 0, &streamId) != success) return;
    const std::lock_guard lock(mutex_);
    streams_[{contextId, streamId}] = names_.numberOf(name);
  });
}

// CUPTI's clock should be the host's, by the callback; if it is not, the offset of the two is what counts.
void Collector::measureClock() {
  std::uint64_t least = ~std::uint64_t{0};
  std::int64_t offset = 0;
  for (int i = 0; i < 5; ++i) {
    std::uint64_t theirs = 0;
    const auto before = static_cast<std::uint64_t>(hostTime());
    if (cupti_->getTimestamp(&theirs) != success) return;
    const auto after = static_cast<std::uint64_t>(hostTime());
    if (theirs >= before && theirs <= after) {
      offset = 0;
      break;
    }
    if (after - before >= least) continue;
    least = after - before;
    offset = static_cast<std::int64_t>(before + least / 2) - static_cast<std::int64_t>(theirs);
  }
  const std::lock_guard lock(mutex_);
  clockOffset_ = offset;
}

void Collector::requestBuffer(std::uint8_t** buffer, std::size_t* bytes, std::size_t* mostRecords) noexcept {
  BufferPool& pool = instance().buffers_;
  // Without one CUPTI drops records, and tells how many.
  *buffer = pool.take();
  *bytes = *buffer == nullptr ? 0 : pool.bufferBytes();
  *mostRecords = 0;
}

void Collector::completeBuffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t,
                               std::size_t validBytes) noexcept {
  Collector& collector = instance();
  try {
    collector.read(buffer, validBytes);
  } catch (...) {
    // Out of memory: the rest of the buffer is lost.
    const std::lock_guard lock(collector.mutex_);
    ++collector.dropped_;
  }
  collector.buffers_.give(buffer);
}

void Collector::read(std::uint8_t* buffer, std::size_t validBytes) {
  std::size_t dropped = 0;
  const std::lock_guard lock(mutex_);
  if (!accepting_) return;
  takeSteps();
  attribution_.nextBuffer(hostTime());
  cupti::Record* record = nullptr;
  while (validBytes > 0 && cupti_->nextRecord(buffer, validBytes, &record) == success) {
    const Decoded decoded = decode(*record, clockOffset_ - origin_, names_, streams_);
    if (decoded.unfinished) {
      ++dropped_;
      continue;
    }
    if (!decoded.activity) continue;
    const Activity& activity = *decoded.activity;
    if (activity.kind == ActivityKind::range) {
      attribution_.tie(activity.correlation, static_cast<std::uint64_t>(activity.bytes));
    } else if (activities_.size() + attribution_.size() >= most_) {
      ++dropped_;
    } else if (attributing_) {
      attribution_.add(activity, names_);
    } else {
      activities_.push_back(activity);
    }
  }
  if (cupti_->droppedRecords(nullptr, 0, &dropped) == success) dropped_ += dropped;
}

}  // namespace tensorrt_node::profile
