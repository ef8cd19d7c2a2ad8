// SPDX-License-Identifier: GPL-3.0-or-later
// Formats of the blocks, and the replacement of the changed tail.
#include "ui/pages/chat/markdown_document.h"

#include <algorithm>

#include <QCoreApplication>
#include <QTextBlockFormat>
#include <QTextCursor>
#include <QTextDocument>
#include <QTextTable>

#include "ui/theme/spacing.h"
#include "ui/theme/theme.h"

namespace tandem::ui {

namespace {

constexpr int kIndent = 24;
constexpr int kMarkerWidth = 20;
constexpr int kParagraphGap = 12;
constexpr int kTightGap = 4;
constexpr double kLineHeightPercent = 130;

bool isFramed(const MarkdownBlock& block) {
  return block.kind == MarkdownBlockKind::Code || block.kind == MarkdownBlockKind::Table;
}

int headingPixels(int level) {
  switch (level) {
    case 1:
      return 20;
    case 2:
      return 18;
    default:
      return 16;
  }
}

}  // namespace

MarkdownDocument::MarkdownDocument(const Theme& theme, QTextDocument& document)
    : theme_(theme),
      document_(document) {
  document_.setUndoRedoEnabled(false);
  document_.setDocumentMargin(0);
}

void MarkdownDocument::update(const QString& source) {
  std::vector<MarkdownBlock> next = parseMarkdown(source);
  const auto common = static_cast<std::size_t>(
      std::mismatch(
          blocks_.begin(),
          blocks_.begin() + static_cast<std::ptrdiff_t>(std::min(blocks_.size(), next.size())),
          next.begin())
          .first -
      blocks_.begin());
  blocksWritten_ = 0;
  if (common == blocks_.size() && common == next.size()) {
    return;
  }
  std::size_t kept = common;
  if (common + 1 == blocks_.size() && common < next.size() && appendToCode(next[common])) {
    blocks_.back() = next[common];
    ++kept;
    ++blocksWritten_;
  }
  truncate(kept);
  for (std::size_t i = kept; i < next.size(); ++i) {
    starts_.push_back(document_.characterCount() - 1);
    write(next[i], static_cast<int>(i));
    ++blocksWritten_;
  }
  blocks_ = std::move(next);
}

void MarkdownDocument::restyle() {
  const std::vector<MarkdownBlock> blocks = std::move(blocks_);
  blocks_.clear();
  truncate(0);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    starts_.push_back(document_.characterCount() - 1);
    write(blocks[i], static_cast<int>(i));
    blocks_.push_back(blocks[i]);
  }
}

QString MarkdownDocument::codeOfBlock(int block) const {
  return block >= 0 && block < blockCount() ? blocks_[static_cast<std::size_t>(block)].code
                                            : QString();
}

void MarkdownDocument::truncate(std::size_t blocks) {
  if (blocks >= starts_.size()) {
    return;
  }
  if (blocks == 0) {
    document_.clear();
  } else {
    QTextCursor cursor(&document_);
    cursor.setPosition(starts_[blocks]);
    cursor.movePosition(QTextCursor::End, QTextCursor::KeepAnchor);
    cursor.removeSelectedText();
  }
  starts_.resize(blocks);
  blocks_.resize(std::min(blocks_.size(), blocks));
}

bool MarkdownDocument::appendToCode(const MarkdownBlock& grown) {
  const MarkdownBlock& old = blocks_.back();
  if (old.kind != MarkdownBlockKind::Code || grown.kind != MarkdownBlockKind::Code ||
      old.language != grown.language || old.listDepth != grown.listDepth || old.code.isEmpty() ||
      !grown.code.startsWith(old.code)) {
    return false;
  }
  QTextCursor cursor(&document_);
  cursor.movePosition(QTextCursor::End);
  cursor.movePosition(QTextCursor::PreviousCharacter);
  if (QTextTable* table = cursor.currentTable()) {
    QTextCursor end = table->cellAt(1, 0).lastCursorPosition();
    end.insertText(grown.code.mid(old.code.size()), codeFormat());
    return true;
  }
  return false;
}

