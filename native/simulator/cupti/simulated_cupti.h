// Control of the simulated CUPTI, which tells in CUPTI's records what the simulated driver executes.
//
// Under a program that cannot call this, the environment variable TENSORRT_NODE_SIMULATOR_CUPTI holds settings as
// "name=value" separated by commas.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Settings, all 0 at first. "clock": 1 keeps to CLOCK_REALTIME, whatever callback is registered. "refuse": the
// CUptiResult that enabling any kind fails with. "version": what cuptiGetVersion says instead of 130001.
// False for a name that is none.
int simulatedCuptiSet(const char* name, uint64_t value);

#ifdef __cplusplus
}
#endif
