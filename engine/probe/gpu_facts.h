// SPDX-License-Identifier: GPL-3.0-or-later
// The NVIDIA GPUs: which ones PCI shows, and what their driver knows of them where there is one.
#pragma once

#include <filesystem>
#include <optional>

#include "engine/api/node_report.h"
#include "engine/probe/fact_reader.h"

namespace tandem::probe {

/// `libraries` is the folder of the driver's libraries, "" for where the loader looks, nothing for
/// not to open any: a tree that stands for another machine must not be told of this one's driver.
[[nodiscard]] api::GpuFacts readGpuFacts(const FactReader& reader,
                                         const std::optional<std::filesystem::path>& libraries);

}  // namespace tandem::probe
