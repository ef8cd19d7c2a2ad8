// SPDX-License-Identifier: GPL-3.0-or-later
// What one machine is: the facts that `tandem-engine probe` gathers, and nothing it concludes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tandem::api {

// Hardware that is absent is a value, not an error: an empty list, or nothing in an optional. What
// is there and could not be read is nothing too, and a sentence in NodeReport::notes says why.

struct HostFacts {
  std::optional<std::string> hostname;
  std::optional<std::string> os;      // "Ubuntu 24.04.3 LTS"
  std::optional<std::string> kernel;  // "6.17.0-1014-nvidia"
  bool hasMachineId = false;
  std::optional<std::string> product;  // the firmware's name of the machine: "NVIDIA_DGX_Spark"
  bool isDgxSpark = false;             // by that name; machines of partners have others

  friend bool operator==(const HostFacts&, const HostFacts&) = default;
};

/// As /proc/meminfo counts. `availableBytes` is what a start may plan with; swap never is.
struct MemoryFacts {
  std::optional<std::uint64_t> totalBytes;
  std::optional<std::uint64_t> availableBytes;
  std::optional<std::uint64_t> swapTotalBytes;
  std::optional<std::uint64_t> swapFreeBytes;
  std::optional<std::uint64_t> hugePageBytes;  // of one page
  std::optional<std::uint64_t> hugePagesTotal;
  std::optional<std::uint64_t> hugePagesFree;

  friend bool operator==(const MemoryFacts&, const MemoryFacts&) = default;
};

/// Processors of one name; a machine may have two.
struct CpuKind {
  std::string name;  // "AMD EPYC", "Cortex-X925"
  int threads = 0;

  friend bool operator==(const CpuKind&, const CpuKind&) = default;
};

struct CpuFacts {
  std::optional<std::string> architecture;  // "aarch64" "x86_64"
  std::vector<CpuKind> kinds;               // by name
  std::optional<int> threads;               // online
  std::optional<int> cores;                 // of those threads
  std::vector<std::string> features;        // SIMD that every thread has, of those kernels may use
  std::vector<std::string> governors;       // different ones; none where nobody manages the clock

  friend bool operator==(const CpuFacts&, const CpuFacts&) = default;
};

/// A part of the GPU's driver: its version, or why it has none.
struct DriverPart {
  std::optional<std::string> version;
  std::string absentBecause;

  friend bool operator==(const DriverPart&, const DriverPart&) = default;
};

struct ComputeCapability {
  int major = 0;
  int minor = 0;

  friend bool operator==(const ComputeCapability&, const ComputeCapability&) = default;
};

/// One NVIDIA GPU. Everything but the address needs a driver.
struct GpuDevice {
  std::string pciAddress;                  // "000f:01:00.0"
  std::optional<std::string> pciDeviceId;  // "0x2e12"
  std::optional<std::string> name;         // "NVIDIA GB10"
  // A GPU that works in the host's memory, as GB10 does, reports none of its own.
  std::optional<std::uint64_t> memoryBytes;
  std::string memoryUnknownBecause;  // "" where memoryBytes is known
  std::optional<ComputeCapability> computeCapability;

  friend bool operator==(const GpuDevice&, const GpuDevice&) = default;
};

struct GpuFacts {
  std::vector<GpuDevice> devices;  // by address
  DriverPart kernelModule;
  DriverPart nvml;  // its version is the driver's, as the library counts
  DriverPart cuda;  // its version is that of CUDA: "13.0"

  friend bool operator==(const GpuFacts&, const GpuFacts&) = default;
};

struct NetworkInterface {
  std::string name;
  bool isVirtual = false;  // loopback, bridge, tunnel: no device behind it
  std::optional<std::string> mac;
  std::optional<std::int64_t> mtu;
  std::optional<std::string> operState;  // "up" "down" "unknown"
  std::optional<bool> carrier;           // nothing while the interface is switched off
  std::optional<std::int64_t> speedMbps;
  std::optional<std::string> driver;
  std::optional<std::string> pciAddress;
  std::vector<std::string> addresses;  // "192.168.100.10/24"; only of the running system

  friend bool operator==(const NetworkInterface&, const NetworkInterface&) = default;
};

/// One filled slot of a port's address table. The index is an outcome, never a setting.
struct RdmaGid {
  int index = 0;
  std::string gid;                       // "0000:0000:0000:0000:0000:ffff:c0a8:640a"
  std::optional<std::string> type;       // "IB/RoCE v1" "RoCE v2"
  std::optional<std::string> interface;  // "enp1s0f1np1"

  friend bool operator==(const RdmaGid&, const RdmaGid&) = default;
};

struct RdmaPort {
  int number = 0;
  std::optional<std::string> state;      // "ACTIVE" "DOWN"
  std::optional<std::string> physState;  // "LinkUp" "Disabled" "Polling"
  std::optional<std::string> linkLayer;  // "Ethernet"
  std::optional<double> rateGbps;
  std::vector<RdmaGid> gids;

  friend bool operator==(const RdmaPort&, const RdmaPort&) = default;
};

struct RdmaDevice {
  std::string name;  // "rocep1s0f0"
  std::optional<std::string> pciAddress;
  std::vector<std::string> interfaces;  // the network interfaces of the same function
  std::vector<RdmaPort> ports;

  friend bool operator==(const RdmaDevice&, const RdmaDevice&) = default;
};

struct NicFacts {
  std::vector<NetworkInterface> interfaces;  // by name
  std::vector<RdmaDevice> rdmaDevices;       // by name

  friend bool operator==(const NicFacts&, const NicFacts&) = default;
};

/// Everything one probe found. A further concern is a further member.
struct NodeReport {
  HostFacts host;
  MemoryFacts memory;
  CpuFacts cpu;
  GpuFacts gpu;
  NicFacts nic;
  std::vector<std::string> notes;  // what was there and could not be read, each with its reason

  friend bool operator==(const NodeReport&, const NodeReport&) = default;
};

}  // namespace tandem::api
