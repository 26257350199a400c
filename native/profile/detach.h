// Takes CUPTI out of the process again: while it is in, calls of the driver take longer, even with nothing enabled.
#pragma once

#include "cupti.h"

namespace tensorrt_node::profile {

// False where it stays: CUPTI cannot go, or another tool is at work. After that any call of CUPTI brings it back, so no
// thread may be in one or make one. What it was told before it has forgotten. Not for several threads at once.
bool detach(const Cupti& cupti) noexcept;

}  // namespace tensorrt_node::profile
