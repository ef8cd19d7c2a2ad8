// SPDX-License-Identifier: GPL-3.0-or-later
// Packed weights in device memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/cuda/device_matrix.h"
#include "engine/kernels/weight_matrix.h"

namespace tandem::cuda {

/// Bytes of the scales that `weight` uses.
[[nodiscard]] inline std::int64_t scaleBytes(const kernels::WeightMatrix& weight) {
  constexpr std::int64_t kBlock = kernels::WeightMatrix::kFp8Block;
  switch (weight.format) {
    case kernels::WeightFormat::F32:
    case kernels::WeightFormat::Bf16:
      return 0;
    case kernels::WeightFormat::Fp8Block:
      return (weight.blockRow + weight.rows + kBlock - 1) / kBlock * weight.scaleStride;
    case kernels::WeightFormat::Mxfp4:
      return weight.rows * weight.scaleStride;
  }
  return 0;
}

/// A matrix on the device and the memory that it views.
struct DeviceWeight {
  DeviceMatrix<std::uint8_t> codes;
  DeviceMatrix<std::uint8_t> scales;
  kernels::WeightMatrix view;
};

/// A copy of `weight`, queued on `stream`: its bytes must live until it is done.
/// Fails    OutOfMemory; Internal in CUDA's words.
[[nodiscard]] inline Result<DeviceWeight> upload(const kernels::WeightMatrix& weight,
                                                 cudaStream_t stream) {
  using Bytes = kernels::Matrix<const std::uint8_t>;
  Result<DeviceMatrix<std::uint8_t>> codes =
      upload(Bytes(weight.codes, 1, weight.rows * weight.rowBytes()), stream);
  if (!codes) {
    return codes.error();
  }
  Result<DeviceMatrix<std::uint8_t>> scales =
      upload(Bytes(weight.scales, 1, scaleBytes(weight)), stream);
  if (!scales) {
    return scales.error();
  }
  kernels::WeightMatrix view = weight;
  view.codes = codes->view().data;
  view.scales = scales->view().data;
  return DeviceWeight{std::move(*codes), std::move(*scales), view};
}

}  // namespace tandem::cuda
