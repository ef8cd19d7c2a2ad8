// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/weight_binder.h"

#include "engine/kernels/number_formats.h"

namespace tandem::model {

kernels::WeightMatrix WeightBinder::matrix(const std::string& name) const {
  const HostTensor& tensor = weights_.tensor(name + ".weight");
  kernels::WeightMatrix matrix;
  matrix.rows = tensor.shape[0];
  matrix.cols = tensor.shape[1];
  matrix.codes = tensor.as<std::uint8_t>().data();
  if (tensor.dtype == DType::Bf16) {
    matrix.format = kernels::WeightFormat::Bf16;
    return matrix;
  }
  const HostTensor& scale = weights_.tensor(name + ".scale");
  matrix.scales = scale.as<std::uint8_t>().data();
  matrix.scaleStride = scale.shape[1];
  // Not by dtype, which re-uploads change: an FP4 scale has one row for every weight row.
  const bool isFp4 = name.find(".experts.") != std::string::npos;
  matrix.format = isFp4 ? kernels::WeightFormat::Mxfp4 : kernels::WeightFormat::Fp8Block;
  if (isFp4) {
    matrix.cols *= 2;
  }
  matrix.blockRow = tensor.blockRow;
  matrix.blockColumn = tensor.blockColumn;
  return matrix;
}

std::vector<float> WeightBinder::norm(const std::string& name) const {
  const std::span<const std::uint16_t> stored = weights_.tensor(name).as<std::uint16_t>();
  std::vector<float> values(stored.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = kernels::bf16ToFloat(stored[i]);
  }
  return values;
}

kernels::Matrix<const float> WeightBinder::floats(const std::string& name) const {
  const HostTensor& tensor = weights_.tensor(name);
  const bool isVector = tensor.shape.size() == 1;
  return {tensor.as<float>().data(),
          isVector ? 1 : tensor.shape[0],
          isVector ? tensor.shape[0] : tensor.shape[1]};
}

std::span<const float> WeightBinder::vector(const std::string& name) const {
  return weights_.tensor(name).as<float>();
}

kernels::Matrix<const std::int32_t> WeightBinder::table(const std::string& name) const {
  const HostTensor& tensor = weights_.tensor(name);
  return {tensor.as<std::int32_t>().data(), tensor.shape[0], tensor.shape[1]};
}

kernels::HyperConnectionWeights WeightBinder::hyper(const std::string& prefix) const {
  return {floats(prefix + "_fn"),
          vector(prefix + "_base"),
          vector(prefix + "_scale"),
          config_.hcSinkhornIters,
          config_.hcEps,
          config_.rmsNormEps};
}

}  // namespace tandem::model
