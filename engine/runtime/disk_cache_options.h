// SPDX-License-Identifier: GPL-3.0-or-later
// Where a rank keeps prefixes on its disk, and whose they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/kernels/numerics.h"

namespace tandem::runtime {

struct DiskCacheOptions {
  std::filesystem::path folder;  // this rank's own
  std::uint64_t limitBytes = 0;
  std::string
      model;  // whatever makes its entries differ from another's, besides the cache's layout
  kernels::Numerics numerics = kernels::Numerics::Cache;
  std::chrono::milliseconds endPatience{3000};  // for what is not written yet
};

}  // namespace tandem::runtime
