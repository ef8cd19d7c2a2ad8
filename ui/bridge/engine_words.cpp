// SPDX-License-Identifier: GPL-3.0-or-later
// Finds the words.
#include "ui/bridge/engine_words.h"

#include <QCoreApplication>

namespace tandem::ui {

namespace {

struct EngineWords {
  Q_DECLARE_TR_FUNCTIONS(tandem::ui::EngineSnapshot)
};

/// "Rank", but neither "tandem-engine" nor "/run/user".
bool isPlainWord(const QString& word) {
  for (const QChar letter : word) {
    if (!letter.isLetter()) {
      return false;
    }
  }
  return !word.isEmpty();
}

}  // namespace

QString sentenceOf(const std::string& text) {
  QString sentence = QString::fromStdString(text).trimmed();
  if (isPlainWord(sentence.section(QLatin1Char(' '), 0, 0))) {
    sentence[0] = sentence[0].toUpper();
  }
  if (!sentence.isEmpty() && !QStringLiteral(".!?").contains(sentence.back())) {
    sentence += QLatin1Char('.');
  }
  return sentence;
}

EngineSnapshot snapshotOf(const app::EngineReport& report,
                          const QString& cluster,
                          const std::optional<api::EngineStats>& stats) {
  EngineSnapshot engine;
  engine.link = report.link;
  engine.state = report.state;
  engine.cluster = cluster;
  if (engine.running()) {
    engine.model = QString::fromStdString(report.info.modelName);
  }
  engine.endpoint = engine.ready() ? report.endpoint : QString();
  if (report.failure) {
    // "It ended; it printed last:\n…": the quoted lines are no part of the sentence.
    const QString message = QString::fromStdString(report.failure->message);
    const qsizetype line = message.indexOf(QLatin1Char('\n'));
    const QString told = line < 0 ? message : message.left(line).section(QLatin1Char(';'), 0, -2);
    engine.failure = sentenceOf(told.toStdString());
    engine.lastWords = line < 0 ? QString() : message.sliced(line + 1);
    engine.remedy = sentenceOf(report.failure->remedy);
  } else if (report.link == app::EngineLink::Lost) {
    engine.failure = EngineWords::tr("The engine's process ended without a word.");
    engine.remedy = EngineWords::tr("The log below may say why. Start it again.");
  }
  if (engine.running()) {
    engine.stats = stats;
  }
  return engine;
}

QString whyNoChat(const app::EngineReport& report) {
  const EngineSnapshot engine = snapshotOf(report, {}, {});
  if (engine.ready()) {
    return {};
  }
  if (engine.silent()) {
    return engine.failure;
  }
  if (engine.starting()) {
    return EngineWords::tr("The engine is starting.");
  }
  if (engine.running()) {
    return EngineWords::tr("The engine is stopping.");
  }
  return engine.failed() && !engine.failure.isEmpty()
             ? engine.failure
             : EngineWords::tr("The engine is stopped. Start it to chat.");
}

QString foundSentence(const app::EngineReport& report) {
  return EngineWords::tr(
             "Attached to the engine that was already running (process %1). "
             "Closing this window does not stop it.")
      .arg(report.pid);
}

}  // namespace tandem::ui
