// SPDX-License-Identifier: GPL-3.0-or-later
// Every field of a node report with its name in JSON, once for both directions.
#pragma once

#include <concepts>
#include <type_traits>

#include "engine/api/node_report.h"

namespace tandem::protocol {

/// The struct itself, constant for a writer and not for a reader.
template <typename Facts, typename Struct>
concept Of = std::same_as<std::remove_const_t<Facts>, Struct>;

// fields(visit, facts) calls visit("name", facts.member) for each member, in JSON's order.

void fields(auto& visit, Of<api::HostFacts> auto& host) {
  visit("hostname", host.hostname);
  visit("os", host.os);
  visit("kernel", host.kernel);
  visit("machine_id", host.hasMachineId);
  visit("product", host.product);
  visit("dgx_spark", host.isDgxSpark);
}

void fields(auto& visit, Of<api::MemoryFacts> auto& memory) {
  visit("total_bytes", memory.totalBytes);
  visit("available_bytes", memory.availableBytes);
  visit("swap_total_bytes", memory.swapTotalBytes);
  visit("swap_free_bytes", memory.swapFreeBytes);
  visit("huge_page_bytes", memory.hugePageBytes);
  visit("huge_pages_total", memory.hugePagesTotal);
  visit("huge_pages_free", memory.hugePagesFree);
}

void fields(auto& visit, Of<api::CpuKind> auto& kind) {
  visit("name", kind.name);
  visit("threads", kind.threads);
}

void fields(auto& visit, Of<api::CpuFacts> auto& cpu) {
  visit("architecture", cpu.architecture);
  visit("kinds", cpu.kinds);
  visit("threads", cpu.threads);
  visit("cores", cpu.cores);
  visit("features", cpu.features);
  visit("governors", cpu.governors);
}

void fields(auto& visit, Of<api::DriverPart> auto& part) {
  visit("version", part.version);
  visit("absent_because", part.absentBecause);
}

void fields(auto& visit, Of<api::ComputeCapability> auto& capability) {
  visit("major", capability.major);
  visit("minor", capability.minor);
}

void fields(auto& visit, Of<api::GpuDevice> auto& device) {
  visit("pci_address", device.pciAddress);
  visit("pci_device_id", device.pciDeviceId);
  visit("name", device.name);
  visit("memory_bytes", device.memoryBytes);
  visit("memory_unknown_because", device.memoryUnknownBecause);
  visit("compute_capability", device.computeCapability);
}

void fields(auto& visit, Of<api::GpuFacts> auto& gpu) {
  visit("devices", gpu.devices);
  visit("kernel_module", gpu.kernelModule);
  visit("nvml", gpu.nvml);
  visit("cuda", gpu.cuda);
}

void fields(auto& visit, Of<api::NetworkInterface> auto& interface) {
  visit("name", interface.name);
  visit("virtual", interface.isVirtual);
  visit("mac", interface.mac);
  visit("mtu", interface.mtu);
  visit("operstate", interface.operState);
  visit("carrier", interface.carrier);
  visit("speed_mbps", interface.speedMbps);
  visit("driver", interface.driver);
  visit("pci_address", interface.pciAddress);
  visit("addresses", interface.addresses);
}

void fields(auto& visit, Of<api::RdmaGid> auto& gid) {
  visit("index", gid.index);
  visit("gid", gid.gid);
  visit("type", gid.type);
  visit("interface", gid.interface);
}

void fields(auto& visit, Of<api::RdmaPort> auto& port) {
  visit("number", port.number);
  visit("state", port.state);
  visit("phys_state", port.physState);
  visit("link_layer", port.linkLayer);
  visit("rate_gbps", port.rateGbps);
  visit("gids", port.gids);
}

void fields(auto& visit, Of<api::RdmaDevice> auto& device) {
  visit("name", device.name);
  visit("pci_address", device.pciAddress);
  visit("interfaces", device.interfaces);
  visit("ports", device.ports);
}

void fields(auto& visit, Of<api::NicFacts> auto& nic) {
  visit("interfaces", nic.interfaces);
  visit("rdma_devices", nic.rdmaDevices);
}

void fields(auto& visit, Of<api::NodeReport> auto& report) {
  visit("host", report.host);
  visit("memory", report.memory);
  visit("cpu", report.cpu);
  visit("gpu", report.gpu);
  visit("nic", report.nic);
  visit("notes", report.notes);
}

}  // namespace tandem::protocol
