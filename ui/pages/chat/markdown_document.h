// SPDX-License-Identifier: GPL-3.0-or-later
// Writes Markdown blocks into a text document and, as the answer grows, rewrites only what changed.
#pragma once

#include <vector>

#include <QString>

#include "ui/pages/chat/markdown.h"

class QTextBlockFormat;
class QTextCharFormat;
class QTextCursor;
class QTextDocument;

namespace tandem::ui {

class Theme;

/// The document always equals a fresh rendering of the newest source: each update parses all of it
/// (under a millisecond for a long answer) and replaces blocks from the first that differs. A block
/// of code that only grew gets the new text appended. GUI thread.
class MarkdownDocument {
 public:
  /// Href of the link that copies code block n: "copy:n".
  static constexpr char kCopyScheme[] = "copy:";

  MarkdownDocument(const Theme& theme, QTextDocument& document);

  void update(const QString& source);
  /// Writes everything again, in the theme's new colours and sizes.
  void restyle();

  [[nodiscard]] QString codeOfBlock(int block) const;
  [[nodiscard]] int blockCount() const { return static_cast<int>(blocks_.size()); }
  /// How many blocks the last update wrote: 0 or 1 when a word was added to a long answer.
  [[nodiscard]] int blocksWritten() const { return blocksWritten_; }

 private:
  void write(const MarkdownBlock& block, int index);
  void writeText(QTextCursor& cursor, const MarkdownText& text, const QTextCharFormat& base);
  void writeCode(QTextCursor& cursor, const MarkdownBlock& block, int index);
  void writeTable(QTextCursor& cursor, const MarkdownBlock& block);
  void truncate(std::size_t blocks);
  [[nodiscard]] bool appendToCode(const MarkdownBlock& grown);
  [[nodiscard]] QTextBlockFormat blockFormat(const MarkdownBlock& block, bool first) const;
  [[nodiscard]] QTextCharFormat baseFormat(const MarkdownBlock& block) const;
  [[nodiscard]] QTextCharFormat codeFormat() const;

  const Theme& theme_;
  QTextDocument& document_;
  std::vector<MarkdownBlock> blocks_;
  std::vector<int> starts_;  // document position before each block
  int blocksWritten_ = 0;
};

}  // namespace tandem::ui
