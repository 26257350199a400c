// NVIDIA's management library for tests: two cards, of which the second keeps to itself what it can.
#include <cstddef>
#include <cstring>

namespace {

constexpr int success = 0;
constexpr int invalidArgument = 2;
constexpr int notSupported = 3;
constexpr unsigned cardCount = 2;

struct Card {
  const char* name;
  const char* pciBusId;
};

constexpr Card cards[cardCount] = {{"NVIDIA Simulated 80GB", "0000:3B:00.0"}, {"NVIDIA Silent", "0000:AF:00.0"}};

struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

int put(const char* text, char* to, unsigned length) {
  if (std::strlen(text) >= length) return invalidArgument;
  std::memcpy(to, text, std::strlen(text) + 1);
  return success;
}

}  // namespace

extern "C" {

#define NVML_CALL [[gnu::visibility("default")]] int

NVML_CALL nvmlInit_v2() {
  return success;
}

NVML_CALL nvmlShutdown() {
  return success;
}

NVML_CALL nvmlSystemGetDriverVersion(char* text, unsigned length) {
  return put("580.95.05", text, length);
}

NVML_CALL nvmlDeviceGetCount_v2(unsigned* count) {
  *count = cardCount;
  return success;
}

NVML_CALL nvmlDeviceGetHandleByIndex_v2(unsigned index, const Card** device) {
  if (index >= cardCount) return invalidArgument;
  *device = &cards[index];
  return success;
}

NVML_CALL nvmlDeviceGetHandleByPciBusId_v2(const char* id, const Card** device) {
  for (const Card& card : cards) {
    if (std::strcmp(card.pciBusId, id) != 0) continue;
    *device = &card;
    return success;
  }
  return invalidArgument;
}

NVML_CALL nvmlDeviceGetName(const Card* device, char* text, unsigned length) {
  return put(device->name, text, length);
}

NVML_CALL nvmlDeviceGetCudaComputeCapability(const Card*, int* major, int* minor) {
  *major = 9;
  *minor = 0;
  return success;
}

NVML_CALL nvmlDeviceGetMigMode(const Card*, unsigned*, unsigned*) {
  return notSupported;
}

NVML_CALL nvmlDeviceGetMemoryInfo(const Card* device, Memory* memory) {
  if (device != &cards[0]) return notSupported;
  *memory = {80ULL << 30, 50ULL << 30, 30ULL << 30};
  return success;
}

// In KiB a second: 0 is what the card sends, 1 what it receives.
NVML_CALL nvmlDeviceGetPcieThroughput(const Card* device, int counter, unsigned* value) {
  if (device != &cards[0]) return notSupported;
  if (counter != 0 && counter != 1) return invalidArgument;
  *value = counter == 0 ? 1000 : 50'000;
  return success;
}

}  // extern "C"
