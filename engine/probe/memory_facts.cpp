// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/memory_facts.h"

#include <fmt/core.h>

#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/byte_size.h"

namespace tandem::probe {

namespace {

constexpr const char* kPath = "proc/meminfo";

/// "24684092 kB" in bytes; "12" as it is.
std::optional<std::uint64_t> parseAmount(std::string_view text) {
  const std::size_t space = text.find(' ');
  const std::string_view unit =
      space == std::string_view::npos ? "" : trimmed(text.substr(space + 1));
  const std::optional<std::uint64_t> number = parseNumber<std::uint64_t>(text.substr(0, space));
  if (!number || unit.empty()) {
    return number;
  }
  if (unit != "kB" || *number > std::numeric_limits<std::uint64_t>::max() / kKiB) {
    return std::nullopt;
  }
  return *number * kKiB;
}

/// The field of /proc/meminfo with this name, where it goes.
std::optional<std::uint64_t>* field(api::MemoryFacts& facts, std::string_view name) {
  if (name == "MemTotal") {
    return &facts.totalBytes;
  }
  if (name == "MemAvailable") {
    return &facts.availableBytes;
  }
  if (name == "SwapTotal") {
    return &facts.swapTotalBytes;
  }
  if (name == "SwapFree") {
    return &facts.swapFreeBytes;
  }
  if (name == "Hugepagesize") {
    return &facts.hugePageBytes;
  }
  if (name == "HugePages_Total") {
    return &facts.hugePagesTotal;
  }
  if (name == "HugePages_Free") {
    return &facts.hugePagesFree;
  }
  return nullptr;
}

}  // namespace

api::MemoryFacts readMemoryFacts(const FactReader& reader) {
  api::MemoryFacts facts;
  const std::optional<std::string> text = reader.contents(kPath);
  if (!text) {
    return facts;
  }
  for (const std::string_view line : split(*text, '\n')) {
    const std::size_t colon = line.find(':');
    const std::string_view name = trimmed(line.substr(0, colon));
    std::optional<std::uint64_t>* const fact = field(facts, name);
    if (fact == nullptr || colon == std::string_view::npos) {
      continue;
    }
    const std::string_view amount = trimmed(line.substr(colon + 1));
    *fact = parseAmount(amount);
    if (!fact->has_value()) {
      reader.note(kPath, fmt::format("{} is {}, no amount of memory", name, shownValue(amount)));
    }
  }
  if (!facts.totalBytes) {
    reader.note(kPath, "says no MemTotal");
  }
  return facts;
}

}  // namespace tandem::probe
