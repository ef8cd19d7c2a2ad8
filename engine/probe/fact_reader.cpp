// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/probe/fact_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace tandem::probe {

namespace {

constexpr std::size_t kMaxQuotedBytes = 40;

bool isControl(char letter) {
  const auto code = static_cast<unsigned char>(letter);
  return code < 0x20U || code == 0x7fU;
}

bool hasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), isControl);
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const char* const spaces = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(spaces);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  while (true) {
    const std::size_t end = text.find(separator);
    pieces.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return pieces;
    }
    text.remove_prefix(end + 1);
  }
}

std::string cleaned(std::string_view text) {
  std::string clean(text);
  std::replace_if(clean.begin(), clean.end(), isControl, '?');
  return clean;
}

std::string shownValue(std::string_view text) {
  return fmt::format("\"{}{}\"",
                     cleaned(text.substr(0, kMaxQuotedBytes)),
                     text.size() > kMaxQuotedBytes ? "…" : "");
}

std::optional<std::string> FactReader::contents(const std::string& path) const {
  Result<std::string> text = root_.read(path);
  if (!text) {
    noteFailure(text.error());
    return std::nullopt;
  }
  return std::move(*text);
}

std::optional<std::string> FactReader::line(const std::string& path) const {
  const std::optional<std::string> text = contents(path);
  if (!text) {
    return std::nullopt;
  }
  const std::string_view first = trimmed(std::string_view(*text).substr(0, text->find('\n')));
  if (first.empty()) {
    return std::nullopt;
  }
  if (first.size() > kMaxLineBytes || hasControl(first)) {
    note(path, fmt::format("{} of {} bytes is no line of text", shownValue(first), first.size()));
    return std::nullopt;
  }
  return std::string(first);
}

std::optional<std::int64_t> FactReader::number(const std::string& path,
                                               std::int64_t low,
                                               std::int64_t high) const {
  const std::optional<std::string> text = line(path);
  if (!text) {
    return std::nullopt;
  }
  const std::optional<std::int64_t> value = parseNumber<std::int64_t>(*text);
  if (!value || *value < low || *value > high) {
    note(path, fmt::format("{} is no number from {} to {}", shownValue(*text), low, high));
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> FactReader::linkName(const std::string& path) const {
  const Result<std::string> name = root_.linkName(path);
  if (!name) {
    noteFailure(name.error());
    return std::nullopt;
  }
  if (name->empty() || hasControl(*name)) {
    note(path, fmt::format("the link leads to {}", shownValue(*name)));
    return std::nullopt;
  }
  return *name;
}

std::vector<std::string> FactReader::names(const std::string& path) const {
  Result<std::vector<std::string>> names = root_.names(path);
  if (!names) {
    noteFailure(names.error());
    return {};
  }
  if (names->size() == SysRoot::kMaxEntries) {
    note(path, fmt::format("only {} entries were read", SysRoot::kMaxEntries));
  }
  const auto bad = std::stable_partition(names->begin(), names->end(), [](const std::string& name) {
    return !hasControl(name);
  });
  for (auto name = bad; name != names->end(); ++name) {
    note(path, fmt::format("{} is no name of a device", shownValue(*name)));
  }
  names->erase(bad, names->end());
  return std::move(*names);
}

void FactReader::note(const std::string& path, const std::string& words) const {
  keep(fmt::format("/{}: {}", path, words));
}

void FactReader::noteFailure(const Error& error) const {
  if (error.code != ErrorCode::NotFound) {
    keep(error.message);
  }
}

void FactReader::keep(std::string text) const {
  if (notes_.size() < kMaxNotes) {
    notes_.push_back(std::move(text));
  } else if (notes_.size() == kMaxNotes) {
    notes_.emplace_back("more files could not be read than are named here");
  }
}

}  // namespace tandem::probe
