// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/prometheus_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

namespace tandem::testing {

namespace {

bool isNameBegin(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}

bool isName(std::string_view name) {
  return !name.empty() && isNameBegin(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return isNameBegin(c) || (c >= '0' && c <= '9');
         });
}

/// Not a number for what is none: the format has no need of it here.
double numberOf(std::string_view text) {
  if (text == "+Inf") {
    return std::numeric_limits<double>::infinity();
  }
  double number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = problem == std::errc() && end == text.data() + text.size();
  return whole && std::isfinite(number) ? number : std::numeric_limits<double>::quiet_NaN();
}

bool endsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// Takes the labels' text, without braces, apart.
std::optional<PrometheusLabels> labelsOf(std::string_view text) {
  PrometheusLabels labels;
  while (!text.empty()) {
    const std::size_t equals = text.find("=\"");
    if (equals == std::string_view::npos || !isName(text.substr(0, equals))) {
      return std::nullopt;
    }
    const std::string name(text.substr(0, equals));
    text.remove_prefix(equals + 2);
    std::string value;
    while (!text.empty() && text.front() != '"') {
      if (text.front() == '\\') {
        text.remove_prefix(1);
        if (text.empty() ||
            std::string_view("\\\"n").find(text.front()) == std::string_view::npos) {
          return std::nullopt;
        }
        value += text.front() == 'n' ? '\n' : text.front();
      } else {
        value += text.front();
      }
      text.remove_prefix(1);
    }
    if (text.empty() || !labels.emplace(name, value).second) {
      return std::nullopt;
    }
    text.remove_prefix(1);
    if (!text.empty()) {
      if (text.front() != ',' || text.size() == 1) {
        return std::nullopt;
      }
      text.remove_prefix(1);
    }
  }
  return labels;
}

std::optional<PrometheusSample> sampleOf(std::string_view line) {
  PrometheusSample sample;
  const std::size_t open = line.find('{');
  std::size_t end = line.find(' ');
  if (open != std::string_view::npos && open < end) {
    // A brace within a label's value is preceded by an open quote: look for the last one.
    const std::size_t close = line.rfind('}');
    if (close == std::string_view::npos || close < open) {
      return std::nullopt;
    }
    std::optional<PrometheusLabels> labels = labelsOf(line.substr(open + 1, close - open - 1));
    if (!labels) {
      return std::nullopt;
    }
    sample.labels = std::move(*labels);
    sample.name = line.substr(0, open);
    end = close + 1;
  } else if (end != std::string_view::npos) {
    sample.name = line.substr(0, end);
  }
  if (end >= line.size() || line[end] != ' ' || !isName(sample.name)) {
    return std::nullopt;
  }
  sample.value = numberOf(line.substr(end + 1));
  return std::isnan(sample.value) ? std::nullopt : std::optional(sample);
}

/// What is wrong with one histogram's samples, those with the same labels but `le`; or "".
std::string histogramProblem(const std::string& name, const PrometheusFamily& family) {
  struct Series {
    double bound = -std::numeric_limits<double>::infinity();
    double upTo = 0;
    int sums = 0;
    std::optional<double> count;
  };
  std::map<PrometheusLabels, Series> all;
  for (const PrometheusSample& sample : family.samples) {
    PrometheusLabels labels = sample.labels;
    if (sample.name == name + "_bucket") {
      const auto le = labels.extract("le");
      const double bound = le.empty() ? numberOf("") : numberOf(le.mapped());
      Series& series = all[labels];
      if (!(bound > series.bound)) {
        return "a bucket's bound does not rise";
      }
      if (sample.value < series.upTo) {
        return "a bucket has less than the one below it";
      }
      series.bound = bound;
      series.upTo = sample.value;
    } else if (sample.name == name + "_sum") {
      ++all[labels].sums;
    } else {
      all[labels].count = sample.value;
    }
  }
  for (const auto& [labels, series] : all) {
    if (std::isfinite(series.bound) || series.sums != 1 || series.count != series.upTo) {
      return "the +Inf bucket, _count and one _sum do not agree";
    }
  }
  return "";
}

bool belongs(const std::string& family, const std::string& type, const std::string& sample) {
  if (type != "histogram") {
    return sample == family;
  }
  return sample == family + "_bucket" || sample == family + "_sum" || sample == family + "_count";
}

}  // namespace

Result<PrometheusText> parsePrometheus(std::string_view text) {
  PrometheusText families;
  std::string current;
  int number = 0;
  const auto wrong = [&number](std::string_view what, std::string_view line) {
    return Error{ErrorCode::DataCorrupt, fmt::format("line {}: {}: {}", number, what, line), ""};
  };
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      return wrong("the last line has no end", text);
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.substr(0, 7) == "# HELP ") {
      const std::string_view rest = line.substr(7);
      current = rest.substr(0, rest.find(' '));
      if (!isName(current) || rest.size() <= current.size() + 1) {
        return wrong("a HELP line is a name and words", line);
      }
      if (!families.emplace(current, PrometheusFamily{}).second) {
        return wrong("the metric was there before", line);
      }
      families[current].help = rest.substr(current.size() + 1);
      continue;
    }
    const auto family = families.find(current);
    if (family == families.end()) {
      return wrong("the first line must be HELP", line);
    }
    if (line.substr(0, 7) == "# TYPE ") {
      const std::string_view rest = line.substr(7);
      std::string& type = family->second.type;
      if (!type.empty() || rest.substr(0, current.size() + 1) != current + " ") {
        return wrong("TYPE must follow its HELP once", line);
      }
      type = rest.substr(current.size() + 1);
      const bool total = endsWith(current, "_total");
      if ((type != "counter" && type != "gauge" && type != "histogram") ||
          total != (type == "counter")) {
        return wrong("counters and only they end in _total", line);
      }
      continue;
    }
    std::optional<PrometheusSample> sample = sampleOf(line);
    if (!sample || family->second.type.empty() ||
        !belongs(current, family->second.type, sample->name)) {
      return wrong("not a sample of " + current, line);
    }
    if (family->second.type == "counter" && sample->value < 0) {
      return wrong("a counter below 0", line);
    }
    for (const PrometheusSample& other : family->second.samples) {
      if (other.name == sample->name && other.labels == sample->labels) {
        return wrong("the sample was there before", line);
      }
    }
    family->second.samples.push_back(std::move(*sample));
  }
  for (const auto& [name, family] : families) {
    const std::string problem = family.type == "histogram" ? histogramProblem(name, family) : "";
    if (family.type.empty() || !problem.empty()) {
      return Error{ErrorCode::DataCorrupt,
                   fmt::format("{}: {}", name, family.type.empty() ? "no TYPE" : problem),
                   ""};
    }
  }
  return families;
}

}  // namespace tandem::testing
