// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/gpu_facts.h"

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "engine/probe/cuda_driver.h"
#include "engine/probe/nvml_library.h"
#include "engine/probe/pci_address.h"

namespace tandem::probe {

namespace {

constexpr const char* kModuleVersion = "proc/driver/nvidia/version";
constexpr std::string_view kNvidia = "0x10de";
constexpr std::string_view kDisplayClass = "0x03";  // 0x0300 VGA, 0x0302 3D

std::vector<api::GpuDevice> readPciGpus(const FactReader& reader) {
  std::vector<api::GpuDevice> gpus;
  const std::string folder = "sys/bus/pci/devices";
  for (const std::string& name : reader.names(folder)) {
    const std::string device = fmt::format("{}/{}", folder, name);
    const std::optional<std::string> vendor = reader.line(device + "/vendor");
    if (vendor != kNvidia) {
      continue;
    }
    const std::string kind = reader.line(device + "/class").value_or("");
    if (kind.substr(0, kDisplayClass.size()) != kDisplayClass) {
      continue;  // its sound device, or a bridge of the same maker
    }
    api::GpuDevice gpu;
    gpu.pciAddress = pciAddress(name).value_or(name);
    gpu.pciDeviceId = reader.line(device + "/device");
    gpus.push_back(std::move(gpu));
  }
  return gpus;
}

/// "580.142": numbers and dots, at least one of each.
bool isVersion(std::string_view word) {
  const bool onlyVersion = std::all_of(word.begin(), word.end(), [](char letter) {
    return (letter >= '0' && letter <= '9') || letter == '.';
  });
  return onlyVersion && word.size() > 2 && word.front() != '.' &&
         word.find('.') != std::string_view::npos;
}

/// From "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.142  Release Build …".
api::DriverPart readKernelModule(const FactReader& reader) {
  api::DriverPart module;
  if (!reader.root().exists(kModuleVersion)) {
    module.absentBecause =
        fmt::format("no /{}: the NVIDIA kernel module is not loaded", kModuleVersion);
    return module;
  }
  const std::string line = reader.line(kModuleVersion).value_or("");
  for (const std::string_view word : split(line, ' ')) {
    if (isVersion(word)) {
      module.version = std::string(word);
      return module;
    }
  }
  module.absentBecause = fmt::format("/{} names no version", kModuleVersion);
  if (!line.empty()) {
    reader.note(kModuleVersion, fmt::format("{} names no version", shownValue(line)));
  }
  return module;
}

/// The device at this address; a new one where PCI showed none, as in a container without sysfs.
api::GpuDevice& deviceAt(std::vector<api::GpuDevice>& devices,
                         const std::optional<std::string>& address) {
  const std::string wanted = address.value_or("");
  const auto known =
      std::find_if(devices.begin(), devices.end(), [&](const api::GpuDevice& device) {
        return device.pciAddress == wanted;
      });
  if (known != devices.end()) {
    return *known;
  }
  api::GpuDevice& added = devices.emplace_back();
  added.pciAddress = wanted;
  return added;
}

void addNvml(api::GpuFacts& facts, const std::filesystem::path& libraries) {
  const Result<NvmlFacts> nvml = readNvml(libraries);
  if (!nvml) {
    facts.nvml.absentBecause = nvml.error().message;
    return;
  }
  facts.nvml.version = nvml->driverVersion;
  for (const NvmlGpu& gpu : nvml->gpus) {
    api::GpuDevice& device = deviceAt(facts.devices, gpu.pciAddress);
    device.name = gpu.name;
    device.memoryBytes = gpu.memoryBytes;
    device.memoryUnknownBecause = gpu.memoryUnknownBecause;
  }
}

void addCuda(api::GpuFacts& facts, const std::filesystem::path& libraries) {
  const Result<CudaFacts> cuda = readCudaDriver(libraries);
  if (!cuda) {
    facts.cuda.absentBecause = cuda.error().message;
    return;
  }
  facts.cuda.version = cuda->cudaVersion;
  for (const CudaGpu& gpu : cuda->gpus) {
    deviceAt(facts.devices, gpu.pciAddress).computeCapability = gpu.computeCapability;
  }
}

}  // namespace

api::GpuFacts readGpuFacts(const FactReader& reader,
                           const std::optional<std::filesystem::path>& libraries) {
  api::GpuFacts facts;
  facts.devices = readPciGpus(reader);
  facts.kernelModule = readKernelModule(reader);
  if (libraries) {
    addNvml(facts, *libraries);
    addCuda(facts, *libraries);
  } else {
    facts.nvml.absentBecause =
        "not looked for: the facts come from a folder, and --libdir names none";
    facts.cuda.absentBecause = facts.nvml.absentBecause;
  }
  std::sort(facts.devices.begin(), facts.devices.end(), [](const auto& left, const auto& right) {
    return left.pciAddress < right.pciAddress;
  });
  for (api::GpuDevice& gpu : facts.devices) {
    if (!gpu.memoryBytes && gpu.memoryUnknownBecause.empty()) {
      gpu.memoryUnknownBecause =
          facts.nvml.version ? "NVML says nothing of this GPU" : "NVML is absent";
    }
  }
  return facts;
}

}  // namespace tandem::probe
