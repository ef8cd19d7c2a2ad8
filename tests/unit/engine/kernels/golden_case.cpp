// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/unit/engine/kernels/golden_case.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "engine/kernels/cases/case_values.h"
#include "engine/kernels/number_formats.h"

namespace tandem::tests {

kernels::WeightMatrix StoredWeight::view() const {
  kernels::WeightMatrix made;
  made.format = format;
  made.rows = rows;
  made.cols = cols;
  made.codes = codes.data();
  if (format == kernels::WeightFormat::Fp8Block) {
    made.scales = scales.data();
    made.scaleStride =
        (cols + kernels::WeightMatrix::kFp8Block - 1) / kernels::WeightMatrix::kFp8Block;
  } else if (format == kernels::WeightFormat::Mxfp4) {
    made.scales = scales.data();
    made.scaleStride = cols / kernels::WeightMatrix::kMxfp4Group;
  }
  return made;
}

StoredWeight floatWeight(const std::vector<float>& values, std::int64_t cols) {
  StoredWeight made;
  made.cols = cols;
  made.rows = static_cast<std::int64_t>(values.size()) / cols;
  made.codes.resize(values.size() * sizeof(float));
  std::memcpy(made.codes.data(), values.data(), made.codes.size());
  return made;
}

OperatorCase goldenCase(OperatorId op,
                        std::string name,
                        Table answer,
                        RunCase run,
                        AllowCase allow) {
  const auto kept = std::make_shared<const Table>(std::move(answer));
  OperatorCase made;
  made.op = op;
  made.name = std::move(name);
  made.rows = kept->rows();
  made.columns = kept->cols;
  made.answer = kept->values;
  made.run = [kept, inner = std::move(run)](Operators& operators,
                                            std::int64_t first,
                                            Matrix<float> out) { inner(operators, first, out); };
  made.allow = std::move(allow);
  return made;
}

AllowCase exactly() {
  return relatively(0);
}

AllowCase within(Table bounds) {
  const auto kept = std::make_shared<const Table>(std::move(bounds));
  return [kept](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    copyRows(allowed, kept->view());
  };
}

AllowCase relatively(double share, double absolute) {
  return [share, absolute](Matrix<float> allowed, Matrix<const float> expected) {
    for (std::int64_t r = 0; r < expected.rows; ++r) {
      for (std::int64_t c = 0; c < expected.cols; ++c) {
        allowed.row(r)[c] = static_cast<float>(
            share * std::fabs(static_cast<double>(expected.row(r)[c])) + absolute);
      }
    }
  };
}

Table productMagnitudes(const Table& x, const kernels::WeightMatrix& weight) {
  const std::vector<float> expanded = kernels::expandAll(weight);
  Table made;
  made.cols = weight.rows;
  for (std::int64_t r = 0; r < x.rows(); ++r) {
    const float* row = x.view().row(r);
    for (std::int64_t n = 0; n < weight.rows; ++n) {
      const float* w = expanded.data() + n * weight.cols;
      double sum = 0;
      for (std::int64_t k = 0; k < weight.cols; ++k) {
        sum += std::fabs(static_cast<double>(row[k]) * static_cast<double>(w[k]));
      }
      made.values.push_back(static_cast<float>(sum));
    }
  }
  return made;
}

Table scaled(Table values, double share) {
  for (float& value : values.values) {
    value = static_cast<float>(static_cast<double>(value) * share);
  }
  return values;
}

void roundRowsToBf16(Matrix<float> rows) {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (float& value : rows.rowSpan(r)) {
      value = kernels::roundToBf16(value);
    }
  }
}

void copyRows(Matrix<float> out, Matrix<const float> rows) {
  for (std::int64_t r = 0; r < out.rows; ++r) {
    std::copy_n(rows.row(r), out.cols, out.row(r));
  }
}

void rotateByTables(Operators& operators,
                    Matrix<float> x,
                    std::int64_t headDim,
                    const Table& cosines,
                    const Table& sines,
                    std::int64_t first,
                    kernels::RopeDirection direction) {
  constexpr std::array<std::int64_t, 1> kOnce{1};
  std::vector<double> angles(static_cast<std::size_t>(cosines.cols));
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const float* cosine = cosines.view().row(first + r);
    const float* sine = sines.view().row(first + r);
    for (std::size_t i = 0; i < angles.size(); ++i) {
      angles[i] = std::atan2(static_cast<double>(sine[i]), static_cast<double>(cosine[i]));
    }
    operators.rope(x.middleRows(r, 1), headDim, kOnce, angles, direction);
    for (std::int64_t head = headDim; head <= x.cols; head += headDim) {
      float* pairs = x.row(r) + head - 2 * cosines.cols;
      for (std::int64_t i = 0; i < cosines.cols; ++i) {
        const double length =
            std::hypot(static_cast<double>(cosine[i]), static_cast<double>(sine[i]));
        if (std::fabs(length - 1) > 4 * kernels::kFloatRoundoff) {
          pairs[2 * i] = static_cast<float>(length * static_cast<double>(pairs[2 * i]));
          pairs[2 * i + 1] = static_cast<float>(length * static_cast<double>(pairs[2 * i + 1]));
        }
      }
    }
  }
}

}  // namespace tandem::tests
