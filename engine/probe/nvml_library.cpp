// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/nvml_library.h"

#include <fmt/core.h>

#include <array>

#include "engine/base/dynamic_library.h"
#include "engine/probe/fact_reader.h"
#include "engine/probe/library_function.h"
#include "engine/probe/pci_address.h"

namespace tandem::probe {

namespace {

constexpr const char* kFileName = "libnvidia-ml.so.1";
constexpr int kSuccess = 0;           // NVML_SUCCESS
constexpr unsigned kTextBytes = 128;  // above NVML_DEVICE_NAME_V2_BUFFER_SIZE
constexpr unsigned kMaxGpus = 64;

using Device = void*;

/// nvmlMemory_t
struct Memory {
  unsigned long long total = 0;
  unsigned long long free = 0;
  unsigned long long used = 0;
};

/// nvmlPciInfo_t of nvmlDeviceGetPciInfo_v3
struct PciInfo {
  std::array<char, 16> busIdLegacy{};
  unsigned domain = 0;
  unsigned bus = 0;
  unsigned device = 0;
  unsigned pciDeviceId = 0;
  unsigned pciSubSystemId = 0;
  std::array<char, 32> busId{};
};
static_assert(sizeof(PciInfo) == 68);

struct Functions {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*errorString)(int) = nullptr;
  int (*driverVersion)(char*, unsigned) = nullptr;
  int (*deviceCount)(unsigned*) = nullptr;
  int (*deviceByIndex)(unsigned, Device*) = nullptr;
  int (*deviceName)(Device, char*, unsigned) = nullptr;
  int (*deviceMemory)(Device, Memory*) = nullptr;
  int (*devicePciInfo)(Device, PciInfo*) = nullptr;
};

Result<Functions> findNvml(const DynamicLibrary& library) {
  Functions nvml;
  const Result<void> found = findFunctions(library,
                                           "nvmlInit_v2",
                                           nvml.init,
                                           "nvmlShutdown",
                                           nvml.shutdown,
                                           "nvmlErrorString",
                                           nvml.errorString,
                                           "nvmlSystemGetDriverVersion",
                                           nvml.driverVersion,
                                           "nvmlDeviceGetCount_v2",
                                           nvml.deviceCount,
                                           "nvmlDeviceGetHandleByIndex_v2",
                                           nvml.deviceByIndex,
                                           "nvmlDeviceGetName",
                                           nvml.deviceName,
                                           "nvmlDeviceGetMemoryInfo",
                                           nvml.deviceMemory,
                                           "nvmlDeviceGetPciInfo_v3",
                                           nvml.devicePciInfo);
  if (!found) {
    return found.error();
  }
  return nvml;
}

/// Open between init and shutdown.
class Session {
 public:
  explicit Session(const Functions& nvml)
      : shutdown_(nvml.shutdown) {}
  ~Session() { shutdown_(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  int (*shutdown_)();
};

std::string words(const Functions& nvml, int code) {
  const char* text = nvml.errorString(code);
  return fmt::format("NVML says: {} ({})", text == nullptr ? "nothing" : cleaned(text), code);
}

template <std::size_t kSize>
std::string textOf(const std::array<char, kSize>& buffer) {
  const std::string_view text(buffer.data(), kSize);
  return cleaned(trimmed(text.substr(0, text.find('\0'))));
}

NvmlGpu readGpu(const Functions& nvml, Device device) {
  NvmlGpu gpu;
  PciInfo pci;
  if (nvml.devicePciInfo(device, &pci) == kSuccess) {
    gpu.pciAddress = pciAddress(textOf(pci.busId));
  }
  std::array<char, kTextBytes> name{};
  if (nvml.deviceName(device, name.data(), kTextBytes) == kSuccess) {
    gpu.name = textOf(name);
  }
  Memory memory;
  if (const int code = nvml.deviceMemory(device, &memory); code != kSuccess) {
    gpu.memoryUnknownBecause = words(nvml, code);
  } else if (memory.total == 0) {
    gpu.memoryUnknownBecause = "NVML counts 0 bytes";
  } else {
    gpu.memoryBytes = memory.total;
  }
  return gpu;
}

}  // namespace

Result<NvmlFacts> readNvml(const std::filesystem::path& folder) {
  const Result<DynamicLibrary> library = DynamicLibrary::open(folder / kFileName);
  if (!library) {
    return library.error();
  }
  const Result<Functions> nvml = findNvml(*library);
  if (!nvml) {
    return nvml.error();
  }
  if (const int code = nvml->init(); code != kSuccess) {
    return Error{ErrorCode::Unavailable, words(*nvml, code), ""};
  }
  const Session session(*nvml);
  NvmlFacts facts;
  std::array<char, kTextBytes> version{};
  if (const int code = nvml->driverVersion(version.data(), kTextBytes); code != kSuccess) {
    return Error{ErrorCode::Unavailable, words(*nvml, code), ""};
  }
  facts.driverVersion = textOf(version);
  unsigned count = 0;
  if (const int code = nvml->deviceCount(&count); code != kSuccess) {
    return Error{ErrorCode::Unavailable, words(*nvml, code), ""};
  }
  for (unsigned index = 0; index < count && index < kMaxGpus; ++index) {
    Device device = nullptr;
    if (nvml->deviceByIndex(index, &device) == kSuccess) {
      facts.gpus.push_back(readGpu(*nvml, device));
    }
  }
  return facts;
}

}  // namespace tandem::probe
