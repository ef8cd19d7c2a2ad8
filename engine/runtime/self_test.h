// SPDX-License-Identifier: GPL-3.0-or-later
// The last check before an engine says that it is ready: does the loaded model hold together?
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/result.h"
#include "engine/runtime/lockstep_runner.h"

namespace tandem::runtime {

/// Runs a short fixed prompt through both ranks three times: whole, whole again, and as prefill
/// with a last token decoded alone. Gives a sentence with what it measured.
///
/// Fails    Internal when a logit is not finite, when the same step gives other bits the second
///          time, or when decode and prefill disagree by more than half of the logits' spread;
///          Unavailable when rank 1 is lost
Result<std::string> selfTest(LockstepRunner& runner, std::int64_t contextTokens);

}  // namespace tandem::runtime
