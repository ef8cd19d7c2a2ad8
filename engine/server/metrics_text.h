// SPDX-License-Identifier: GPL-3.0-or-later
// Statistics in Prometheus' text format, under vLLM's names where they mean the same.
#pragma once

#include <string>
#include <string_view>

#include "engine/api/engine_stats.h"

namespace tandem::server {

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric with its HELP and TYPE line, every sample with the labels `model_name` and, as vLLM
/// has it, `engine="0"`. What is not known has no sample. Pure; README.md lists the names.
[[nodiscard]] std::string metricsText(const api::EngineStats& stats, std::string_view modelName);

}  // namespace tandem::server
