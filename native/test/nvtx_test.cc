// Ranges for tools that hear NVTX, from one that writes them to a file.
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "profile/nvtx.h"
#include "temporary_folder.h"

using namespace tensorrt_node::profile;

namespace {

std::vector<std::string> linesOf(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST(nvtx_tells_the_tool_that_listens_of_ranges_in_one_domain) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("ranges");
  ::setenv("TENSORRT_NODE_SIMULATOR_NVTX", path.c_str(), 1);
  const NvtxTool* const tool = NvtxTool::load(SIMULATED_NVTX_PATH);
  CHECK(tool != nullptr);
  const std::uint64_t first = tool->start("request 1", 0);
  tool->push("decode toy", 4);
  tool->pop();
  const std::uint64_t second = tool->start("request 2", 0);
  std::thread([&] { tool->end(first); }).join();
  tool->end(second);
  const std::vector<std::string> expected{
      "start\ttensorrt-node\trequest 1", "push\ttensorrt-node\tdecode toy\t4", "pop\ttensorrt-node\t",
      "start\ttensorrt-node\trequest 2", "end\ttensorrt-node\trequest 1",      "end\ttensorrt-node\trequest 2"};
  const auto lines = linesOf(path);
  CHECK_EQUAL(lines.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK_EQUAL(lines[i], expected[i]);
}

TEST(nvtx_is_off_where_no_tool_listens) {
  ::unsetenv("TENSORRT_NODE_SIMULATOR_NVTX");
  CHECK(NvtxTool::load(SIMULATED_NVTX_PATH) == nullptr);
  CHECK(NvtxTool::load("/no/such/library.so") == nullptr);
  // No tool.
  CHECK(NvtxTool::load("libc.so.6") == nullptr);
  CHECK(NvtxTool::current() == nullptr);
  bool asked = false;
  const auto message = [&] {
    asked = true;
    return "range";
  };
  {
    const NvtxRange range(message);
    NvtxSpan span(message);
    const NvtxSpan moved(std::move(span));
  }
  CHECK(!asked);
}
