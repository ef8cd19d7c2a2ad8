// SPDX-License-Identifier: GPL-3.0-or-later
// Turns md4c's callbacks into blocks.
#include "ui/pages/chat/markdown.h"

#include <md4c.h>

namespace tandem::ui {

namespace {

struct OpenList {
  bool ordered = false;
  bool tight = false;
  unsigned next = 1;
};

/// Receives md4c's events in document order.
class BlockCollector {
 public:
  std::vector<MarkdownBlock> blocks;

  void enterBlock(MD_BLOCKTYPE type, const void* detail) {
    switch (type) {
      case MD_BLOCK_QUOTE:
        ++quoteDepth_;
        break;
      case MD_BLOCK_UL:
        lists_.push_back({false, static_cast<const MD_BLOCK_UL_DETAIL*>(detail)->is_tight != 0, 1});
        break;
      case MD_BLOCK_OL: {
        const auto* list = static_cast<const MD_BLOCK_OL_DETAIL*>(detail);
        lists_.push_back({true, list->is_tight != 0, list->start});
        break;
      }
      case MD_BLOCK_LI:
        enterItem(*static_cast<const MD_BLOCK_LI_DETAIL*>(detail));
        break;
      case MD_BLOCK_HR:
        open(MarkdownBlockKind::Rule);
        close();
        break;
      case MD_BLOCK_H:
        open(MarkdownBlockKind::Heading);
        blocks.back().level =
            static_cast<int>(static_cast<const MD_BLOCK_H_DETAIL*>(detail)->level);
        break;
      case MD_BLOCK_CODE:
        open(MarkdownBlockKind::Code);
        blocks.back().language = attribute(static_cast<const MD_BLOCK_CODE_DETAIL*>(detail)->lang);
        break;
      case MD_BLOCK_P:
      case MD_BLOCK_HTML:
        open(MarkdownBlockKind::Paragraph);
        break;
      case MD_BLOCK_TABLE:
        open(MarkdownBlockKind::Table);
        blocks.back().columns =
            static_cast<int>(static_cast<const MD_BLOCK_TABLE_DETAIL*>(detail)->col_count);
        break;
      case MD_BLOCK_TH:
        blocks.back().alignments.push_back(
            alignment(static_cast<const MD_BLOCK_TD_DETAIL*>(detail)->align));
        blocks.back().cells.emplace_back();
        break;
      case MD_BLOCK_TD:
        blocks.back().cells.emplace_back();
        break;
      case MD_BLOCK_DOC:
      case MD_BLOCK_THEAD:
      case MD_BLOCK_TBODY:
      case MD_BLOCK_TR:
        break;
    }
  }

  void leaveBlock(MD_BLOCKTYPE type) {
    switch (type) {
      case MD_BLOCK_QUOTE:
        --quoteDepth_;
        break;
      case MD_BLOCK_UL:
      case MD_BLOCK_OL:
        lists_.pop_back();
        close();
        break;
      case MD_BLOCK_LI:
        if (!marker_.isEmpty()) {
          open(MarkdownBlockKind::Paragraph);  // an item that is still empty shows its mark
        }
        close();
        break;
      case MD_BLOCK_CODE:
        if (blocks.back().code.endsWith(QLatin1Char('\n'))) {
          blocks.back().code.chop(1);
        }
        close();
        break;
      case MD_BLOCK_P:
      case MD_BLOCK_H:
      case MD_BLOCK_HTML:
      case MD_BLOCK_TABLE:
        close();
        break;
      default:
        break;
    }
  }

  void enterSpan(MD_SPANTYPE type, const void* detail) {
    switch (type) {
      case MD_SPAN_STRONG:
        ++strong_;
        break;
      case MD_SPAN_EM:
      case MD_SPAN_U:
        ++emphasis_;
        break;
      case MD_SPAN_CODE:
      case MD_SPAN_LATEXMATH:
      case MD_SPAN_LATEXMATH_DISPLAY:
        ++code_;
        break;
      case MD_SPAN_DEL:
        ++struck_;
        break;
      case MD_SPAN_A:
        link_ = attribute(static_cast<const MD_SPAN_A_DETAIL*>(detail)->href);
        break;
      case MD_SPAN_IMG:
        // Never loaded: a picture is a link to where it is.
        link_ = attribute(static_cast<const MD_SPAN_IMG_DETAIL*>(detail)->src);
        break;
      case MD_SPAN_WIKILINK:
        break;
    }
  }

  void leaveSpan(MD_SPANTYPE type) {
    switch (type) {
      case MD_SPAN_STRONG:
        --strong_;
        break;
      case MD_SPAN_EM:
      case MD_SPAN_U:
        --emphasis_;
        break;
      case MD_SPAN_CODE:
      case MD_SPAN_LATEXMATH:
      case MD_SPAN_LATEXMATH_DISPLAY:
        --code_;
        break;
      case MD_SPAN_DEL:
        --struck_;
        break;
      case MD_SPAN_A:
      case MD_SPAN_IMG:
        link_.clear();
        break;
      case MD_SPAN_WIKILINK:
        break;
    }
  }

