#include "decode_toy.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>

#include "tensorrt/error.h"

namespace test {
namespace {

constexpr std::uint64_t seedOfHashes = 0x9E3779B97F4A7C15U;

std::uint64_t mix(std::uint64_t hash, std::int32_t token, std::int32_t position) {
  hash ^= static_cast<std::uint32_t>(token) + (static_cast<std::uint64_t>(static_cast<std::uint32_t>(position)) << 32);
  hash *= 0xBF58476D1CE4E5B9U;
  return hash ^ (hash >> 29);
}

std::uint64_t hashOf(std::span<const std::int32_t> tokens) {
  std::uint64_t hash = seedOfHashes;
  for (std::size_t i = 0; i < tokens.size(); ++i) hash = mix(hash, tokens[i], static_cast<std::int32_t>(i));
  return hash;
}

std::int32_t tokenOf(std::uint64_t hash, const decode::Sampling& sampling) {
  return static_cast<std::int32_t>((hash ^ sampling.seed) % static_cast<std::uint64_t>(toyVocabulary));
}

float logitOf(std::uint64_t hash, std::int32_t token) {
  return static_cast<float>(mix(hash, token, 0) % 1024);
}

bool contains(const std::vector<std::int32_t>& tokens, std::int32_t token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

void expect(bool condition, const char* what) {
  if (!condition) throw std::logic_error(std::string("the scheduler broke a promise: ") + what);
}

}  // namespace

std::vector<std::int32_t> toyReply(std::vector<std::int32_t> tokens, std::int32_t maxNewTokens,
                                   const decode::Sampling& sampling) {
  std::vector<std::int32_t> reply;
  std::uint64_t hash = hashOf(tokens);
  while (static_cast<std::int32_t>(reply.size()) < maxNewTokens) {
    reply.push_back(tokenOf(hash, sampling));
    if (contains(sampling.stopTokens, reply.back())) break;
    hash = mix(hash, reply.back(), static_cast<std::int32_t>(tokens.size()));
    tokens.push_back(reply.back());
  }
  return reply;
}

float toyLogit(std::span<const std::int32_t> tokens, std::int32_t token) {
  return logitOf(hashOf(tokens), token);
}

ToyRunner::ToyRunner(ToyOptions options)
    : options_(std::move(options)),
      cells_(static_cast<std::size_t>(options_.limits.pages * decode::pageTokens)),
      slots_(static_cast<std::size_t>(options_.limits.slots)),
      records_(options_.stepsInFlight),
      thread_([this] { serve(); }) {}

ToyRunner::~ToyRunner() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void ToyRunner::begin(const decode::SlotStart& start) {
  options_.before("begin");
  expect(start.slot >= 0 && start.slot < options_.limits.slots, "a slot is one of those there are");
  expect(start.pages.size() <= static_cast<std::size_t>(options_.limits.pagesPerSlot), "a slot has so many pages");
  std::vector<decode::Page> pages(start.pages.begin(), start.pages.end());
  queue([this, slot = start.slot, pages = std::move(pages), sampling = start.sampling, most = start.maxNewTokens] {
    slots_[static_cast<std::size_t>(slot)] = {pages, sampling, {0, 0, most, 0}};
  });
}

void ToyRunner::copyPage(decode::Page from, decode::Page to) {
  options_.before("copyPage");
  queue([this, from, to] {
    const auto page = [&](decode::Page number) { return cells_.begin() + number * decode::pageTokens; };
    std::copy_n(page(from), decode::pageTokens, page(to));
  });
}

decode::StepNumber ToyRunner::prefill(std::span<const decode::PromptRun> runs) {
  options_.before("prefill");
  std::vector<Run> copies;
  std::size_t rows = 0;
  for (const auto& run : runs) {
    expect(!run.tokens.empty(), "a run has tokens");
    rows += run.tokens.size();
    copies.push_back({run.slot, run.position, {run.tokens.begin(), run.tokens.end()}, run.last});
  }
  expect(rows > 0 && rows <= static_cast<std::size_t>(options_.limits.prefillRows), "a prefill step has so many rows");
  return queueStep([this, copies = std::move(copies)] {
    std::vector<kernels::TokenRecord> records;
    for (const Run& run : copies) {
      write(run);
      Slot& slot = slots_[static_cast<std::size_t>(run.slot)];
      if (run.last) {
        slot.state.running = 1;
        records.push_back(choose(slot, run.position + static_cast<std::int32_t>(run.tokens.size()) - 1));
      }
    }
    return records;
  });
}

decode::StepNumber ToyRunner::decode(std::span<const std::int32_t> slots) {
  options_.before("decode");
  expect(!slots.empty() && slots.size() <= static_cast<std::size_t>(options_.limits.decodeRows),
         "a decode step has so many rows");
  expect(std::adjacent_find(slots.begin(), slots.end(), std::greater_equal<>()) == slots.end(),
         "slots ascend, none is there twice");
  return queueStep([this, copy = std::vector(slots.begin(), slots.end())] {
    std::vector<kernels::TokenRecord> records;
    for (const std::int32_t number : copy) {
      Slot& slot = slots_[static_cast<std::size_t>(number)];
      if (slot.state.running == 0) {
        records.push_back({.token = -1, .finished = 0, .logprob = 0, .topTokens = {}, .topLogprobs = {}});
        continue;
      }
      cell(slot, slot.state.position) = {slot.state.token, slot.state.position};
      records.push_back(choose(slot, slot.state.position));
    }
    return records;
  });
}

kernels::TokenRecord ToyRunner::choose(Slot& slot, std::int32_t position) {
  const std::uint64_t hash = this->hash(slot, position);
  kernels::TokenRecord record{};
  record.token = tokenOf(hash, slot.sampling);
  record.logprob = logitOf(hash, record.token);
  for (std::int32_t i = 0; i < slot.sampling.logprobs; ++i) {
    record.topTokens[i] = record.token + i;
    record.topLogprobs[i] = -static_cast<float>(i);
  }
  if (std::isnan(slot.sampling.temperature)) {
    slot.state.running = 0;
    record.token = kernels::notNumbers;
    record.finished = 1;
    return record;
  }
  slot.state.token = record.token;
  slot.state.position = position + 1;
  --slot.state.remaining;
  if (slot.state.remaining == 0 || contains(slot.sampling.stopTokens, record.token)) slot.state.running = 0;
  record.finished = 1 - slot.state.running;
  return record;
}

ToyRunner::Cell& ToyRunner::cell(const Slot& slot, std::int32_t position) {
  const decode::Page page = slot.pages.at(static_cast<std::size_t>(position / decode::pageTokens));
  return cells_.at(static_cast<std::size_t>(page * decode::pageTokens + position % decode::pageTokens));
}

std::uint64_t ToyRunner::hash(const Slot& slot, std::int32_t last) {
  std::uint64_t hash = seedOfHashes;
  for (std::int32_t i = 0; i <= last; ++i) hash = mix(hash, cell(slot, i).token, cell(slot, i).position);
  return hash;
}

void ToyRunner::write(const Run& run) {
  const Slot& slot = slots_[static_cast<std::size_t>(run.slot)];
  for (std::size_t i = 0; i < run.tokens.size(); ++i) {
    const auto position = run.position + static_cast<std::int32_t>(i);
    cell(slot, position) = {run.tokens[i], position};
  }
}

bool ToyRunner::done(decode::StepNumber step) {
  options_.before("done");
  const std::lock_guard lock(mutex_);
  return done_ >= step;
}

void ToyRunner::wait(decode::StepNumber step) {
  options_.before("wait");
  std::unique_lock lock(mutex_);
  expect(step <= queued_, "a step is queued before it is waited for");
  changed_.wait(lock, [&] { return done_ >= step; });
}

std::span<const kernels::TokenRecord> ToyRunner::records(decode::StepNumber step) {
  expect(done(step), "records are read of steps that are done");
  return records_[step % options_.stepsInFlight];
}

void ToyRunner::score(const decode::PromptRun& run, std::span<float> logits) {
  options_.before("score");
  expect(run.tokens.size() <= static_cast<std::size_t>(options_.limits.scoreRows), "scored are so many rows");
  expect(logits.size() == run.tokens.size() * static_cast<std::size_t>(toyVocabulary), "logits have their place");
  std::promise<void> written;
  queue([&] {
    write({run.slot, run.position, {run.tokens.begin(), run.tokens.end()}, run.last});
    auto place = logits.begin();
    for (std::size_t i = 0; i < run.tokens.size(); ++i) {
      const std::uint64_t hash =
          this->hash(slots_[static_cast<std::size_t>(run.slot)], run.position + static_cast<std::int32_t>(i));
      for (std::int32_t token = 0; token < toyVocabulary; ++token) *place++ = logitOf(hash, token);
    }
    written.set_value();
  });
  written.get_future().wait();
}

decode::StepLayers ToyRunner::layers(const decode::StepLayersRequest& request, std::span<const std::int32_t> slots,
                                     const std::function<bool()>& stopped) {
  options_.before("layers");
  for (std::size_t run = 0; run < request.runs; ++run) {
    if (stopped()) throw tensorrt_node::tensorrt::AbortedError();
    std::this_thread::yield();
  }
  const std::vector<float> times(request.runs, static_cast<float>(slots.size()));
  {
    const std::lock_guard lock(mutex_);
    expect(done_ == queued_, "no step is under way when layers are timed");
  }
  return {.rows = request.rows, .parts = {{0, 1, {{"layer", times}}, ""}}, .steps = times};
}

std::int32_t ToyRunner::layerRows(decode::StepKind kind, std::int32_t rows) const {
  const bool decoding = kind == decode::StepKind::decode;
  return rows <= (decoding ? options_.limits.decodeRows : options_.limits.prefillRows) ? rows : 0;
}

bool ToyRunner::suspend(std::span<const decode::Page> pages, bool keepRam) {
  options_.before(keepRam ? "suspend" : "suspend without RAM");
  const std::lock_guard lock(mutex_);
  expect(!suspended_, "it is suspended once");
  expect(done_ == queued_, "no step is under way when it is suspended");
  suspended_ = true;
  std::vector<Cell> cells(cells_.size());
  for (const decode::Page page : pages)
    if (options_.keepsPages)
      std::copy_n(cells_.begin() + page * decode::pageTokens, decode::pageTokens,
                  cells.begin() + page * decode::pageTokens);
  cells_ = std::move(cells);
  return options_.keepsPages;
}

void ToyRunner::resume() {
  options_.before("resume");
  const std::lock_guard lock(mutex_);
  expect(suspended_, "it is suspended before it is resumed");
  suspended_ = false;
}

void ToyRunner::queue(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  expect(!suspended_, "nothing is queued while it is suspended");
  work_.push_back(std::move(work));
  changed_.notify_all();
}

decode::StepNumber ToyRunner::queueStep(std::function<std::vector<kernels::TokenRecord>()> work) {
  decode::StepNumber step = 0;
  {
    const std::lock_guard lock(mutex_);
    expect(queued_ < done_ + options_.stepsInFlight, "so many steps are under way at a time");
    step = ++queued_;
  }
  queue([this, step, work = std::move(work)] {
    pause();
    records_[step % options_.stepsInFlight] = work();
    const std::lock_guard lock(mutex_);
    done_ = step;
    changed_.notify_all();
  });
  return step;
}

void ToyRunner::pause() {
  if (options_.slowest.count() == 0) return;
  std::this_thread::sleep_for(
      std::chrono::microseconds(random_() % (static_cast<unsigned long>(options_.slowest.count()) + 1)));
}

void ToyRunner::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !work_.empty() || ending_; });
    if (work_.empty()) return;
    const auto work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace test
