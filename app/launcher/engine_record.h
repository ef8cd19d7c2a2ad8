// SPDX-License-Identifier: GPL-3.0-or-later
// What a started engine leaves behind to be found by: one small file.
#pragma once

#include <cstdint>

#include <QString>

#include "app/launcher/process_identity.h"
#include "engine/base/result.h"

namespace tandem::app {

struct EngineRecord {
  ProcessIdentity process;
  QString controlSocket;
  QString model;  // folder
  int port = 0;   // as asked for: 0 is any
  std::int64_t startedWallMs = 0;
};

/// Replaces the file as a whole: a reader sees the old one or the new one.
/// Fails    PermissionDenied, Unavailable with the file and the reason
Result<void> writeEngineRecord(const QString& file, const EngineRecord& record);

/// Fails    NotFound without a file; DataCorrupt for one that writeEngineRecord() has not made
Result<EngineRecord> readEngineRecord(const QString& file);

}  // namespace tandem::app