QTextBlockFormat MarkdownDocument::blockFormat(const MarkdownBlock& block, bool first) const {
  QTextBlockFormat format;
  format.setLineHeight(kLineHeightPercent, QTextBlockFormat::ProportionalHeight);
  format.setTopMargin(first ? 0 : block.tight ? kTightGap : kParagraphGap);
  format.setLeftMargin(theme_.scaled(kIndent) * (block.listDepth + block.quoteDepth));
  if (block.kind == MarkdownBlockKind::Heading) {
    format.setHeadingLevel(block.level);
    format.setTopMargin(first ? 0 : 20);
  }
  if (!block.marker.isEmpty()) {
    // Tab stops count from where the hanging first line begins.
    format.setTextIndent(-theme_.scaled(kMarkerWidth));
    format.setTabPositions({QTextOption::Tab(theme_.scaled(kMarkerWidth), QTextOption::LeftTab)});
  }
  if (block.kind == MarkdownBlockKind::Rule) {
    format.setProperty(QTextFormat::BlockTrailingHorizontalRulerWidth,
                       QTextLength(QTextLength::PercentageLength, 100));
  }
  return format;
}

QTextCharFormat MarkdownDocument::baseFormat(const MarkdownBlock& block) const {
  QTextCharFormat format;
  QFont font = theme_.font(TextRole::Chat);
  QColor color = theme_.palette().textStrong;
  if (block.kind == MarkdownBlockKind::Heading) {
    font.setPixelSize(theme_.scaled(headingPixels(block.level)));
    font.setWeight(QFont::DemiBold);
  }
  if (block.quoteDepth > 0) {
    color = theme_.palette().textNormal;
    font.setItalic(true);
  }
  format.setFont(font);
  format.setForeground(color);
  return format;
}

QTextCharFormat MarkdownDocument::codeFormat() const {
  QTextCharFormat format;
  format.setFont(theme_.font(TextRole::Code));
  format.setForeground(theme_.palette().textStrong);
  return format;
}

void MarkdownDocument::write(const MarkdownBlock& block, int index) {
  QTextCursor cursor(&document_);
  cursor.beginEditBlock();
  cursor.movePosition(QTextCursor::End);
  // A document starts with an empty block, and one stands behind every frame: fill it.
  const bool first = index == 0;
  const bool reuse = first || cursor.block().length() == 1;
  if (!reuse) {
    cursor.insertBlock();
  }
  if (isFramed(block)) {
    QTextBlockFormat thin;
    thin.setLineHeight(1, QTextBlockFormat::FixedHeight);
    cursor.setBlockFormat(thin);
    if (block.kind == MarkdownBlockKind::Code) {
      writeCode(cursor, block, index);
    } else {
      writeTable(cursor, block);
    }
    cursor.movePosition(QTextCursor::End);
    cursor.setBlockFormat(thin);
    cursor.endEditBlock();
    return;
  }
  const QTextCharFormat base = baseFormat(block);
  cursor.setBlockFormat(blockFormat(block, first));
  cursor.setBlockCharFormat(base);
  if (!block.marker.isEmpty()) {
    QTextCharFormat mark = base;
    mark.setForeground(theme_.palette().textNormal);
    cursor.insertText(block.marker + QLatin1Char('\t'), mark);
  }
  writeText(cursor, block.text, base);
  cursor.endEditBlock();
}

