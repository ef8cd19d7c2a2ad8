// SPDX-License-Identifier: GPL-3.0-or-later
// Cuts the stream into lines and lines into fields.
#include "app/net/sse_parser.h"

#include <algorithm>
#include <utility>

namespace tandem::app {

namespace {

constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

}  // namespace

std::vector<SseEvent> SseParser::feed(QByteArrayView bytes) {
  std::vector<SseEvent> events;
  while (!bytes.isEmpty()) {
    if (afterCarriageReturn_) {
      afterCarriageReturn_ = false;
      if (bytes.front() == '\n') {
        bytes = bytes.sliced(1);
        continue;
      }
    }
    const auto* end = std::find_if(bytes.begin(), bytes.end(), [](char byte) {
      return byte == '\n' || byte == '\r';
    });
    line_.append(bytes.first(end - bytes.begin()));
    if (end == bytes.end()) {
      break;
    }
    afterCarriageReturn_ = *end == '\r';
    bytes = bytes.sliced(end - bytes.begin() + 1);
    endLine(events);
  }
  return events;
}

qsizetype SseParser::pendingBytes() const {
  return line_.size() + event_.type.size() + event_.data.size();
}

void SseParser::endLine(std::vector<SseEvent>& events) {
  QByteArray line = std::exchange(line_, {});
  if (std::exchange(firstLine_, false) && line.startsWith(kByteOrderMark)) {
    line.remove(0, 3);
  }
  if (line.isEmpty()) {
    // An event without a data line is no event.
    if (hasData_) {
      events.push_back(std::move(event_));
    }
    event_ = {};
    hasData_ = false;
    return;
  }
  const qsizetype colon = line.indexOf(':');
  if (colon == 0) {
    return;  // a comment
  }
  const QByteArrayView whole(line);
  if (colon < 0) {
    readField(whole, {});
    return;
  }
  QByteArrayView value = whole.sliced(colon + 1);
  if (value.startsWith(' ')) {
    value = value.sliced(1);
  }
  readField(whole.first(colon), value);
}

void SseParser::readField(QByteArrayView name, QByteArrayView value) {
  if (name == QByteArrayView("data")) {
    if (hasData_) {
      event_.data.append('\n');
    }
    event_.data.append(value);
    hasData_ = true;
  } else if (name == QByteArrayView("event")) {
    event_.type = value.toByteArray();
  }
}

}  // namespace tandem::app
