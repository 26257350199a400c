// When to ask for work's end, and when to sleep.
#include "cuda/completion_policy.h"

#include "check.h"

using tensorrt_node::cuda::CompletionPolicy;
using namespace std::chrono_literals;

namespace {

CompletionPolicy after(std::initializer_list<CompletionPolicy::Duration> runs) {
  CompletionPolicy policy;
  for (const auto run : runs) policy.finished(run);
  return policy;
}

CompletionPolicy::Duration sleepsUntil(const CompletionPolicy& policy, CompletionPolicy::Duration elapsed) {
  const auto step = policy.next(elapsed);
  CHECK(!step.spin);
  CHECK(step.sleepUntil > elapsed);
  return step.sleepUntil;
}

}  // namespace

TEST(work_never_seen_is_asked_after_for_a_while) {
  const CompletionPolicy policy;
  CHECK_EQUAL(policy.expected().count(), 0);
  CHECK(policy.next(0ns).spin);
  CHECK(policy.next(299us).spin);
  CHECK_EQUAL(sleepsUntil(policy, 300us).count(), std::chrono::nanoseconds(350us).count());
}

TEST(short_work_is_asked_after_from_its_start) {
  const auto policy = after({100us, 90us, 110us});
  CHECK_EQUAL(policy.expected().count(), std::chrono::nanoseconds(90us).count());
  CHECK(policy.next(0ns).spin);
  CHECK(policy.next(380us).spin);
  CHECK(!policy.next(400us).spin);
}

TEST(long_work_is_slept_through_until_shortly_before_its_end) {
  const auto policy = after({10ms});
  CHECK_EQUAL(sleepsUntil(policy, 0ns).count(), std::chrono::nanoseconds(8750us).count());
  CHECK(policy.next(8750us).spin);
  CHECK(policy.next(11'900us).spin);
  // No longer than two milliseconds beyond, however long the work.
  CHECK(!policy.next(12'500us).spin);
  CHECK(!after({1s}).next(1003ms).spin);
}

TEST(late_work_is_asked_after_ever_more_rarely) {
  const auto policy = after({100us});
  CompletionPolicy::Duration last = 0ns;
  int asked = 0;
  for (CompletionPolicy::Duration now = 500us; now < 1s; ++asked) {
    const auto until = sleepsUntil(policy, now);
    CHECK(until - now >= 50us);
    CHECK(until - now <= 2ms);
    CHECK(until - now >= last);
    last = until - now;
    now = until;
  }
  CHECK_EQUAL(last.count(), std::chrono::nanoseconds(2ms).count());
  CHECK(asked < 600);
}

TEST(one_slow_run_is_forgotten_and_one_quick_run_too) {
  const auto slow = after({5ms, 100us});
  CHECK(slow.next(0ns).spin);
  const auto quick = after({100us, 5ms, 5ms, 5ms, 5ms});
  CHECK_EQUAL(quick.expected().count(), std::chrono::nanoseconds(5ms).count());
  CHECK(!quick.next(0ns).spin);
}
