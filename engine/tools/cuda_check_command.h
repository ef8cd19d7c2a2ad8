// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine cuda-check: does the CUDA library load, and do two NCCL ranks sum on this machine?
#pragma once

namespace tandem::tools {

int cudaCheckCommand(int argc, char** argv);

}  // namespace tandem::tools
