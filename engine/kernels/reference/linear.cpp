// SPDX-License-Identifier: GPL-3.0-or-later
// Reference of the matrix products: plain, grouped, and the experts that are made of them.
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/number_formats.h"
#include "engine/kernels/reference/reference_operators.h"

namespace tandem::kernels {

namespace {

std::vector<float> roundedInput(std::span<const float> x,
                                const WeightMatrix& weight,
                                ActivationRounding rounding) {
  std::vector<float> input(x.begin(), x.end());
  if (rounding == ActivationRounding::Fp8Groups && weight.isQuantised()) {
    roundGroupsToE4m3(input, WeightMatrix::kFp8Block);
  }
  return input;
}

}  // namespace

double ReferenceOperators::innerProduct(const float* a, const float* b, std::int64_t count) const {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

void ReferenceOperators::linear(Matrix<float> out,
                                Matrix<const float> x,
                                const WeightMatrix& weight,
                                ActivationRounding rounding) {
  std::vector<float> row(static_cast<std::size_t>(weight.cols));
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const std::vector<float> input = roundedInput(x.rowSpan(r), weight, rounding);
    for (std::int64_t n = 0; n < weight.rows; ++n) {
      expandRow(weight, n, row);
      out.row(r)[n] = static_cast<float>(innerProduct(input.data(), row.data(), weight.cols));
    }
  }
}

void ReferenceOperators::groupedLinear(Matrix<float> out,
                                       Matrix<const float> x,
                                       const WeightMatrix& weight,
                                       int groups) {
  const std::int64_t outputs = weight.rows / groups;
  for (int g = 0; g < groups; ++g) {
    linear({out.data + g * outputs, out.rows, outputs, out.stride},
           {x.data + g * weight.cols, x.rows, weight.cols, x.stride},
           weight.middleRows(g * outputs, outputs),
           ActivationRounding::None);
  }
}

void ReferenceOperators::experts(Matrix<float> out,
                                 Matrix<const float> x,
                                 Matrix<const std::int32_t> picks,
                                 Matrix<const float> weights,
                                 const ExpertWeights& experts,
                                 float limit,
                                 ActivationRounding rounding) {
  const auto width = static_cast<std::size_t>(experts.gate.front().rows);
  std::vector<float> gate(width);
  std::vector<float> up(width);
  std::vector<float> y(static_cast<std::size_t>(out.cols));
  const auto oneRow = [](std::vector<float>& values) {
    return Matrix<float>(values.data(), 1, static_cast<std::int64_t>(values.size()));
  };
  std::vector<std::int64_t> order(static_cast<std::size_t>(picks.cols));
  for (std::int64_t r = 0; r < x.rows; ++r) {
    for (std::int64_t j = 0; j < picks.cols; ++j) {
      order[static_cast<std::size_t>(j)] = j;
    }
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return picks.row(r)[a] < picks.row(r)[b];
    });
    for (const std::int64_t j : order) {
      const auto e = static_cast<std::size_t>(picks.row(r)[j]);
      linear(oneRow(gate), x.middleRows(r, 1), experts.gate[e], rounding);
      linear(oneRow(up), x.middleRows(r, 1), experts.up[e], rounding);
      for (std::size_t i = 0; i < width; ++i) {
        const float g = std::min(gate[i], limit);
        const float u = std::clamp(up[i], -limit, limit);
        gate[i] = g / (1.F + std::exp(-g)) * u * weights.row(r)[j];
      }
      linear(oneRow(y), oneRow(gate), experts.down[e], rounding);
      for (std::int64_t c = 0; c < out.cols; ++c) {
        out.row(r)[c] += y[static_cast<std::size_t>(c)];
      }
    }
  }
}

}  // namespace tandem::kernels
