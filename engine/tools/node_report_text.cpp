// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/node_report_text.h"

#include <fmt/core.h>

#include <optional>
#include <vector>

#include "engine/base/byte_size.h"

namespace tandem::tools {

namespace {

std::string orUnknown(const std::optional<std::string>& text) {
  return text.value_or("unknown");
}

std::string bytesOrUnknown(const std::optional<std::uint64_t>& bytes) {
  return bytes ? formatBytes(*bytes) : "unknown";
}

template <typename Number>
std::string numberOrUnknown(const std::optional<Number>& number) {
  return number ? fmt::format("{}", *number) : "unknown";
}

/// "1 core", "2 cores", "cores unknown".
std::string counted(const std::optional<int>& number, const char* thing) {
  return number ? fmt::format("{} {}{}", *number, thing, *number == 1 ? "" : "s")
                : fmt::format("{}s unknown", thing);
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : separator) + word;
  }
  return text;
}

std::string hostText(const api::HostFacts& host) {
  return fmt::format("{}, {}, kernel {}{}{}",
                     orUnknown(host.hostname),
                     orUnknown(host.os),
                     orUnknown(host.kernel),
                     host.product ? ", " + *host.product : "",
                     host.hasMachineId ? "" : ", no machine id");
}

std::string swapText(const api::MemoryFacts& memory) {
  if (!memory.swapTotalBytes) {
    return "swap unknown";
  }
  if (*memory.swapTotalBytes == 0) {
    return "no swap";
  }
  return fmt::format("swap {} ({} free)",
                     formatBytes(*memory.swapTotalBytes),
                     bytesOrUnknown(memory.swapFreeBytes));
}

std::string hugePagesText(const api::MemoryFacts& memory) {
  if (!memory.hugePagesTotal) {
    return "huge pages unknown";
  }
  if (*memory.hugePagesTotal == 0) {
    return "no huge pages";
  }
  return fmt::format("{} huge pages of {} ({} free)",
                     *memory.hugePagesTotal,
                     bytesOrUnknown(memory.hugePageBytes),
                     numberOrUnknown(memory.hugePagesFree));
}

std::string memoryText(const api::MemoryFacts& memory) {
  return fmt::format("{}, {} available, {}, {}",
                     bytesOrUnknown(memory.totalBytes),
                     bytesOrUnknown(memory.availableBytes),
                     swapText(memory),
                     hugePagesText(memory));
}

std::string cpuText(const api::CpuFacts& cpu) {
  std::vector<std::string> kinds;
  for (const api::CpuKind& kind : cpu.kinds) {
    kinds.push_back(fmt::format("{} × {}", kind.threads, kind.name));
  }
  return fmt::format("{}, {}, {}, {}, governor {}",
                     kinds.empty() ? "unknown" : joined(kinds, " and "),
                     orUnknown(cpu.architecture),
                     counted(cpu.cores, "core"),
                     counted(cpu.threads, "thread"),
                     cpu.governors.empty() ? "none" : joined(cpu.governors, " and "));
}

std::string gpuText(const api::GpuDevice& gpu) {
  return fmt::format(
      "{}  {}, {}, compute {}",
      gpu.pciAddress,
      gpu.name ? *gpu.name : "PCI device " + orUnknown(gpu.pciDeviceId),
      gpu.memoryBytes ? formatBytes(*gpu.memoryBytes)
                      : fmt::format("memory unknown ({})", gpu.memoryUnknownBecause),
      gpu.computeCapability
          ? fmt::format("{}.{}", gpu.computeCapability->major, gpu.computeCapability->minor)
          : "unknown");
}

std::string driverText(const char* name, const api::DriverPart& part) {
  return part.version ? fmt::format("{} {}", name, *part.version)
                      : fmt::format("{} absent: {}", name, part.absentBecause);
}

std::string interfaceText(const api::NetworkInterface& nic) {
  const char* const carrier = !nic.carrier   ? "carrier unknown"
                              : *nic.carrier ? "carrier"
                                             : "no carrier";
  return fmt::format("{:<15} {}, {}, {}, mtu {}, {}{}",
                     nic.name,
                     orUnknown(nic.operState),
                     carrier,
                     nic.speedMbps ? fmt::format("{} Mb/s", *nic.speedMbps) : "speed unknown",
                     numberOrUnknown(nic.mtu),
                     nic.driver ? *nic.driver : "driver unknown",
                     nic.addresses.empty() ? "" : ", " + joined(nic.addresses, " "));
}

std::string rdmaText(const api::RdmaDevice& device, const api::RdmaPort& port) {
  return fmt::format(
      "{:<15} {}, {}, {}, {} address{}, {}",
      fmt::format("{}/{}", device.name, port.number),
      orUnknown(port.state),
      orUnknown(port.linkLayer),
      port.rateGbps ? fmt::format("{:g} Gb/s", *port.rateGbps) : "rate unknown",
      port.gids.size(),
      port.gids.size() == 1 ? "" : "es",
      device.interfaces.empty() ? "no network interface" : joined(device.interfaces, " "));
}

/// Rows of a label, written once, and what belongs to it.
class Table {
 public:
  void add(const std::string& label, const std::string& facts) {
    text_ += fmt::format("{:<8}  {}\n", label == lastLabel_ ? "" : label, facts);
    lastLabel_ = label;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string lastLabel_;
};

}  // namespace

std::string nodeReportText(const api::NodeReport& report) {
  Table table;
  table.add("host", hostText(report.host));
  table.add("memory", memoryText(report.memory));
  table.add("cpu", cpuText(report.cpu));
  if (!report.cpu.features.empty()) {
    table.add("cpu", joined(report.cpu.features, " "));
  }
  for (const api::GpuDevice& gpu : report.gpu.devices) {
    table.add("gpu", gpuText(gpu));
  }
  if (report.gpu.devices.empty()) {
    table.add("gpu", "none of NVIDIA");
  }
  table.add("driver", driverText("kernel module", report.gpu.kernelModule));
  table.add("driver", driverText("NVML", report.gpu.nvml));
  table.add("driver", driverText("CUDA", report.gpu.cuda));
  bool hasNic = false;
  for (const api::NetworkInterface& nic : report.nic.interfaces) {
    if (!nic.isVirtual) {
      table.add("nic", interfaceText(nic));
      hasNic = true;
    }
  }
  if (!hasNic) {
    table.add("nic", "none");
  }
  for (const api::RdmaDevice& device : report.nic.rdmaDevices) {
    for (const api::RdmaPort& port : device.ports) {
      table.add("rdma", rdmaText(device, port));
    }
  }
  if (report.nic.rdmaDevices.empty()) {
    table.add("rdma", "none");
  }
  for (const std::string& note : report.notes) {
    table.add("note", note);
  }
  return table.text();
}

}  // namespace tandem::tools
