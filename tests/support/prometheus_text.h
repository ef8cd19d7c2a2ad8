// SPDX-License-Identifier: GPL-3.0-or-later
// A strict reader of Prometheus' text format 0.0.4: what it takes, every scraper takes.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace tandem::testing {

using PrometheusLabels = std::map<std::string, std::string>;

struct PrometheusSample {
  std::string name;  // with _bucket, _sum or _count for histograms
  PrometheusLabels labels;
  double value = 0;
};

struct PrometheusFamily {
  std::string type;  // counter, gauge, histogram
  std::string help;
  std::vector<PrometheusSample> samples;
};

/// Families by name.
using PrometheusText = std::map<std::string, PrometheusFamily>;

/// Besides the grammar it demands: HELP, TYPE, samples of one family together and the family once;
/// no sample twice; counters and only they end in _total and are not negative; buckets rise to
/// le="+Inf", which equals _count, and there is one _sum.
/// Fails    DataCorrupt with the line
Result<PrometheusText> parsePrometheus(std::string_view text);

}  // namespace tandem::testing
