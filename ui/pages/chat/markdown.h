// SPDX-License-Identifier: GPL-3.0-or-later
// Markdown as a flat list of blocks, parsed with md4c.
#pragma once

#include <vector>

#include <QString>

namespace tandem::ui {

/// A run of text with one appearance.
struct MarkdownSpan {
  QString text;
  bool strong = false;
  bool emphasis = false;
  bool code = false;
  bool struck = false;
  QString link;  // target, or ""

  bool operator==(const MarkdownSpan&) const = default;
};

using MarkdownText = std::vector<MarkdownSpan>;

enum class MarkdownBlockKind { Paragraph, Heading, Code, Table, Rule };

/// Lists and quotes are carried by their paragraphs: `listDepth` and `marker` indent and mark an
/// item's first block, `quoteDepth` counts the quotes around it. So an answer is a flat sequence in
/// which text that arrives later changes only the last blocks.
struct MarkdownBlock {
  MarkdownBlockKind kind = MarkdownBlockKind::Paragraph;
  int level = 0;      // of a heading, 1 to 6
  int listDepth = 0;  // 0: in no list
  int quoteDepth = 0;
  bool tight = false;  // no space before: an item of a list without blank lines
  QString marker;      // "•", "3.", "☑", or "" for a later block of an item
  MarkdownText text;   // of a paragraph or heading
  QString language;    // of code
  QString code;        // without the last line break
  int columns = 0;     // of a table
  std::vector<Qt::Alignment> alignments;
  std::vector<MarkdownText> cells;  // row by row, the header row first

  bool operator==(const MarkdownBlock&) const = default;
};

/// GitHub's tables, task lists, strikethrough and bare links are understood; raw HTML is text.
[[nodiscard]] std::vector<MarkdownBlock> parseMarkdown(const QString& source);

}  // namespace tandem::ui
