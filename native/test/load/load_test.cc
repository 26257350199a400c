// Loading the driver: absence, the wrong library, no device, and then success, once. In this order, in one process.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "../check.h"
#include "cuda/device.h"
#include "cuda/driver.h"
#include "simulator/simulator.h"

namespace cuda = tensorrt_node::cuda;
using cuda::DriverStatus;

namespace {

std::string leakingProgram;

// Runs it with these simulator settings; its exit code.
int runLeakingProgram(const std::string& settings) {
  const std::string path = SIMULATOR_PATH;
  const pid_t child = fork();
  if (child == 0) {
    setenv("TENSORRT_NODE_CUDA_DRIVER", path.c_str(), 1);
    setenv("TENSORRT_NODE_SIMULATOR", settings.c_str(), 1);
    execl(leakingProgram.c_str(), leakingProgram.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST(programs_in_the_environment_are_judged_at_exit) {
  CHECK_EQUAL(runLeakingProgram(""), 0);
  CHECK_EQUAL(runLeakingProgram("exitCode=42"), 0);
  const std::string report = std::string(SIMULATOR_PATH) + ".report";
  CHECK_EQUAL(runLeakingProgram("leaks=1,exitCode=42,report=" + report), 42);
  std::ifstream file(report);
  std::string line;
  std::getline(file, line);
  CHECK_EQUAL(line, "leak: device memory 1 (4096 bytes) is still alive");
  CHECK_EQUAL(runLeakingProgram("fail=cuMemAlloc_v2:1:2"), 4);
  CHECK_EQUAL(runLeakingProgram("deviceBytes=4095"), 4);
  CHECK_EQUAL(runLeakingProgram("devices=0"), 3);
  CHECK_EQUAL(runLeakingProgram("devices=many"), 3);
}

TEST(before_loading_the_table_is_an_error_in_words) {
  const auto error = CHECK_THROWS(cuda::driver(), cuda::CudaError);
  CHECK_EQUAL(error.codeName(), "CUDA_ERROR_NOT_INITIALIZED");
  CHECK(cuda::driverIfLoaded() == nullptr);
}

TEST(a_missing_library_is_an_outcome) {
  const auto outcome = cuda::load("/nowhere/libcuda.so.1");
  CHECK_EQUAL(outcome.status, DriverStatus::libraryMissing);
  CHECK_EQUAL(outcome.path, "/nowhere/libcuda.so.1");
  CHECK_CONTAINS(outcome.problem, "/nowhere/libcuda.so.1");
  CHECK_CONTAINS(outcome.hint, "install NVIDIA's driver");
}

TEST(the_environment_names_the_library) {
  setenv("TENSORRT_NODE_CUDA_DRIVER", "/elsewhere/libcuda.so.1", 1);
  CHECK_EQUAL(cuda::load().path, "/elsewhere/libcuda.so.1");
  unsetenv("TENSORRT_NODE_CUDA_DRIVER");
  CHECK_EQUAL(cuda::load("/nowhere/x.so").path, "/nowhere/x.so");
}

TEST(a_library_that_is_no_driver_is_named_with_the_function_it_lacks) {
  const auto outcome = cuda::load("libm.so.6");
  CHECK_EQUAL(outcome.status, DriverStatus::functionMissing);
  // The file that the loader found, not the name it was asked for.
  CHECK_CONTAINS(outcome.problem, "/libm.so.6 has no function cuInit");
}

TEST(a_driver_without_a_device_is_an_outcome) {
  SimulatorConfig config = simulatorDefaults();
  config.devices = 0;
  simulatorConfigure(&config);
  const auto outcome = cuda::load(SIMULATOR_PATH);
  CHECK_EQUAL(outcome.status, DriverStatus::initialisationFailed);
  CHECK_CONTAINS(outcome.problem, "CUDA_ERROR_NO_DEVICE");
  CHECK_CONTAINS(outcome.hint, "CUDA_VISIBLE_DEVICES");
  CHECK(cuda::driverIfLoaded() == nullptr);
}

TEST(many_threads_load_once) {
  simulatorReset();
  std::vector<std::thread> threads;
  std::vector<const cuda::DriverTable*> tables(8);
  for (auto& table : tables)
    threads.emplace_back([&table] {
      if (cuda::load(SIMULATOR_PATH).ready()) table = &cuda::driver();
    });
  for (auto& thread : threads) thread.join();
  CHECK(tables[0] != nullptr);
  for (const auto* table : tables) CHECK(table == tables[0]);
  CHECK_EQUAL(simulatorCalls("cuInit"), 1U);
}

TEST(after_success_every_path_is_that_one) {
  CHECK_EQUAL(cuda::load("/nowhere/libcuda.so.1").path, SIMULATOR_PATH);
  CHECK_EQUAL(cuda::devices().size(), 1U);
}

int main(int count, char** arguments) {
  leakingProgram = count > 1 ? arguments[1] : "";
  return check::runTests(
      "", {}, [] {}, [] {});
}