  void text(MD_TEXTTYPE type, const QString& text) {
    switch (type) {
      case MD_TEXT_BR:
        append(QString(QChar::LineSeparator));
        break;
      case MD_TEXT_SOFTBR:
        append(QStringLiteral(" "));
        break;
      case MD_TEXT_NULLCHAR:
        append(QString(QChar::ReplacementCharacter));
        break;
      case MD_TEXT_ENTITY:
        append(entity(text));
        break;
      default:
        append(text);
        break;
    }
  }

 private:
  static Qt::Alignment alignment(MD_ALIGN align) {
    switch (align) {
      case MD_ALIGN_CENTER:
        return Qt::AlignHCenter;
      case MD_ALIGN_RIGHT:
        return Qt::AlignRight;
      case MD_ALIGN_DEFAULT:
      case MD_ALIGN_LEFT:
        return Qt::AlignLeft;
    }
    return Qt::AlignLeft;
  }

  static QString attribute(const MD_ATTRIBUTE& value) {
    return QString::fromUtf8(value.text, static_cast<qsizetype>(value.size));
  }

  static QString entity(const QString& name) {
    static const std::pair<QLatin1String, QChar> kNamed[] = {
        {QLatin1String("&amp;"), QLatin1Char('&')},
        {QLatin1String("&lt;"), QLatin1Char('<')},
        {QLatin1String("&gt;"), QLatin1Char('>')},
        {QLatin1String("&quot;"), QLatin1Char('"')},
        {QLatin1String("&nbsp;"), QChar::Nbsp},
    };
    for (const auto& [spelling, character] : kNamed) {
      if (name == spelling) {
        return QString(character);
      }
    }
    return name;
  }

  void enterItem(const MD_BLOCK_LI_DETAIL& item) {
    close();
    OpenList& list = lists_.back();
    if (item.is_task) {
      marker_ = item.task_mark == ' ' ? QStringLiteral("☐") : QStringLiteral("☑");
    } else if (list.ordered) {
      marker_ = QStringLiteral("%1.").arg(list.next);
    } else {
      marker_ = QStringLiteral("•");
    }
    firstOfList_ = list.next == 1 && lists_.size() == 1;
    ++list.next;
  }

  void open(MarkdownBlockKind kind) {
    MarkdownBlock block;
    block.kind = kind;
    block.listDepth = static_cast<int>(lists_.size());
    block.quoteDepth = quoteDepth_;
    block.marker = std::move(marker_);
    block.tight = !lists_.empty() && lists_.back().tight && !firstOfList_;
    marker_.clear();
    firstOfList_ = false;
    blocks.push_back(std::move(block));
    open_ = true;
  }

  void close() { open_ = false; }

  void append(const QString& text) {
    if (!open_) {
      open(MarkdownBlockKind::Paragraph);  // text of a tight list item comes without a paragraph
    }
    MarkdownBlock& block = blocks.back();
    if (block.kind == MarkdownBlockKind::Code) {
      block.code += text;
      return;
    }
    MarkdownText& target = block.kind == MarkdownBlockKind::Table ? block.cells.back() : block.text;
    MarkdownSpan span{text, strong_ > 0, emphasis_ > 0, code_ > 0, struck_ > 0, link_};
    if (!target.empty()) {
      MarkdownSpan& last = target.back();
      span.text = last.text;
      if (span == last) {
        last.text += text;
        return;
      }
      span.text = text;
    }
    target.push_back(std::move(span));
  }

  std::vector<OpenList> lists_;
  int quoteDepth_ = 0;
  bool open_ = false;
  bool firstOfList_ = false;
  QString marker_;
  int strong_ = 0;
  int emphasis_ = 0;
  int code_ = 0;
  int struck_ = 0;
  QString link_;
};

BlockCollector& collector(void* user) {
  return *static_cast<BlockCollector*>(user);
}

}  // namespace

std::vector<MarkdownBlock> parseMarkdown(const QString& source) {
  MD_PARSER parser{};
  parser.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS |
                 MD_FLAG_PERMISSIVEURLAUTOLINKS | MD_FLAG_NOHTML | MD_FLAG_COLLAPSEWHITESPACE;
  parser.enter_block = [](MD_BLOCKTYPE type, void* detail, void* user) {
    collector(user).enterBlock(type, detail);
    return 0;
  };
  parser.leave_block = [](MD_BLOCKTYPE type, void*, void* user) {
    collector(user).leaveBlock(type);
    return 0;
  };
  parser.enter_span = [](MD_SPANTYPE type, void* detail, void* user) {
    collector(user).enterSpan(type, detail);
    return 0;
  };
  parser.leave_span = [](MD_SPANTYPE type, void*, void* user) {
    collector(user).leaveSpan(type);
    return 0;
  };
  parser.text = [](MD_TEXTTYPE type, const MD_CHAR* text, MD_SIZE size, void* user) {
    collector(user).text(type, QString::fromUtf8(text, static_cast<qsizetype>(size)));
    return 0;
  };
  const QByteArray utf8 = source.toUtf8();
  BlockCollector blocks;
  md_parse(utf8.constData(), static_cast<MD_SIZE>(utf8.size()), &parser, &blocks);
  return std::move(blocks.blocks);
}

}  // namespace tandem::ui
