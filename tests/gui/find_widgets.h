// SPDX-License-Identifier: GPL-3.0-or-later
// Widgets as a person finds them: visible, and by their accessible name.
#pragma once

#include <vector>

#include <QLabel>
#include <QString>
#include <QStringList>
#include <QWidget>

namespace tandem::test {

template <typename T>
std::vector<T*> visibleChildren(QWidget& root, const QString& accessibleName = {}) {
  std::vector<T*> found;
  for (T* child : root.findChildren<T*>()) {
    if (child->isVisible() &&
        (accessibleName.isEmpty() || child->accessibleName() == accessibleName)) {
      found.push_back(child);
    }
  }
  return found;
}

template <typename T>
T& onlyChild(QWidget& root, const QString& accessibleName) {
  const std::vector<T*> found = visibleChildren<T>(root, accessibleName);
  if (found.size() != 1) {
    qFatal("%zu visible widgets are named %s", found.size(), qPrintable(accessibleName));
  }
  return *found.front();
}

/// Every text on the screen, a line each.
inline QString shownLabels(QWidget& root) {
  QStringList texts;
  for (const QLabel* label : visibleChildren<QLabel>(root)) {
    texts << label->text();
  }
  return texts.join(QLatin1Char('\n'));
}

}  // namespace tandem::test
