// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/host_facts.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace tandem::probe {

namespace {

/// A value of os-release, its quotes taken off.
std::optional<std::string> assignedTo(std::string_view text, std::string_view key) {
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos || trimmed(line.substr(0, equals)) != key) {
      continue;
    }
    std::string_view value = trimmed(line.substr(equals + 1));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    if (value.empty() || value.size() > FactReader::kMaxLineBytes) {
      return std::nullopt;
    }
    return cleaned(value);
  }
  return std::nullopt;
}

std::optional<std::string> readOs(const FactReader& reader) {
  for (const char* path : {"etc/os-release", "usr/lib/os-release"}) {
    if (const std::optional<std::string> text = reader.contents(path)) {
      std::optional<std::string> name = assignedTo(*text, "PRETTY_NAME");
      if (!name) {
        reader.note(path, "has no PRETTY_NAME");
      }
      return name;
    }
  }
  return std::nullopt;
}

/// The firmware writes "NVIDIA_DGX_Spark"; people write it with spaces.
bool namesDgxSpark(std::string product) {
  std::transform(product.begin(), product.end(), product.begin(), [](char letter) {
    const bool isUpper = letter >= 'A' && letter <= 'Z';
    const bool joins = letter == '_' || letter == '-';
    return isUpper ? static_cast<char>(letter - 'A' + 'a') : joins ? ' ' : letter;
  });
  return product.find("dgx spark") != std::string::npos;
}

}  // namespace

api::HostFacts readHostFacts(const FactReader& reader) {
  api::HostFacts facts;
  facts.hostname = reader.line("proc/sys/kernel/hostname");
  if (!facts.hostname) {
    facts.hostname = reader.line("etc/hostname");
  }
  facts.os = readOs(reader);
  facts.kernel = reader.line("proc/sys/kernel/osrelease");
  facts.hasMachineId = reader.line("etc/machine-id").has_value();
  facts.product = reader.line("sys/class/dmi/id/product_name");
  facts.isDgxSpark = facts.product && namesDgxSpark(*facts.product);
  return facts;
}

}  // namespace tandem::probe
