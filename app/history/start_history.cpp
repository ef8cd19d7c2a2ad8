// SPDX-License-Identifier: GPL-3.0-or-later
// {"version": 1, "starts": [{"model", "ranks", "backend", "t_ms", "seconds", "phases": [...]}]}
#include "app/history/start_history.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QSaveFile>

namespace tandem::app {

namespace {

constexpr int kVersion = 1;
constexpr qint64 kLongestBytes = 4 << 20;  // 400 starts of 30 phases are a quarter of it

bool matches(const StartKind& question, const StartKind& kind) {
  return (question.model.isEmpty() || question.model == kind.model) &&
         (question.ranks == 0 || question.ranks == kind.ranks) &&
         (question.backend.isEmpty() || question.backend == kind.backend);
}

/// Seconds of a start, or nothing for what cannot be one.
std::optional<double> secondsOf(const QJsonValue& value) {
  const double seconds = value.toDouble(-1);
  return std::isfinite(seconds) && seconds >= 0 ? std::optional(seconds) : std::nullopt;
}

std::optional<PhaseSpan> spanOf(const QJsonObject& object) {
  const std::optional<api::Phase> phase =
      api::phaseFromName(object[u"phase"].toString().toStdString());
  const std::optional<double> begin = secondsOf(object[u"begin"]);
  const std::optional<double> seconds = secondsOf(object[u"seconds"]);
  const int rank = object[u"rank"].toInt(-1);
  if (!phase || !begin || !seconds || rank < 0) {
    return std::nullopt;
  }
  return PhaseSpan{*phase, rank, *begin, *seconds};
}

QJsonObject jsonOfSpan(const PhaseSpan& span) {
  const std::string_view name = api::phaseName(span.phase);
  return {{QStringLiteral("phase"),
           QString::fromLatin1(name.data(), static_cast<qsizetype>(name.size()))},
          {QStringLiteral("rank"), span.rank},
          {QStringLiteral("begin"), span.begin},
          {QStringLiteral("seconds"), span.seconds}};
}

std::optional<RecordedStart> startOf(const QJsonObject& object) {
  RecordedStart entry;
  entry.kind = {object[u"model"].toString(),
                object[u"ranks"].toInt(),
                object[u"backend"].toString()};
  entry.run.wallMs = object[u"t_ms"].toInteger();
  const std::optional<double> seconds = secondsOf(object[u"seconds"]);
  if (entry.kind.ranks <= 0 || !seconds) {
    return std::nullopt;
  }
  entry.run.seconds = *seconds;
  const QJsonArray phases = object[u"phases"].toArray();
  for (const auto phase : phases) {
    const std::optional<PhaseSpan> span = spanOf(phase.toObject());
    if (!span) {
      return std::nullopt;
    }
    entry.run.phases.push_back(*span);
  }
  return entry;
}

QJsonObject jsonOfStart(const RecordedStart& entry) {
  QJsonArray phases;
  for (const PhaseSpan& span : entry.run.phases) {
    phases.append(jsonOfSpan(span));
  }
  return {{QStringLiteral("model"), entry.kind.model},
          {QStringLiteral("ranks"), entry.kind.ranks},
          {QStringLiteral("backend"), entry.kind.backend},
          {QStringLiteral("t_ms"), qint64{entry.run.wallMs}},
          {QStringLiteral("seconds"), entry.run.seconds},
          {QStringLiteral("phases"), phases}};
}

}  // namespace

StartHistory::StartHistory(QString file)
    : file_(std::move(file)) {
  load();
}

QString StartHistory::fileIn(const QString& stateFolder) {
  return stateFolder + QStringLiteral("/start-history.json");
}

UsualStart StartHistory::usual(const StartKind& kind) const {
  const auto newest =
      std::find_if(entries_.rbegin(), entries_.rend(), [&](const RecordedStart& entry) {
        return matches(kind, entry.kind);
      });
  std::vector<StartRun> runs;
  if (newest != entries_.rend()) {
    for (const RecordedStart& entry : entries_) {
      if (entry.kind == newest->kind) {
        runs.push_back(entry.run);
      }
    }
  }
  return usualStartOf(runs);
}

Result<void> StartHistory::add(const StartKind& kind, const StartRun& run) {
  load();  // another program may have added some
  entries_.push_back({kind, run});
  forgetOldOnes();
  return save();
}

void StartHistory::forgetOldOnes() {
  std::vector<std::pair<StartKind, int>> kinds;
  std::vector<RecordedStart> kept;
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& seen) {
      return seen.first == entry->kind;
    });
    if (kind == kinds.end()) {
      if (kinds.size() == kKeptKinds) {
        continue;
      }
      kind = kinds.insert(kinds.end(), {entry->kind, 0});
    }
    if (++kind->second <= kKept) {
      kept.push_back(*entry);
    }
  }
  entries_.assign(kept.rbegin(), kept.rend());
}

void StartHistory::load() {
  QFile in(file_);
  if (!in.open(QIODevice::ReadOnly)) {
    return;
  }
  const QByteArray text = in.read(kLongestBytes);
  in.close();
  QJsonParseError problem{};
  const QJsonObject object = QJsonDocument::fromJson(text, &problem).object();
  if (problem.error != QJsonParseError::NoError) {
    setAside(problem.errorString());
    return;
  }
  if (object[u"version"].toInt() != kVersion || !object[u"starts"].isArray()) {
    setAside(QStringLiteral("it is not of version %1").arg(kVersion));
    return;
  }
  std::vector<RecordedStart> entries;
  const QJsonArray starts = object[u"starts"].toArray();
  for (const auto start : starts) {
    const std::optional<RecordedStart> entry = startOf(start.toObject());
    if (!entry) {
      setAside(QStringLiteral("start %1 in it is not complete").arg(entries.size() + 1));
      return;
    }
    entries.push_back(*entry);
  }
  entries_ = std::move(entries);
}

/// A newer version's file too: that one may want it back.
void StartHistory::setAside(const QString& why) {
  QString aside = file_ + QStringLiteral(".damaged");
  for (int number = 2; QFile::exists(aside); ++number) {
    aside = file_ + QStringLiteral(".damaged-%1").arg(number);
  }
  const bool moved = QFile::rename(file_, aside);
  warning_ =
      Error{ErrorCode::DataCorrupt,
            fmt::format("the history of starts {} cannot be read: {}",
                        file_.toStdString(),
                        why.toStdString()),
            moved ? fmt::format("It is kept as {}, and a new one begins.", aside.toStdString())
                  : "Move it away: it could not be renamed."};
}

Result<void> StartHistory::save() const {
  QJsonArray starts;
  for (const RecordedStart& entry : entries_) {
    starts.append(jsonOfStart(entry));
  }
  QDir().mkpath(QFileInfo(file_).path());
  QSaveFile out(file_);
  if (out.open(QIODevice::WriteOnly)) {
    out.write(QJsonDocument(QJsonObject{{QStringLiteral("version"), kVersion},
                                        {QStringLiteral("starts"), starts}})
                  .toJson(QJsonDocument::Compact));
    if (out.commit()) {
      return {};
    }
  }
  return Error{out.error() == QFileDevice::PermissionsError ? ErrorCode::PermissionDenied
                                                            : ErrorCode::Unavailable,
               fmt::format("the history of starts {} could not be written: {}",
                           file_.toStdString(),
                           out.errorString().toStdString()),
               "The next start cannot be compared with this one."};
}

}  // namespace tandem::app
