// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/output_parser.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <span>

#include "engine/tokenizer/chat_markup.h"
#include "engine/tokenizer/json_value.h"

namespace tandem::tokenizer {

namespace {

using Kind = OutputEvent::Kind;

constexpr std::size_t kNowhere = std::string_view::npos;

// No tag of a declared tool is longer; text that goes on without a closing `>` is not a tag.
constexpr std::size_t kLongestTag = 512;

// Each failed probe reads some text twice; a model that quotes markup all day must not make that
// quadratic.
constexpr int kMaxFailedProbes = 8;

// The official grammar puts two newlines between the content and its calls.
constexpr std::size_t kNewlinesBeforeCalls = 2;

/// The length of the longest suffix of `text` that begins one of `markers` but is not all of it.
std::size_t partialMarker(std::string_view text, std::span<const std::string_view> markers) {
  std::size_t longest = 0;
  for (const std::string_view marker : markers) {
    for (std::size_t length = std::min(marker.size() - 1, text.size()); length > longest;
         --length) {
      if (text.substr(text.size() - length) == marker.substr(0, length)) {
        longest = length;
      }
    }
  }
  return longest;
}

bool mayBecome(std::string_view text, std::string_view marker) {
  return text.size() < marker.size() && marker.substr(0, text.size()) == text;
}

bool isSpace(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && isSpace(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && isSpace(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

/// A string's escaped characters without the quotes around them.
std::string jsonCharacters(std::string_view text) {
  const std::string quoted = pythonJsonString(text);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace

/// The state machine. Text lies in `buffer_` until `at_` has passed it. A *probe* reads ahead: its
/// events are held until the call that it reads proves whole, else the text is looked at again.
class OutputParser::Machine {
 public:
  explicit Machine(OutputParserOptions options)
      : options_(std::move(options)),
        state_(options_.thinking ? State::Reasoning : State::Content) {}

  std::vector<OutputEvent> push(std::string_view delta) {
    buffer_ += delta;
    run();
    forgetConsumed();
    return std::move(out_);
  }

  std::vector<OutputEvent> finish(EndOfOutput end) {
    ended_ = true;
    run();
    bool cutOff = false;
    while (probe_) {
      if (probe_->origin == State::Content) {
        cutOff = true;
        at_ = buffer_.size();
      }
      failProbe();
      run();
    }
    if (state_ == State::Invoke || state_ == State::Parameter) {
      cutOff = true;
      dropCall();
      at_ = call_.from;
    }
    malformed(trimmed(rest()));
    const bool called = wholeCalls_ > 0 && !(cutOff && end == EndOfOutput::Length);
    OutputEvent finish{Kind::Finish, 0, {}, "stop"};
    if (called) {
      finish.text = "tool_calls";
    } else if (end == EndOfOutput::Length) {
      finish.text = "length";
    }
    out_.push_back(std::move(finish));
    return std::move(out_);
  }

 private:
  enum class State { Reasoning, Content, Tag, Tools, Invoke, Parameter, Skip, Done };

  struct Probe {
    State origin = State::Content;
    std::size_t textFrom = 0;  // the held newlines before the tag
    std::size_t tagAt = 0;
    int nextIndex = 0;
  };

  struct Call {
    std::string name;
    const DeclaredTool* tool = nullptr;  // as declared, if it was
    std::size_t from = 0;                // where its tag stands, for the log
    bool begun = false;                  // ToolCallBegin is out
    bool isFirstParameter = true;
    std::vector<std::string> seen;
  };

  struct Parameter {
    enum class Type { Text, Json, Unsaid };
    std::string name;
    Type type = Type::Text;
    bool isRepeated = false;
    bool isStreamed = false;
    std::size_t searchFrom = 0;
  };

  // ---- the loop

  void run() {
    while (step()) {
    }
  }

  /// One move. False when more text is needed, or none is left.
  bool step() {
    switch (state_) {
      case State::Reasoning:
      case State::Content:
        return stepText();
      case State::Tag:
        return stepTag();
      case State::Tools:
        return stepTools();
      case State::Invoke:
        return stepInvoke();
      case State::Parameter:
        return stepParameter();
      case State::Skip:
        return stepSkip();
      case State::Done:
        return stepDone();
    }
    return false;
  }

  [[nodiscard]] std::string_view rest() const { return std::string_view(buffer_).substr(at_); }

  /// What may be looked at to read one tag. Never more, so that a tag that has not ended by then is
  /// refused whether or not its end has already arrived.
  [[nodiscard]] std::string_view tagWindow() const { return rest().substr(0, kLongestTag); }

  /// True if a tag's end may still come into the window.
  [[nodiscard]] bool mayGrow(std::string_view window) const { return window.size() < kLongestTag; }

  void skipSpace() {
    while (at_ < buffer_.size() && isSpace(buffer_[at_])) {
      ++at_;
    }
  }

  /// Keeps one character before `at_`: what stands before a tag decides whether it is a quotation.
  void forgetConsumed() {
    std::size_t keep = at_;
    if (probe_) {
      keep = std::min(keep, probe_->textFrom);
    }
    if (state_ == State::Invoke || state_ == State::Parameter) {
      keep = std::min(keep, call_.from);
    }
    if (keep <= 1) {
      return;
    }
    --keep;
    buffer_.erase(0, keep);
    at_ -= keep;
    call_.from -= std::min(call_.from, keep);
    parameter_.searchFrom -= std::min(parameter_.searchFrom, keep);
    if (probe_) {
      probe_->textFrom -= keep;
      probe_->tagAt -= keep;
    }
  }

  // ---- events

  void emit(OutputEvent event) {
    std::vector<OutputEvent>& events = probe_ ? held_ : out_;
    const bool isDelta = event.kind == Kind::Reasoning || event.kind == Kind::Content ||
                         event.kind == Kind::ToolCallDelta;
    if (isDelta && event.text.empty()) {
      return;
    }
    if (isDelta && !events.empty() && events.back().kind == event.kind &&
        events.back().index == event.index) {
      events.back().text += event.text;
      return;
    }
    events.push_back(std::move(event));
  }

  void emitText(std::size_t end) {
    const bool isReasoning = state_ == State::Reasoning;
    const std::string_view text = std::string_view(buffer_).substr(at_, end - at_);
    if (!isReasoning && !trimmed(text).empty()) {
      hasContent_ = true;
    }
    emit({isReasoning ? Kind::Reasoning : Kind::Content, 0, {}, std::string(text)});
    at_ = end;
  }

  void malformed(std::string_view text) {
    if (!text.empty()) {
      emit({Kind::Malformed, 0, {}, std::string(text)});
    }
  }

  void emitArguments(std::string text) {
    emit({Kind::ToolCallDelta, nextIndex_, {}, std::move(text)});
  }

  // ---- reasoning and content

  [[nodiscard]] std::span<const std::string_view> textMarkers() const {
    static constexpr std::array kMarkers{kThinkEnd, kDsmlOpen, kThinkBegin, kDsmlClose};
    static constexpr std::array kMarkersWithoutTools{kThinkEnd, kThinkBegin};
    if (options_.tools.empty() && !options_.parseUndeclared) {
      return std::span(kMarkersWithoutTools).first(state_ == State::Reasoning ? 1 : 2);
    }
    return std::span(kMarkers).first(state_ == State::Reasoning ? 2 : 4);
  }

  bool stepText() {
    std::size_t found = kNowhere;
    std::string_view marker;
    for (const std::string_view candidate : textMarkers()) {
      if (const std::size_t at = buffer_.find(candidate, at_); at < found) {
        found = at;
        marker = candidate;
      }
    }
    if (found == kNowhere) {
      const std::size_t held = ended_ ? 0 : partialMarker(rest(), textMarkers());
      const std::size_t end = buffer_.size() - held;
      emitText(ended_ ? end : withoutNewlines(end));
      return false;
    }
    if (isQuoted(found) || (marker == kDsmlOpen && !mayOpenCalls(found))) {
      emitText(found + marker.size());
      return true;
    }
    if (marker == kDsmlOpen) {
      emitText(withoutNewlines(found));
      probe_ = Probe{state_, at_, found, nextIndex_};
      at_ = found;
      state_ = State::Tag;
      return true;
    }
    if (marker == kDsmlClose) {
      return dropStrayTag(found);
    }
    emitText(found);
    at_ = found + marker.size();
    if (state_ == State::Reasoning) {
      state_ = State::Content;
    } else if (marker == kThinkBegin && !hasContent_) {
      state_ = State::Reasoning;  // it thinks although the prompt had closed the thinking
    } else {
      malformed(marker);
    }
    return true;
  }

  /// `end` less the newlines that belong to a tag if one follows.
  [[nodiscard]] std::size_t withoutNewlines(std::size_t end) const {
    for (std::size_t i = 0; i < kNewlinesBeforeCalls && end > at_ && buffer_[end - 1] == '\n';
         ++i) {
      --end;
    }
    return end;
  }

  [[nodiscard]] bool isQuoted(std::size_t tagAt) const {
    return tagAt > 0 && buffer_[tagAt - 1] == '`';
  }

  /// Reasoning talks about tags in mid-sentence; a call stands on a line of its own.
  [[nodiscard]] bool mayOpenCalls(std::size_t tagAt) const {
    return state_ == State::Content ||
           (failedProbes_ < kMaxFailedProbes && (tagAt == 0 || buffer_[tagAt - 1] == '\n'));
  }

  bool dropStrayTag(std::size_t tagAt) {
    const std::string_view window = std::string_view(buffer_).substr(tagAt, kLongestTag);
    const std::size_t close = window.find('>');
    if (close == kNowhere && !ended_ && mayGrow(window)) {
      emitText(withoutNewlines(tagAt));
      return false;
    }
    emitText(tagAt);
    at_ += close == kNowhere ? kDsmlClose.size() : close + 1;
    malformed(std::string_view(buffer_).substr(tagAt, at_ - tagAt));
    return true;
  }

  // ---- tool calls

  /// At the `<｜DSML｜` that may open a block. The probe is on.
  bool stepTag() {
    const std::string_view tag = tagWindow();
    if (tag.find_first_of(">\n") == kNowhere && mayGrow(tag)) {
      return false;
    }
    const std::string_view word = tag.substr(kDsmlOpen.size());
    const auto isWordCharacter = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    const auto end = static_cast<std::size_t>(
        std::find_if_not(word.begin(), word.end(), isWordCharacter) - word.begin());
    const std::string_view name = word.substr(0, end);
    isOrphan_ = name == "invoke";
    isIrregular_ = name != "tool_calls";
    callsInBlock_ = 0;
    state_ = State::Tools;
    if (isOrphan_) {
      return true;
    }
    if (name.empty() || name == "parameter" || word.substr(end, 1) != ">") {
      failProbe();
      return true;
    }
    at_ += kDsmlOpen.size() + end + 1;
    if (!isIrregular_ && probe_->origin == State::Content) {
      probe_.reset();
    }
    return true;
  }

  /// Between the calls of a block.
  bool stepTools() {
    skipSpace();
    const std::string_view tag = rest();
    if (tag.substr(0, kInvokeBegin.size()) == kInvokeBegin) {
      return beginCall();
    }
    if (tag.substr(0, kDsmlClose.size()) == kDsmlClose) {
      return endBlock();
    }
    if (mayBecome(tag, kInvokeBegin) || mayBecome(tag, kDsmlClose)) {
      return false;
    }
    if (probe_) {
      failProbe();
    } else if (isOrphan_) {
      state_ = State::Content;
    } else if (callsInBlock_ > 0) {
      state_ = State::Done;  // the block was not closed
    } else {
      malformed(kToolCallsBegin);
      state_ = State::Content;
    }
    return true;
  }

  bool beginCall() {
    const std::string_view tag = tagWindow();
    const std::size_t end = tag.find("\">", kInvokeBegin.size());
    if (end == kNowhere && mayGrow(tag)) {
      return false;
    }
    if (isIrregular_ && !probe_) {
      probe_ = Probe{State::Content, at_, at_, nextIndex_};
    }
    call_ = Call{};
    call_.from = at_;
    state_ = State::Invoke;
    if (end == kNowhere) {
      at_ += kInvokeBegin.size();
      breakCall();
      return true;
    }
    call_.name = tag.substr(kInvokeBegin.size(), end - kInvokeBegin.size());
    const auto tool =
        std::find_if(options_.tools.begin(),
                     options_.tools.end(),
                     [this](const DeclaredTool& known) { return known.name == call_.name; });
    call_.tool = tool == options_.tools.end() ? nullptr : &*tool;
    at_ += end + 2;
    return true;
  }

  bool endBlock() {
    const std::string_view tag = tagWindow();
    const std::size_t close = tag.find('>');
    if (close == kNowhere && mayGrow(tag)) {
      return false;
    }
    at_ += close == kNowhere ? kDsmlClose.size() : close + 1;
    if (probe_) {
      failProbe();  // a block without a call
    } else {
      state_ = isOrphan_ ? State::Content : State::Done;
    }
    return true;
  }

  /// Between the parameters of a call.
  bool stepInvoke() {
    skipSpace();
    const std::string_view tag = rest();
    if (tag.substr(0, kInvokeEnd.size()) == kInvokeEnd) {
      at_ += kInvokeEnd.size();
      endCall();
      return true;
    }
    if (tag.substr(0, kParameterBegin.size()) == kParameterBegin) {
      return beginParameter();
    }
    if (mayBecome(tag, kInvokeEnd) || mayBecome(tag, kParameterBegin)) {
      return false;
    }
    breakCall();
    return true;
  }

  void announceCall() {
    if (!call_.begun) {
      call_.begun = true;
      emit({Kind::ToolCallBegin, nextIndex_, call_.name, {}});
    }
  }

  void endCall() {
    announceCall();
    emitArguments(call_.isFirstParameter ? "{}" : "}");
    emit({Kind::ToolCallEnd, nextIndex_, {}, {}});
    state_ = State::Tools;
    if (probe_ && !isBelievable()) {
      failProbe();
      return;
    }
    if (probe_) {
      probe_.reset();
      for (OutputEvent& event : held_) {
        emit(std::move(event));
      }
      held_.clear();
    }
    ++nextIndex_;
    ++wholeCalls_;
    ++callsInBlock_;
  }

  /// What is read from irregular markup counts only if the client can have meant it.
  [[nodiscard]] bool isBelievable() const {
    return call_.tool != nullptr &&
           std::all_of(call_.tool->required.begin(),
                       call_.tool->required.end(),
                       [this](const std::string& name) {
                         return std::find(call_.seen.begin(), call_.seen.end(), name) !=
                                call_.seen.end();
                       });
  }

  /// The call's markup makes no sense from here on.
  void breakCall() {
    if (probe_) {
      failProbe();
      return;
    }
    dropCall();
    malformed(std::string_view(buffer_).substr(call_.from, at_ - call_.from));
    state_ = State::Skip;
  }

  void dropCall() {
    if (call_.begun) {
      emit({Kind::ToolCallDropped, nextIndex_, {}, {}});
      ++nextIndex_;
    }
  }

  void failProbe() {
    const Probe probe = *probe_;
    probe_.reset();
    held_.clear();
    nextIndex_ = probe.nextIndex;
    state_ = probe.origin;
    if (probe.origin == State::Reasoning) {
      ++failedProbes_;
      at_ = probe.textFrom;
      emitText(probe.tagAt + kDsmlOpen.size());
      return;
    }
    const std::string_view tag = std::string_view(buffer_).substr(probe.tagAt, kLongestTag);
    const std::size_t close = tag.find_first_of(">\n");
    const bool hasEnd = close != kNowhere && tag[close] == '>';
    at_ = std::max(at_, probe.tagAt + (hasEnd ? close + 1 : kDsmlOpen.size()));
    malformed(std::string_view(buffer_).substr(probe.tagAt, at_ - probe.tagAt));
  }

  // ---- parameters

  bool beginParameter() {
    static constexpr std::string_view kTagEnd = "\">";
    static constexpr std::string_view kIsString = "\" string=\"true";
    static constexpr std::string_view kIsJson = "\" string=\"false";
    const std::string_view tag = tagWindow();
    const std::size_t close = tag.find(kTagEnd, kParameterBegin.size());
    if (close == kNowhere && mayGrow(tag)) {
      return false;
    }
    std::string_view name = tag.substr(kParameterBegin.size());
    name = name.substr(0, close - std::min(close, kParameterBegin.size()));
    parameter_ = Parameter{};
    if (name.size() >= kIsString.size() &&
        name.substr(name.size() - kIsString.size()) == kIsString) {
      parameter_.type = Parameter::Type::Text;
      name.remove_suffix(kIsString.size());
    } else if (name.size() >= kIsJson.size() &&
               name.substr(name.size() - kIsJson.size()) == kIsJson) {
      parameter_.type = Parameter::Type::Json;
      name.remove_suffix(kIsJson.size());
    } else {
      parameter_.type = Parameter::Type::Unsaid;
    }
    const bool isOtherAttribute =
        parameter_.type == Parameter::Type::Unsaid && name.find('"') != kNowhere;
    if (close == kNowhere || isOtherAttribute) {
      breakCall();
      return true;
    }
    parameter_.name = name;
    at_ += close + kTagEnd.size();
    parameter_.searchFrom = at_;
    parameter_.isRepeated =
        std::find(call_.seen.begin(), call_.seen.end(), parameter_.name) != call_.seen.end();
    parameter_.isStreamed =
        parameter_.type == Parameter::Type::Text && !parameter_.isRepeated && !mayWrapArguments();
    state_ = State::Parameter;
    if (parameter_.isStreamed) {
      beginMember();
      emitArguments("\"");
    }
    return true;
  }

  /// Models sometimes put all arguments into one object called "arguments" or "input".
  [[nodiscard]] bool mayWrapArguments() const {
    if (parameter_.name != "arguments" && parameter_.name != "input") {
      return false;
    }
    return call_.isFirstParameter && call_.tool != nullptr &&
           declaredProperty(parameter_.name) == nullptr;
  }

  [[nodiscard]] const DeclaredTool::Property* declaredProperty(std::string_view name) const {
    if (call_.tool == nullptr) {
      return nullptr;
    }
    for (const DeclaredTool::Property& property : call_.tool->properties) {
      if (property.name == name) {
        return &property;
      }
    }
    return nullptr;
  }

  void beginMember() {
    announceCall();
    emitArguments(call_.isFirstParameter ? "{" : ", ");
    emitArguments(pythonJsonString(parameter_.name) + ": ");
    call_.isFirstParameter = false;
    call_.seen.push_back(parameter_.name);
  }

  bool stepParameter() {
    static constexpr std::array kMarkers{kParameterEnd};
    const std::size_t end = buffer_.find(kParameterEnd, parameter_.searchFrom);
    if (end == kNowhere) {
      const std::size_t certain = buffer_.size() - partialMarker(rest(), kMarkers);
      parameter_.searchFrom = certain;
      if (parameter_.isStreamed) {
        emitArguments(jsonCharacters(rest().substr(0, certain - at_)));
        at_ = certain;
      }
      return false;
    }
    const std::string value = buffer_.substr(at_, end - at_);
    at_ = end + kParameterEnd.size();
    state_ = State::Invoke;
    if (parameter_.isStreamed) {
      emitArguments(jsonCharacters(value) + "\"");
    } else if (parameter_.isRepeated) {
      malformed("repeated parameter " + parameter_.name + ": " + value);
    } else {
      emitWholeValue(value);
    }
    return true;
  }

  void emitWholeValue(const std::string& value) {
    const Result<JsonValue> json = parseJson(value);
    if (json && json->isObject() && mayWrapArguments()) {
      for (const JsonValue::Member& member : json->members()) {
        parameter_.name = member.first;
        beginMember();
        emitArguments(pythonJson(member.second));
      }
      return;
    }
    const DeclaredTool::Property* property = declaredProperty(parameter_.name);
    const bool isText =
        parameter_.type == Parameter::Type::Text || !json ||
        (parameter_.type == Parameter::Type::Unsaid && property != nullptr && property->isString);
    beginMember();
    emitArguments(isText ? pythonJsonString(value) : std::string(trimmed(value)));
  }

  // ---- after something broke, and after the end

  /// Looks for the next call of the block, or its end.
  bool stepSkip() {
    const std::size_t found =
        std::min(buffer_.find(kInvokeBegin, at_), buffer_.find(kToolCallsEnd, at_));
    if (found == kNowhere) {
      return false;
    }
    malformed(trimmed(rest().substr(0, found - at_)));
    at_ = found;
    ++callsInBlock_;  // whatever follows stands behind a call, if a broken one
    state_ = State::Tools;
    return true;
  }

  /// Only a second block is still of interest.
  bool stepDone() {
    skipSpace();
    if (rest().substr(0, kToolCallsBegin.size()) != kToolCallsBegin) {
      return false;
    }
    at_ += kToolCallsBegin.size();
    state_ = State::Tools;
    return true;
  }

  OutputParserOptions options_;
  State state_;
  std::string buffer_;
  std::size_t at_ = 0;
  bool ended_ = false;
  bool hasContent_ = false;

  std::optional<Probe> probe_;
  int failedProbes_ = 0;
  bool isIrregular_ = false;  // the block's wrapper is missing or mis-spelt
  bool isOrphan_ = false;     // it is missing
  int callsInBlock_ = 0;
  int nextIndex_ = 0;
  int wholeCalls_ = 0;
  Call call_;
  Parameter parameter_;

  std::vector<OutputEvent> held_;
  std::vector<OutputEvent> out_;
};

OutputParser::OutputParser(OutputParserOptions options)
    : machine_(std::make_unique<Machine>(std::move(options))) {}
OutputParser::OutputParser(OutputParser&&) noexcept = default;
OutputParser& OutputParser::operator=(OutputParser&&) noexcept = default;
OutputParser::~OutputParser() = default;

std::vector<OutputEvent> OutputParser::push(std::string_view delta) {
  return machine_->push(delta);
}

std::vector<OutputEvent> OutputParser::finish(EndOfOutput end) {
  return machine_->finish(end);
}

}  // namespace tandem::tokenizer
