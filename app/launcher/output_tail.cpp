// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/launcher/output_tail.h"

#include <algorithm>

#include <QFile>
#include <QStringList>

namespace tandem::app {

namespace {

constexpr qint64 kTailBytes = 64 * 1024;

}  // namespace

std::vector<QString> lastLines(const QString& file, int lines) {
  QFile in(file);
  if (!in.open(QIODevice::ReadOnly)) {
    return {};
  }
  const bool cut = in.size() > kTailBytes && in.seek(in.size() - kTailBytes);
  QStringList all = QString::fromUtf8(in.read(kTailBytes)).split(u'\n');
  if (cut) {
    all.removeFirst();  // begins in the middle
  }
  if (!all.isEmpty() && all.back().isEmpty()) {
    all.removeLast();
  }
  const auto count = std::min<qsizetype>(all.size(), std::max(lines, 0));
  return {all.end() - count, all.end()};
}

std::optional<QString> failureSentence(const std::vector<QString>& lines) {
  const QString mark = QStringLiteral("tandem-engine serve: ");
  const auto found = std::find_if(lines.rbegin(), lines.rend(), [&mark](const QString& line) {
    return line.startsWith(mark);
  });
  if (found == lines.rend()) {
    return std::nullopt;
  }
  return found->mid(mark.size());
}

}  // namespace tandem::app
