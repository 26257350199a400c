// Errors that TensorRT logs, and whose call they explain.
#include "tensorrt/logger.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
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

TEST(no_line_is_lost_when_its_reader_is_late) {
  int ends[2];
  CHECK_EQUAL(::pipe2(ends, O_CLOEXEC), 0);
  CHECK_EQUAL(::fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  ::close(ends[1]);
  const std::string line(1000, 'x');
  constexpr std::size_t kLines = 300;
  std::thread writer([&] {
    trt::Logger::instance().echo(Severity::kERROR);
    for (std::size_t i = 0; i < kLines; ++i) log(line);
    trt::Logger::instance().echo(static_cast<Severity>(-1));
    ::dup2(before, STDERR_FILENO);
  });
  // Until the pipe, of 64 KiB, is full.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::string read;
  char piece[4096];
  for (::ssize_t count = 0; (count = ::read(ends[0], piece, sizeof piece)) > 0;)
    read.append(piece, static_cast<std::size_t>(count));
  writer.join();
  ::close(ends[0]);
  ::close(before);
  CHECK_EQUAL(read.size(), kLines * ("[tensorrt] E " + line + "\n").size());
}
