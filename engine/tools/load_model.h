// SPDX-License-Identifier: GPL-3.0-or-later
// The ModelFactory of the product: DeepSeek-V4 on the back end that was asked for.
#pragma once

#include "engine/api/engine_config.h"
#include "engine/kernels/numerics.h"
#include "engine/tools/model_factory.h"

namespace tandem::tools {

/// Loads this rank's share and reports the phases weights and mtp.
/// Fails    Unavailable for a back end this build or machine does not have; as DeepseekV4::load.
Result<LoadedModel> loadModel(const ModelRequest& request);

/// The same, as the kernels name it.
[[nodiscard]] kernels::Numerics kernelNumerics(api::Numerics numerics);

}  // namespace tandem::tools
