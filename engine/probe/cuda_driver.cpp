// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/cuda_driver.h"

#include <fmt/core.h>

#include <array>

#include "engine/base/dynamic_library.h"
#include "engine/probe/library_function.h"
#include "engine/probe/pci_address.h"

namespace tandem::probe {

namespace {

constexpr const char* kFileName = "libcuda.so.1";
constexpr int kSuccess = 0;           // CUDA_SUCCESS
constexpr int kCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kCapabilityMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
constexpr int kMaxGpus = 64;

struct Functions {
  int (*init)(unsigned) = nullptr;
  int (*driverVersion)(int*) = nullptr;
  int (*deviceCount)(int*) = nullptr;
  int (*device)(int*, int) = nullptr;
  int (*attribute)(int*, int, int) = nullptr;
  int (*pciBusId)(char*, int, int) = nullptr;
};

Result<Functions> findCuda(const DynamicLibrary& library) {
  Functions cuda;
  const Result<void> found = findFunctions(library,
                                           "cuInit",
                                           cuda.init,
                                           "cuDriverGetVersion",
                                           cuda.driverVersion,
                                           "cuDeviceGetCount",
                                           cuda.deviceCount,
                                           "cuDeviceGet",
                                           cuda.device,
                                           "cuDeviceGetAttribute",
                                           cuda.attribute,
                                           "cuDeviceGetPCIBusId",
                                           cuda.pciBusId);
  if (!found) {
    return found.error();
  }
  return cuda;
}

Error refusal(const char* function, int code) {
  return Error{ErrorCode::Unavailable,
               fmt::format("{} failed with CUDA error {}", function, code),
               ""};
}

CudaGpu readGpu(const Functions& cuda, int device) {
  CudaGpu gpu;
  std::array<char, 32> address{};
  if (cuda.pciBusId(address.data(), static_cast<int>(address.size()) - 1, device) == kSuccess) {
    gpu.pciAddress = pciAddress(address.data());
  }
  api::ComputeCapability capability;
  if (cuda.attribute(&capability.major, kCapabilityMajor, device) == kSuccess &&
      cuda.attribute(&capability.minor, kCapabilityMinor, device) == kSuccess) {
    gpu.computeCapability = capability;
  }
  return gpu;
}

}  // namespace

Result<CudaFacts> readCudaDriver(const std::filesystem::path& folder) {
  const Result<DynamicLibrary> library = DynamicLibrary::open(folder / kFileName);
  if (!library) {
    return library.error();
  }
  const Result<Functions> cuda = findCuda(*library);
  if (!cuda) {
    return cuda.error();
  }
  if (const int code = cuda->init(0); code != kSuccess) {
    return refusal("cuInit", code);
  }
  int version = 0;
  if (const int code = cuda->driverVersion(&version); code != kSuccess) {
    return refusal("cuDriverGetVersion", code);
  }
  CudaFacts facts;
  facts.cudaVersion = fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  int count = 0;
  if (const int code = cuda->deviceCount(&count); code != kSuccess) {
    return refusal("cuDeviceGetCount", code);
  }
  for (int index = 0; index < count && index < kMaxGpus; ++index) {
    int device = 0;
    if (cuda->device(&device, index) == kSuccess) {
      facts.gpus.push_back(readGpu(*cuda, device));
    }
  }
  return facts;
}

}  // namespace tandem::probe
