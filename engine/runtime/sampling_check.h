// SPDX-License-Identifier: GPL-3.0-or-later
// Whether the sampler can do what a request asks for.
#pragma once

#include <cstdint>

#include "engine/api/token_request.h"
#include "engine/base/result.h"

namespace tandem::runtime {

/// Fails with InvalidArgument when a sampling parameter is outside the range that
/// api::SamplingParams gives for it, or names a token that the model has not.
Result<void> checkSampling(const api::TokenRequest& request, std::int64_t vocabSize);

}  // namespace tandem::runtime
