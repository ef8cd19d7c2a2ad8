// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tokenizer/piece_splitter.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace tandem::tokenizer {

namespace {

struct PcreFree {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};
template <typename T>
using UniquePcre = std::unique_ptr<T, PcreFree>;

// Long runs of one class backtrack on this stack; the expressions of this family need a few KiB.
constexpr std::size_t kJitStackBytes = 32 * 1024;
constexpr std::size_t kMaxJitStackBytes = 8 * 1024 * 1024;

std::string pcreMessage(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return {text.begin(), std::find(text.begin(), text.end(), 0)};
}

/// Oniguruma's \s is Unicode's White_Space; PCRE2's also holds U+180E, which stopped being a space
/// in Unicode 6.3.
std::string inOurDialect(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    ++i;
    if (pattern[i] == 's') {
      out += "\\p{White_Space}";
    } else if (pattern[i] == 'S') {
      out += "\\P{White_Space}";
    } else {
      out += '\\';
      out += pattern[i];
    }
  }
  return out;
}

Result<UniquePcre<pcre2_code>> compile(const std::string& pattern) {
  const std::string translated = inOurDialect(pattern);
  int status = 0;
  PCRE2_SIZE offset = 0;
  // MULTILINE: in Oniguruma's default syntax ^ and $ always match at line ends.
  UniquePcre<pcre2_code> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()),
                                            translated.size(),
                                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                            &status,
                                            &offset,
                                            nullptr));
  if (code == nullptr) {
    return Error{
        ErrorCode::InvalidArgument,
        fmt::format("the expression \"{}\" is not supported: {}", pattern, pcreMessage(status)),
        ""};
  }
  std::uint32_t matchesNothing = 0;
  pcre2_pattern_info(code.get(), PCRE2_INFO_MATCHEMPTY, &matchesNothing);
  if (matchesNothing != 0) {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("the expression \"{}\" can match the empty text", pattern),
                 ""};
  }
  // Without a JIT (a hardened kernel may forbid it) the interpreter gives the same pieces, slower.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

}  // namespace

struct PieceSplitter::Expressions {
  std::vector<UniquePcre<pcre2_code>> steps;
};

struct PieceSplitter::Scratch::State {
  std::vector<UniquePcre<pcre2_match_data>> matches;  // one a step: steps are nested
  UniquePcre<pcre2_jit_stack> stack;
  UniquePcre<pcre2_match_context> context;
};

PieceSplitter::Scratch::Scratch(const PieceSplitter& splitter)
    : state_(std::make_unique<State>()) {
  for (const UniquePcre<pcre2_code>& step : splitter.expressions_->steps) {
    state_->matches.emplace_back(pcre2_match_data_create_from_pattern(step.get(), nullptr));
  }
  state_->stack.reset(pcre2_jit_stack_create(kJitStackBytes, kMaxJitStackBytes, nullptr));
  state_->context.reset(pcre2_match_context_create(nullptr));
  pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
}
PieceSplitter::Scratch::~Scratch() = default;

PieceSplitter::PieceSplitter(std::unique_ptr<const Expressions> expressions)
    : expressions_(std::move(expressions)) {}
PieceSplitter::PieceSplitter(PieceSplitter&&) noexcept = default;
PieceSplitter& PieceSplitter::operator=(PieceSplitter&&) noexcept = default;
PieceSplitter::~PieceSplitter() = default;

Result<PieceSplitter> PieceSplitter::create(const std::vector<std::string>& patterns) {
  auto expressions = std::make_unique<Expressions>();
  for (const std::string& pattern : patterns) {
    Result<UniquePcre<pcre2_code>> code = compile(pattern);
    if (!code) {
      return code.error();
    }
    expressions->steps.push_back(std::move(*code));
  }
  return PieceSplitter(std::move(expressions));
}

namespace {

/// One walk over a text: cuts by step 0 and hands every part to the next step.
class Walk {
 public:
  Walk(const std::vector<UniquePcre<pcre2_code>>& steps,
       const std::vector<UniquePcre<pcre2_match_data>>& matches,
       pcre2_match_context* context,
       const std::function<void(std::string_view)>& onPiece)
      : steps_(steps),
        matches_(matches),
        context_(context),
        onPiece_(onPiece) {}

  /// False when the engine gave up; status() says why.
  bool cut(std::string_view text, std::size_t step) {
    if (text.empty()) {
      return true;
    }
    if (step == steps_.size()) {
      onPiece_(text);
      return true;
    }
    pcre2_match_data* match = matches_[step].get();
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match);
    std::size_t from = 0;
    while (from < text.size()) {
      status_ = pcre2_match(steps_[step].get(),
                            reinterpret_cast<PCRE2_SPTR>(text.data()),
                            text.size(),
                            from,
                            PCRE2_NO_UTF_CHECK,
                            match,
                            context_);
      if (status_ == PCRE2_ERROR_NOMATCH) {
        return cut(text.substr(from), step + 1);
      }
      if (status_ < 0) {
        return false;
      }
      const std::size_t begin = bounds[0];
      const std::size_t end = bounds[1];
      if (!cut(text.substr(from, begin - from), step + 1) ||
          !cut(text.substr(begin, end - begin), step + 1)) {
        return false;
      }
      from = end;
    }
    return true;
  }

  [[nodiscard]] int status() const { return status_; }

 private:
  const std::vector<UniquePcre<pcre2_code>>& steps_;
  const std::vector<UniquePcre<pcre2_match_data>>& matches_;
  pcre2_match_context* context_;
  const std::function<void(std::string_view)>& onPiece_;
  int status_ = 0;
};

}  // namespace

Result<void> PieceSplitter::split(std::string_view text,
                                  Scratch& scratch,
                                  const std::function<void(std::string_view)>& onPiece) const {
  const Scratch::State& state = *scratch.state_;
  Walk walk(expressions_->steps, state.matches, state.context.get(), onPiece);
  if (!walk.cut(text, 0)) {
    return Error{ErrorCode::Internal,
                 fmt::format("the pre-tokenizer gave up on a text of {} bytes: {}",
                             text.size(),
                             pcreMessage(walk.status())),
                 ""};
  }
  return {};
}

}  // namespace tandem::tokenizer
