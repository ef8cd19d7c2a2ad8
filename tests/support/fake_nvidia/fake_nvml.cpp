// SPDX-License-Identifier: GPL-3.0-or-later
// A libnvidia-ml.so.1 of a machine that is not here. Names and signatures are NVML's ABI.
#include <cstdio>
#include <cstdlib>

#include "tests/support/fake_nvidia/fake_driver.h"

namespace tandem::fake {

namespace {

bool isOpen = false;

/// Real NVML refuses every call outside init and shutdown; here a test must not get past it.
void requireOpen() {
  if (!isOpen) {
    std::abort();
  }
}

struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};

struct PciInfo {
  char busIdLegacy[16];
  unsigned domain;
  unsigned bus;
  unsigned device;
  unsigned pciDeviceId;
  unsigned pciSubSystemId;
  char busId[32];
};

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): NVML chose the names.

FAKE_EXPORT int nvmlInit_v2() {
  isOpen = kNvmlInit == 0;
  return kNvmlInit;
}

FAKE_EXPORT int nvmlShutdown() {
  requireOpen();
  isOpen = false;
  return 0;
}

FAKE_EXPORT const char* nvmlErrorString(int code) {
  switch (code) {
    case kNvmlNotSupported:
      return "Not Supported";
    case kNvmlNotLoaded:
      return "Driver Not Loaded";
    case kNvmlMismatch:
      return "Driver/library version mismatch";
    default:
      return "Unknown Error";
  }
}

FAKE_EXPORT int nvmlSystemGetDriverVersion(char* version, unsigned length) {
  requireOpen();
  std::snprintf(version, length, "580.142");
  return 0;
}

FAKE_EXPORT int nvmlDeviceGetCount_v2(unsigned* count) {
  requireOpen();
  *count = kGpuCount;
  return 0;
}

FAKE_EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, const void** device) {
  requireOpen();
  *device = &kGpus[index];
  return 0;
}

FAKE_EXPORT int nvmlDeviceGetName(const Gpu* device, char* name, unsigned length) {
  requireOpen();
  std::snprintf(name, length, "%s", device->name);
  return 0;
}

FAKE_EXPORT int nvmlDeviceGetMemoryInfo(const Gpu* /*device*/, Memory* memory) {
  requireOpen();
  *memory = {kMemoryBytes, kMemoryBytes, 0};
  return kMemoryCode;
}

#ifndef FAKE_DRIVER_OLD
FAKE_EXPORT int nvmlDeviceGetPciInfo_v3(const Gpu* device, PciInfo* pci) {
  requireOpen();
  *pci = {};
  std::snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:00.0", device->domain, device->bus);
  return 0;
}
#endif

// NOLINTEND(readability-identifier-naming)

}  // namespace tandem::fake
