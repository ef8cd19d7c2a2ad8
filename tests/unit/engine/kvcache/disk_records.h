// SPDX-License-Identifier: GPL-3.0-or-later
// Records by number, for the tests of the disk store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <QFile>
#include <QString>

#include "engine/kvcache/cache_key.h"
#include "engine/kvcache/disk_record.h"
#include "engine/kvcache/disk_store.h"

namespace tandem::test {

using kvcache::CacheKey;
using kvcache::RecordId;
using kvcache::RecordKind;
using kvcache::StoreIdentity;

inline constexpr std::uint64_t kRoom = 1 << 20;
inline constexpr int kPatienceMs = 30000;

using Bytes = std::vector<std::byte>;

inline CacheKey key(int number) {
  CacheKey result;
  for (std::size_t i = 0; i < result.bytes.size(); ++i) {
    result.bytes[i] = static_cast<std::uint8_t>(0x10 + i);
  }
  result.bytes[0] = static_cast<std::uint8_t>(number);
  result.bytes[15] = 0xff;
  return result;
}

inline RecordId block(int number) {
  return {RecordKind::Block, key(number)};
}

/// `size` bytes that no other number gives.
inline Bytes payload(int number, std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>((i * 7 + static_cast<std::size_t>(number) * 31) & 0xff);
  }
  return bytes;
}

inline StoreIdentity identity() {
  StoreIdentity result;
  for (std::size_t i = 0; i < result.modelHash.size(); ++i) {
    result.modelHash[i] = static_cast<std::uint8_t>(200 + i);
  }
  return result;
}

inline void writeFile(const QString& path, const QByteArray& content) {
  QFile::remove(path);  // ext4 waits for the disk when a file is overwritten
  QFile file(path);
  if (!file.open(QIODevice::WriteOnly) || file.write(content) != content.size()) {
    qFatal("could not write %s", qPrintable(path));
  }
}

inline bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) {
    return true;
  }
  qWarning("\"%s\" is not in \"%s\"", part.c_str(), text.c_str());
  return false;
}

}  // namespace tandem::test
