// SPDX-License-Identifier: GPL-3.0-or-later
// Grows with its document; the page around it scrolls.
#include "ui/pages/chat/markdown_view.h"

#include <cmath>

#include <QAbstractTextDocumentLayout>
#include <QClipboard>
#include <QDesktopServices>
#include <QGuiApplication>
#include <QUrl>
#include <QWheelEvent>

#include "ui/theme/theme.h"

namespace tandem::ui {

MarkdownView::MarkdownView(const Theme& theme, QWidget* parent)
    : QTextBrowser(parent),
      content_(theme, *document()) {
  setOpenLinks(false);
  setFrameShape(QFrame::NoFrame);
  setVerticalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setWordWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
  setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
  setFixedHeight(0);
  viewport()->setAutoFillBackground(false);
  setAccessibleName(tr("Answer"));
  connect(this, &QTextBrowser::anchorClicked, this, &MarkdownView::follow);
  connect(document()->documentLayout(),
          &QAbstractTextDocumentLayout::documentSizeChanged,
          this,
          &MarkdownView::fitHeight);
  connect(&theme, &Theme::changed, this, [this] {
    content_.restyle();
    fitHeight();
  });
}

void MarkdownView::setMarkdown(const QString& source) {
  content_.update(source);
}

QVariant MarkdownView::loadResource(int, const QUrl&) {
  return {};
}

void MarkdownView::wheelEvent(QWheelEvent* event) {
  event->ignore();
}

void MarkdownView::follow(const QUrl& link) {
  const QString text = link.toString();
  if (text.startsWith(QLatin1String(MarkdownDocument::kCopyScheme))) {
    const int block = text.mid(int(sizeof MarkdownDocument::kCopyScheme) - 1).toInt();
    QGuiApplication::clipboard()->setText(content_.codeOfBlock(block));
  } else if (link.scheme() == QLatin1String("https") || link.scheme() == QLatin1String("http")) {
    QDesktopServices::openUrl(link);
  }
}

void MarkdownView::fitHeight() {
  const int height = static_cast<int>(std::ceil(document()->size().height()));
  if (height != this->height()) {
    setFixedHeight(height);
  }
}

}  // namespace tandem::ui
