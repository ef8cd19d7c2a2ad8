// SPDX-License-Identifier: GPL-3.0-or-later
// Server-sent events, read from bytes that may be split anywhere.
#pragma once

#include <vector>

#include <QByteArray>
#include <QByteArrayView>

namespace tandem::app {

struct SseEvent {
  QByteArray type;  // "" when the stream names none, which means "message"
  QByteArray data;  // the data lines joined by '\n'

  bool operator==(const SseEvent&) const = default;
};

/// Turns the bytes of one stream into events.
///
/// Lines may end with LF, CR or CRLF, also in the middle of a piece. Comments, `id` and `retry` are
/// skipped: nobody here reconnects a stream. An event that the stream's end cuts off never comes,
/// as the standard wants.
/// Source   HTML standard, section 9.2 "Server-sent events".
class SseParser {
 public:
  /// The events that `bytes` complete, oldest first.
  [[nodiscard]] std::vector<SseEvent> feed(QByteArrayView bytes);

  /// Bytes kept for an event that is not complete yet.
  [[nodiscard]] qsizetype pendingBytes() const;

 private:
  void endLine(std::vector<SseEvent>& events);
  void readField(QByteArrayView name, QByteArrayView value);

  QByteArray line_;
  SseEvent event_;
  bool hasData_ = false;
  bool firstLine_ = true;
  bool afterCarriageReturn_ = false;
};

}  // namespace tandem::app
