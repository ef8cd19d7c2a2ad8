// SPDX-License-Identifier: GPL-3.0-or-later
// Little-endian bytes of small binary messages: written in order, read back with every length
// checked.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/result.h"

namespace tandem {

/// Appends values to a byte vector.
class ByteWriter {
 public:
  template <std::integral T>
  void number(T value) {
    auto bits = static_cast<std::make_unsigned_t<T>>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(bits) >> (8 * i) & 0xff));
    }
  }
  void flag(bool value) { number<std::uint8_t>(value ? 1 : 0); }
  void raw(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  /// A 32-bit length, then the bytes.
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    raw(std::as_bytes(std::span(value)));
  }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// Reads what ByteWriter wrote. A read past the end gives zeros and is remembered, so a decoder
/// reads everything first and asks finish() once. Does not own the bytes.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes)
      : rest_(bytes) {}

  template <std::integral T>
  [[nodiscard]] T number() {
    const std::span<const std::byte> bytes = raw(sizeof(T));
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bits |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    }
    return static_cast<T>(bits);
  }
  [[nodiscard]] bool flag() { return number<std::uint8_t>() != 0; }
  /// The next `count` bytes, or none if there are fewer.
  [[nodiscard]] std::span<const std::byte> raw(std::size_t count) {
    if (count > rest_.size()) {
      overran_ = true;
      rest_ = {};
      return {};
    }
    const std::span<const std::byte> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  [[nodiscard]] std::string text() {
    const std::span<const std::byte> bytes = raw(number<std::uint32_t>());
    std::string value(bytes.size(), '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      value[i] = static_cast<char>(bytes[i]);
    }
    return value;
  }

  [[nodiscard]] std::size_t remaining() const { return rest_.size(); }

  /// Fails with DataCorrupt "a NAME message is …" when a read overran or bytes are left.
  [[nodiscard]] Result<void> finish(std::string_view name) const;

 private:
  std::span<const std::byte> rest_;
  bool overran_ = false;
};

}  // namespace tandem
