// Errors that TensorRT logs, and whose call they explain.
#include "tensorrt/logger.h"

#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace trt = tensorrt_node::tensorrt;

namespace {

using Severity = nvinfer1::ILogger::Severity;

void log(const std::string& line, Severity severity = Severity::kERROR) {
  trt::Logger::instance().log(severity, line.c_str());
}

void logOnAnotherThread(const std::string& line, Severity severity = Severity::kERROR) {
  std::thread([&] { log(line, severity); }).join();
}

}  // namespace

TEST(a_failure_is_explained_by_the_errors_logged) {
  const trt::LogCapture capture;
  CHECK_EQUAL(capture.explain("it failed"), "it failed");
  log("a warning", Severity::kWARNING);
  log("the first");
  log("the second", Severity::kINTERNAL_ERROR);
  CHECK_EQUAL(capture.explain("it failed"), "it failed:\n  the first\n  the second");
}

TEST(errors_belong_to_the_innermost_capture) {
  const trt::LogCapture outer;
  log("outside");
  {
    const trt::LogCapture inner;
    log("inside");
    CHECK_EQUAL(inner.explain("it failed"), "it failed:\n  inside");
  }
  log("outside again");
  CHECK_EQUAL(outer.explain("it failed"), "it failed:\n  outside\n  outside again");
}

TEST(the_last_errors_are_kept) {
  const trt::LogCapture capture;
  for (int i = 0; i < 25; ++i) log(std::to_string(i));
  const std::vector<std::string> errors = capture.errors();
  CHECK_EQUAL(errors.size(), 20U);
  CHECK_EQUAL(errors.front(), "5");
}

TEST(errors_of_threads_that_call_for_nobody_explain_where_there_are_no_others) {
  logOnAnotherThread("long before");
  const trt::LogCapture capture;
  CHECK_EQUAL(capture.explain("it failed"), "it failed");
  logOnAnotherThread("a warning", Severity::kWARNING);
  for (int i = 0; i < 25; ++i) logOnAnotherThread(std::to_string(i));
  const std::vector<std::string> errors = capture.errors();
  CHECK_EQUAL(errors.size(), 20U);
  CHECK_EQUAL(errors.front(), "5");
  log("of this thread");
  CHECK_EQUAL(capture.explain("it failed"), "it failed:\n  of this thread");
}

TEST(errors_of_another_call_explain_only_that) {
  const trt::LogCapture capture;
  std::thread([] {
    const trt::LogCapture other;
    log("of another call");
    CHECK_EQUAL(other.errors().size(), 1U);
  }).join();
  CHECK_EQUAL(capture.explain("it failed"), "it failed");
}
