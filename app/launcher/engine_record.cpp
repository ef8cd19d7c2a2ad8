// SPDX-License-Identifier: GPL-3.0-or-later
// JSON of a fixed version.
#include "app/launcher/engine_record.h"

#include <fmt/core.h>

#include <QFile>
#include <QJsonDocument>
#include <QJsonObject>
#include <QSaveFile>

namespace tandem::app {

namespace {

constexpr int kVersion = 1;
constexpr qint64 kLongestBytes = 64 * 1024;

Error fileError(const QFileDevice& file, const char* what) {
  return {file.error() == QFileDevice::PermissionsError ? ErrorCode::PermissionDenied
                                                        : ErrorCode::Unavailable,
          fmt::format("{} could not be {}: {}",
                      file.fileName().toStdString(),
                      what,
                      file.errorString().toStdString()),
          ""};
}

}  // namespace

Result<void> writeEngineRecord(const QString& file, const EngineRecord& record) {
  const QJsonObject object{
      {QStringLiteral("version"), kVersion},
      {QStringLiteral("pid"), qint64{record.process.pid}},
      // A double holds them exactly for two million years of uptime.
      {QStringLiteral("start_ticks"), static_cast<qint64>(record.process.startTicks)},
      {QStringLiteral("boot"), record.process.boot},
      {QStringLiteral("control_socket"), record.controlSocket},
      {QStringLiteral("model"), record.model},
      {QStringLiteral("port"), record.port},
      {QStringLiteral("started_ms"), qint64{record.startedWallMs}}};
  QSaveFile out(file);
  if (!out.open(QIODevice::WriteOnly)) {
    return fileError(out, "written");
  }
  out.setPermissions(QFileDevice::ReadOwner | QFileDevice::WriteOwner);
  out.write(QJsonDocument(object).toJson());
  if (!out.commit()) {
    return fileError(out, "written");
  }
  return {};
}

Result<EngineRecord> readEngineRecord(const QString& file) {
  QFile in(file);
  if (!in.open(QIODevice::ReadOnly)) {
    return in.exists()
               ? fileError(in, "read")
               : Error{ErrorCode::NotFound, fmt::format("there is no {}", file.toStdString()), ""};
  }
  const QJsonObject object = QJsonDocument::fromJson(in.read(kLongestBytes)).object();
  EngineRecord record;
  record.process.pid = object[u"pid"].toInteger();
  record.process.startTicks = static_cast<std::uint64_t>(object[u"start_ticks"].toInteger());
  record.process.boot = object[u"boot"].toString();
  record.controlSocket = object[u"control_socket"].toString();
  record.model = object[u"model"].toString();
  record.port = object[u"port"].toInt();
  record.startedWallMs = object[u"started_ms"].toInteger();
  if (object[u"version"].toInt() != kVersion || record.process.pid <= 0 ||
      record.controlSocket.isEmpty()) {
    return Error{ErrorCode::DataCorrupt,
                 fmt::format("{} is not what a start of version {} leaves behind",
                             file.toStdString(),
                             kVersion),
                 "Remove it if no tandem-engine runs."};
  }
  return record;
}

}  // namespace tandem::app
