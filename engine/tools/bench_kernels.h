// SPDX-License-Identifier: GPL-3.0-or-later
// tandem-engine bench kernels: each CUDA kernel against what the memory gives.
#pragma once

namespace tandem::tools {

int benchKernels(int argc, char** argv);

}  // namespace tandem::tools
