// SPDX-License-Identifier: GPL-3.0-or-later
// A libcuda.so.1 of a machine that is not here. Names and signatures are the CUDA driver's ABI.
#include <cstdio>

#include "tests/support/fake_nvidia/fake_driver.h"

namespace tandem::fake {

FAKE_EXPORT int cuInit(unsigned /*flags*/) {
  return kCudaInit;
}

FAKE_EXPORT int cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}

FAKE_EXPORT int cuDeviceGetCount(int* count) {
  *count = kGpuCount;
  return 0;
}

FAKE_EXPORT int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}

FAKE_EXPORT int cuDeviceGetAttribute(int* value, int attribute, int device) {
  constexpr int kMajor = 75;
  constexpr int kMinor = 76;
  if (attribute != kMajor && attribute != kMinor) {
    return 1;  // CUDA_ERROR_INVALID_VALUE
  }
  *value = attribute == kMajor ? kGpus[device].major : kGpus[device].minor;
  return 0;
}

#ifndef FAKE_DRIVER_OLD
FAKE_EXPORT int cuDeviceGetPCIBusId(char* address, int length, int device) {
  std::snprintf(address,
                static_cast<unsigned>(length),
                "%04X:%02X:00.0",
                kGpus[device].domain,
                kGpus[device].bus);
  return 0;
}
#endif

}  // namespace tandem::fake
