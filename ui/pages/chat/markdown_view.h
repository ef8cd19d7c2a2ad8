// SPDX-License-Identifier: GPL-3.0-or-later
// Shows a Markdown answer at its full height, text selectable, links and code copyable.
#pragma once

#include <QTextBrowser>

#include "ui/pages/chat/markdown_document.h"

namespace tandem::ui {

class Theme;

class MarkdownView : public QTextBrowser {
  Q_OBJECT

 public:
  explicit MarkdownView(const Theme& theme, QWidget* parent = nullptr);

  void setMarkdown(const QString& source);
  [[nodiscard]] const MarkdownDocument& content() const { return content_; }

 protected:
  /// Answers never load files or pages.
  QVariant loadResource(int type, const QUrl& name) override;
  void wheelEvent(QWheelEvent* event) override;

 private:
  void follow(const QUrl& link);
  void fitHeight();

  MarkdownDocument content_;
};

}  // namespace tandem::ui
