// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/tools/arrival_trace.h"

#include <fmt/core.h>

#include <cmath>
#include <cstddef>
#include <fstream>
#include <optional>
#include <random>

#include <nlohmann/json.hpp>

namespace tandem::tools {

namespace {

using Acceptance = std::array<double, runtime::kMostDrafts>;

// Published for the MTP module of V4-Flash with three drafts; and, by the spread that 0731 shows
// between prose (34 %), code (69 %) and structured text (78 %), a guess for two other kinds.
constexpr Acceptance kOrdinary{0.84, 0.50, 0.16};
constexpr Acceptance kCode{0.92, 0.75, 0.50};
constexpr Acceptance kProse{0.65, 0.30, 0.10};

constexpr std::int64_t kMostTokens = 1 << 20;

/// Draws that are the same everywhere: the distributions of the standard library are not.
class Draw {
 public:
  explicit Draw(std::uint64_t seed)
      : engine_(seed) {}

  double uniform(double low, double high) {
    return low + (high - low) * static_cast<double>(engine_() >> 11U) * 0x1.0p-53;
  }
  /// Between low and high, small ones as likely as large ones by their order of magnitude.
  std::int64_t tokens(double low, double high) {
    return std::llround(low * std::pow(high / low, uniform(0, 1)));
  }
  Acceptance text() {
    const double which = uniform(0, 1);
    return which < 0.4 ? kCode : which < 0.8 ? kOrdinary : kProse;
  }

 private:
  std::mt19937_64 engine_;
};

/// Makes up sessions, each with a number of its own.
class Composer {
 public:
  explicit Composer(std::uint64_t seed)
      : draw_(seed) {}

  void person(double from, int turns) {
    const int session = next_++;
    double at = from + draw_.uniform(0, 5);
    for (int i = 0; i < turns; ++i) {
      turns_.push_back({at,
                        i == 0 ? 0 : draw_.uniform(2, 20),
                        session,
                        draw_.tokens(30, 800),
                        i == 0 ? 300 : 0,
                        draw_.tokens(80, 800),
                        draw_.text()});
      at = 0;
    }
  }

  void agent(double from, double least, double most, int turns) {
    const int session = next_++;
    for (int i = 0; i < turns; ++i) {
      turns_.push_back({i == 0 ? from : 0,
                        i == 0 ? 0 : draw_.uniform(0.3, 5),
                        session,
                        i == 0 ? draw_.tokens(least, most) : draw_.tokens(200, 6000),
                        i == 0 ? 12'000 : 0,
                        draw_.tokens(60, 700),
                        kCode});
    }
  }

  void prompt(double at, std::int64_t tokens, std::int64_t answer) {
    turns_.push_back({at, 0, next_++, tokens, 0, answer, kOrdinary});
  }

  void burst(double at, int requests) {
    for (int i = 0; i < requests; ++i) {
      turns_.push_back({at + draw_.uniform(0, 1),
                        0,
                        next_++,
                        draw_.tokens(100, 3000),
                        2'000,
                        draw_.tokens(60, 400),
                        draw_.text()});
    }
  }

  std::vector<TraceTurn> take() { return std::move(turns_); }

 private:
  Draw draw_;
  int next_ = 0;
  std::vector<TraceTurn> turns_;
};

std::optional<std::string> readTurn(const std::string& line, TraceTurn& turn) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) {
    return "is no JSON object";
  }
  const auto number = [&json](const char* key, double otherwise) {
    const auto found = json.find(key);
    if (found == json.end()) {
      return otherwise;
    }
    return found->is_number() ? found->get<double>() : std::nan("");
  };
  const auto within = [](double value, double low, double high) {
    return value >= low && value <= high;
  };
  const double session = number("session", -1);
  const double added = number("new", 0);
  const double shared = number("shared", 0);
  const double answer = number("answer", 0);
  turn.at = number("at", 0);
  turn.gap = number("gap", 0);
  if (!within(turn.at, 0, 1e9) || !within(turn.gap, 0, 1e9)) {
    return "needs \"at\" and \"gap\" in seconds, not negative";
  }
  if (!within(session, 0, 1e6) || !within(added, 1, kMostTokens) ||
      !within(shared, 0, kMostTokens) || !within(answer, 1, kMostTokens)) {
    return "needs \"session\" (0 or more), \"new\" and \"answer\" (1 to 1048576 tokens)";
  }
  turn.session = static_cast<int>(session);
  turn.newTokens = static_cast<std::int64_t>(added);
  turn.sharedTokens = static_cast<std::int64_t>(shared);
  turn.answerTokens = static_cast<std::int64_t>(answer);
  turn.acceptance = kOrdinary;
  if (const auto accept = json.find("accept"); accept != json.end()) {
    if (!accept->is_array() || accept->size() != turn.acceptance.size()) {
      return "needs three numbers in \"accept\"";
    }
    for (std::size_t i = 0; i < turn.acceptance.size(); ++i) {
      if (!(*accept)[i].is_number() || !within((*accept)[i].get<double>(), 0, 1)) {
        return "needs numbers from 0 to 1 in \"accept\"";
      }
      turn.acceptance[i] = (*accept)[i].get<double>();
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<TraceTurn>> readTrace(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) {
    return Error{ErrorCode::NotFound,
                 fmt::format("cannot read {}", file.string()),
                 "Name a file with one request in a line."};
  }
  std::vector<TraceTurn> turns;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty()) {
      continue;
    }
    TraceTurn turn;
    if (const std::optional<std::string> wrong = readTurn(line, turn)) {
      return Error{ErrorCode::DataCorrupt,
                   fmt::format("{}, line {}: {}", file.string(), number, *wrong),
                   R"(A line is {"at": 0, "session": 1, "new": 500, "answer": 200}.)"};
    }
    turns.push_back(turn);
  }
  return turns;
}

Result<std::vector<TraceTurn>> makeTrace(const std::string& mix, std::uint64_t seed) {
  Composer composer(seed);
  if (mix == "chat") {
    for (int i = 0; i < 6; ++i) {
      composer.person(0, 8);
    }
  } else if (mix == "agents") {
    for (int i = 0; i < 4; ++i) {
      composer.agent(4.0 * i, 8'000, 100'000, 12);
    }
  } else if (mix == "long") {
    for (int i = 0; i < 3; ++i) {
      composer.person(0, 25);
    }
    composer.prompt(20, 500'000, 300);
    composer.prompt(60, 128'000, 300);
  } else if (mix == "burst") {
    composer.person(0, 10);
    composer.person(0, 10);
    composer.burst(20, 24);
  } else if (mix == "mixed") {
    for (int i = 0; i < 3; ++i) {
      composer.person(0, 15);
    }
    composer.agent(5, 8'000, 60'000, 10);
    composer.agent(15, 8'000, 60'000, 10);
    composer.prompt(40, 256'000, 300);
    composer.burst(90, 12);
  } else {
    return Error{ErrorCode::InvalidArgument,
                 fmt::format("{} is no mix of arrivals", mix),
                 "Choose chat, agents, long, burst or mixed."};
  }
  return composer.take();
}

}  // namespace tandem::tools
