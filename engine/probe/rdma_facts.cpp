// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/rdma_facts.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>

#include "engine/probe/pci_address.h"

namespace tandem::probe {

namespace {

constexpr const char* kFolder = "sys/class/infiniband";

/// "4: ACTIVE" as "ACTIVE".
std::optional<std::string> readState(const FactReader& reader, const std::string& path) {
  const std::optional<std::string> line = reader.line(path);
  if (!line) {
    return std::nullopt;
  }
  const std::size_t colon = line->find(':');
  return std::string(
      trimmed(std::string_view(*line).substr(colon == std::string::npos ? 0 : colon + 1)));
}

/// "200 Gb/sec (4X HDR)" as 200.
std::optional<double> readRate(const FactReader& reader, const std::string& path) {
  const std::optional<std::string> line = reader.line(path);
  if (!line) {
    return std::nullopt;
  }
  double rate = 0;
  const char* const end = line->data() + line->size();
  const bool isNumber = std::from_chars(line->data(), end, rate).ec == std::errc();
  if (!isNumber || !std::isfinite(rate) || rate < 0 || line->find("Gb/sec") == std::string::npos) {
    reader.note(path, fmt::format("{} is no rate in Gb/sec", shownValue(*line)));
    return std::nullopt;
  }
  return rate;
}

/// An empty slot is all zeros.
bool isEmptyGid(std::string_view gid) {
  return gid.find_first_not_of("0:") == std::string_view::npos;
}

/// In the order of their numbers, "10" after "9"; what is no number is left out.
std::vector<int> numbersIn(const FactReader& reader, const std::string& folder) {
  std::vector<int> numbers;
  for (const std::string& name : reader.names(folder)) {
    const std::optional<int> number = parseNumber<int>(name);
    if (number && *number >= 0) {
      numbers.push_back(*number);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<api::RdmaGid> readGids(const FactReader& reader, const std::string& port) {
  std::vector<api::RdmaGid> gids;
  const std::string attributes = port + "/gid_attrs";
  const std::string folder = port + "/gids";
  for (const int index : numbersIn(reader, folder)) {
    const std::optional<std::string> gid = reader.line(fmt::format("{}/{}", folder, index));
    if (gid && !isEmptyGid(*gid)) {
      gids.push_back({index,
                      *gid,
                      reader.line(fmt::format("{}/types/{}", attributes, index)),
                      reader.line(fmt::format("{}/ndevs/{}", attributes, index))});
    }
  }
  return gids;
}

api::RdmaPort readPort(const FactReader& reader, const std::string& device, int number) {
  const std::string folder = fmt::format("{}/ports/{}", device, number);
  api::RdmaPort port;
  port.number = number;
  port.state = readState(reader, folder + "/state");
  port.physState = readState(reader, folder + "/phys_state");
  port.linkLayer = reader.line(folder + "/link_layer");
  port.rateGbps = readRate(reader, folder + "/rate");
  port.gids = readGids(reader, folder);
  return port;
}

}  // namespace

std::vector<api::RdmaDevice> readRdmaDevices(const FactReader& reader) {
  std::vector<api::RdmaDevice> devices;
  for (const std::string& name : reader.names(kFolder)) {
    const std::string folder = std::string(kFolder) + "/" + name;
    api::RdmaDevice& device = devices.emplace_back();
    device.name = name;
    device.pciAddress = pciAddress(reader.linkName(folder + "/device").value_or(""));
    device.interfaces = reader.names(folder + "/device/net");
    for (const int number : numbersIn(reader, folder + "/ports")) {
      device.ports.push_back(readPort(reader, folder, number));
    }
  }
  return devices;
}

}  // namespace tandem::probe
