// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/parsed_output.h"

#include <utility>

namespace tandem::tokenizer {

void OutputCollector::add(const std::vector<OutputEvent>& events) {
  for (const OutputEvent& event : events) {
    const auto index = static_cast<std::size_t>(event.index);
    switch (event.kind) {
      case OutputEvent::Kind::Reasoning:
        output_.reasoning += event.text;
        break;
      case OutputEvent::Kind::Content:
        output_.content += event.text;
        break;
      case OutputEvent::Kind::ToolCallBegin:
        calls_.push_back({{event.name, {}}, false});
        break;
      case OutputEvent::Kind::ToolCallDelta:
        calls_[index].call.argumentsJson += event.text;
        break;
      case OutputEvent::Kind::ToolCallEnd:
        calls_[index].whole = true;
        break;
      case OutputEvent::Kind::ToolCallDropped:
        break;
      case OutputEvent::Kind::Malformed:
        output_.malformed.push_back(event.text);
        break;
      case OutputEvent::Kind::Finish:
        output_.finishReason = event.text;
        break;
    }
  }
}

ParsedOutput OutputCollector::take() {
  for (OpenCall& open : calls_) {
    if (open.whole) {
      output_.toolCalls.push_back(std::move(open.call));
    }
  }
  calls_.clear();
  return std::exchange(output_, {});
}

}  // namespace tandem::tokenizer
