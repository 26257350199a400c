// Runs the tests that use the simulated driver; an argument selects those whose name contains it, and two numbers more
// a share of these.
#include <cstdlib>

#include "check.h"
#include "cuda/driver.h"
#include "simulated.h"
#include "simulator/tensorrt/simulated_tensorrt.h"

int main(int count, char** arguments) {
  const auto outcome = tensorrt_node::cuda::load(SIMULATOR_PATH);
  if (!outcome.ready()) {
    std::cout << outcome.problem << std::endl;
    return 1;
  }
  const auto reset = [] {
    simulatorReset();
    simulatedTensorrtReset();
  };
  check::Share share;
  if (count > 3)
    share = {.first = static_cast<unsigned>(std::atoi(arguments[2])),
             .of = static_cast<unsigned>(std::atoi(arguments[3]))};
  return check::runTests(count > 1 ? arguments[1] : "", share, reset, test::expectNoFindings);
}