void MarkdownDocument::writeText(QTextCursor& cursor,
                                 const MarkdownText& text,
                                 const QTextCharFormat& base) {
  for (const MarkdownSpan& span : text) {
    QTextCharFormat format = base;
    if (span.strong) {
      format.setFontWeight(QFont::DemiBold);
    }
    if (span.emphasis) {
      format.setFontItalic(true);
    }
    if (span.struck) {
      format.setFontStrikeOut(true);
    }
    if (span.code) {
      format.setFont(theme_.font(TextRole::Code));
      format.setBackground(theme_.palette().raised);
    }
    if (!span.link.isEmpty()) {
      format.setAnchor(true);
      format.setAnchorHref(span.link);
      format.setToolTip(span.link);
      format.setForeground(theme_.palette().link);
      format.setFontUnderline(true);
    }
    cursor.insertText(span.text, format);
  }
}

void MarkdownDocument::writeCode(QTextCursor& cursor, const MarkdownBlock& block, int index) {
  const Palette& colors = theme_.palette();
  QTextTableFormat format;
  format.setBorder(0);
  format.setCellSpacing(0);
  format.setCellPadding(8);
  format.setBackground(colors.raised);
  format.setLeftMargin(theme_.scaled(kIndent) * block.listDepth);
  format.setWidth(QTextLength(QTextLength::PercentageLength, 100));
  format.setTopMargin(kParagraphGap);
  format.setBottomMargin(kParagraphGap);
  QTextTable* table = cursor.insertTable(2, 1, format);

  QTextCharFormat caption;
  caption.setFont(theme_.font(TextRole::Caption));
  caption.setForeground(colors.textQuiet);
  QTextCursor language = table->cellAt(0, 0).firstCursorPosition();
  language.insertText(block.language.isEmpty()
                          ? QCoreApplication::translate("tandem::ui::MarkdownDocument", "text")
                          : block.language,
                      caption);
  QTextCharFormat link = caption;
  link.setAnchor(true);
  link.setAnchorHref(QLatin1String(kCopyScheme) + QString::number(index));
  link.setForeground(colors.link);
  language.insertText(QStringLiteral("  ·  "), caption);
  language.insertText(QCoreApplication::translate("tandem::ui::MarkdownDocument", "Copy"), link);

  QTextCursor body = table->cellAt(1, 0).firstCursorPosition();
  QTextBlockFormat lines;
  lines.setLineHeight(125, QTextBlockFormat::ProportionalHeight);
  body.setBlockFormat(lines);
  body.setBlockCharFormat(codeFormat());
  body.insertText(block.code, codeFormat());
}

void MarkdownDocument::writeTable(QTextCursor& cursor, const MarkdownBlock& block) {
  if (block.columns == 0 || block.cells.empty()) {
    return;
  }
  const Palette& colors = theme_.palette();
  const int rows = (static_cast<int>(block.cells.size()) + block.columns - 1) / block.columns;
  QTextTableFormat format;
  format.setBorder(1);
  format.setBorderCollapse(true);
  format.setBorderStyle(QTextFrameFormat::BorderStyle_Solid);
  format.setBorderBrush(colors.divider);
  format.setCellPadding(6);
  format.setCellSpacing(0);
  format.setHeaderRowCount(1);
  format.setTopMargin(kParagraphGap);
  format.setBottomMargin(kParagraphGap);
  QTextTable* table = cursor.insertTable(rows, block.columns, format);
  QTextCharFormat base;
  base.setFont(theme_.font(TextRole::Body));
  base.setForeground(colors.textStrong);
  for (int cell = 0; cell < static_cast<int>(block.cells.size()); ++cell) {
    const int row = cell / block.columns;
    const int column = cell % block.columns;
    QTextTableCell target = table->cellAt(row, column);
    QTextCharFormat text = base;
    if (row == 0) {
      QTextCharFormat header;
      header.setBackground(colors.raised);
      target.setFormat(header);
      text.setFontWeight(QFont::DemiBold);
    }
    QTextCursor inside = target.firstCursorPosition();
    QTextBlockFormat aligned;
    aligned.setAlignment(block.alignments[static_cast<std::size_t>(column)]);
    inside.setBlockFormat(aligned);
    writeText(inside, block.cells[static_cast<std::size_t>(cell)], text);
  }
}

}  // namespace tandem::ui
