// SPDX-License-Identifier: GPL-3.0-or-later
// Proof that a communicator sums device memory.
#pragma once

#include <cstddef>

#include "engine/base/result.h"
#include "engine/comm/communicator.h"

namespace tandem::cuda {

/// See CudaExports::checkAllReduce.
Result<void> checkAllReduce(comm::Communicator& communicator, std::size_t floats);

}  // namespace tandem::cuda
