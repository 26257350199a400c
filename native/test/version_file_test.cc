// The driver's version in the texts that tell it, and in files that cannot be read.
#include "cuda/version_file.h"

#include <cstdio>
#include <fstream>

#include "simulated.h"

namespace cuda = tensorrt_node::cuda;

TEST(driver_versions_are_found_in_texts) {
  const struct {
    const char* text;
    const char* version;
  } table[]{
      {"NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 09:55:41 UTC 2025\n"
       "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n",
       "580.95.05"},
      {"NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  570.133.20  Release Build\n", "570.133.20"},
      {"535.54\n", "535.54"},
      {"535.54.03.99", "535.54.03"},
      {"12.2.0 580.95.", "580.95"},
      {"580. 12.2", "none"},
      {"GCC version 12.2.0, 2025", "none"},
      {"", "none"},
  };
  for (const auto& [text, version] : table) CHECK_EQUAL(cuda::versionIn(text).value_or("none"), version);
}

TEST(a_version_file_that_cannot_be_read_tells_none) {
  const std::string path = std::string(SIMULATOR_PATH) + ".version";
  std::ofstream(path) << "580.95.05\n";
  CHECK_EQUAL(cuda::versionInFile(path).value_or("none"), "580.95.05");
  std::remove(path.c_str());
  // Missing, a folder, and one that opens and then fails to be read.
  for (const char* unreadable : {"/nonexistent/version", "/", "/proc/self/mem"})
    CHECK(!cuda::versionInFile(unreadable).has_value());
}
