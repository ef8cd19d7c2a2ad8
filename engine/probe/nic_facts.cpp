// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/nic_facts.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/probe/interface_addresses.h"
#include "engine/probe/pci_address.h"
#include "engine/probe/rdma_facts.h"

namespace tandem::probe {

namespace {

constexpr const char* kFolder = "sys/class/net";
constexpr std::int64_t kMaxMtu = 65536;
constexpr std::int64_t kMaxSpeedMbps = 10'000'000;

api::NetworkInterface readInterface(const FactReader& reader, const std::string& name) {
  const std::string folder = std::string(kFolder) + "/" + name;
  api::NetworkInterface interface;
  interface.name = name;
  interface.isVirtual = !reader.root().exists(folder + "/device");
  interface.mac = reader.line(folder + "/address");
  interface.mtu = reader.number(folder + "/mtu", 0, kMaxMtu);
  interface.operState = reader.line(folder + "/operstate");
  if (const auto carrier = reader.number(folder + "/carrier", 0, 1)) {
    interface.carrier = *carrier == 1;
  }
  // -1 is the kernel's word for "unknown".
  const auto speed = reader.number(folder + "/speed", -1, kMaxSpeedMbps);
  if (speed && *speed > 0) {
    interface.speedMbps = speed;
  }
  if (!interface.isVirtual) {
    interface.driver = reader.linkName(folder + "/device/driver");
    interface.pciAddress = pciAddress(reader.linkName(folder + "/device").value_or(""));
  }
  return interface;
}

}  // namespace

api::NicFacts readNicFacts(const FactReader& reader) {
  std::map<std::string, std::vector<std::string>> addresses;
  if (reader.root().isThisMachine()) {
    if (auto known = readInterfaceAddresses()) {
      addresses = std::move(*known);
    } else {
      reader.note(kFolder, known.error().message);
    }
  }
  api::NicFacts facts;
  for (const std::string& name : reader.names(kFolder)) {
    // Bonding keeps a plain file among the interfaces.
    if (!reader.root().exists(std::string(kFolder) + "/" + name + "/address")) {
      continue;
    }
    api::NetworkInterface& interface = facts.interfaces.emplace_back(readInterface(reader, name));
    interface.addresses = addresses[name];
  }
  facts.rdmaDevices = readRdmaDevices(reader);
  return facts;
}

}  // namespace tandem::probe
