// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/pci_address.h"

#include <fmt/core.h>

#include <vector>

#include "engine/probe/fact_reader.h"

namespace tandem::probe {

std::optional<std::string> pciAddress(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() != 3) {
    return std::nullopt;
  }
  const std::vector<std::string_view> slot = split(parts[2], '.');
  if (slot.size() != 2) {
    return std::nullopt;
  }
  const auto domain = parseNumber<unsigned>(parts[0], 16);
  const auto bus = parseNumber<unsigned>(parts[1], 16);
  const auto device = parseNumber<unsigned>(slot[0], 16);
  const auto function = parseNumber<unsigned>(slot[1], 16);
  if (!domain || !bus || !device || !function || *bus > 0xffU || *device > 0x1fU ||
      *function > 7U) {
    return std::nullopt;
  }
  return fmt::format("{:04x}:{:02x}:{:02x}.{}", *domain, *bus, *device, *function);
}

}  // namespace tandem::probe
