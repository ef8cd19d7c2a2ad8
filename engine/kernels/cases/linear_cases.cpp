// SPDX-License-Identifier: GPL-3.0-or-later
// Cases of the linear operators: every weight format, and slices that begin inside a block.
#include <fmt/core.h>

#include <cmath>
#include <memory>
#include <utility>

#include "engine/kernels/cases/case_list.h"
#include "engine/kernels/cases/case_values.h"
#include "engine/kernels/cases/known_answers.h"
#include "engine/kernels/number_formats.h"

namespace tandem::kernels {

namespace {

struct Shape {
  const char* what = "";
  WeightFormat format = WeightFormat::Fp8Block;
  std::int64_t rows = 0;
  std::int64_t in = 0;  // of one group
  std::int64_t out = 0;
  ActivationRounding rounding = ActivationRounding::None;
  int blockRow = 0;
  int blockColumn = 0;
  int groups = 1;
};

struct Inputs {
  Shape shape;
  CaseWeight weight;
  std::vector<float> x;

  [[nodiscard]] Matrix<const float> rowsFrom(std::int64_t first, std::int64_t count) const {
    const std::int64_t width = shape.groups * shape.in;
    return {x.data() + first * width, count, width};
  }
};

std::shared_ptr<const Inputs> makeInputs(std::uint64_t seed, const Shape& shape) {
  CaseValues values(seed);
  auto inputs = std::make_shared<Inputs>();
  inputs->shape = shape;
  inputs->weight = makeCaseWeight(values,
                                  shape.format,
                                  shape.out * shape.groups,
                                  shape.in,
                                  shape.blockRow,
                                  shape.blockColumn);
  inputs->x = values.numbers(shape.rows * shape.in * shape.groups);
  return inputs;
}

void allowLinear(const Inputs& inputs, Matrix<float> allowed) {
  const Shape& shape = inputs.shape;
  const std::vector<float> weight = expandAll(inputs.weight.view);
  for (std::int64_t r = 0; r < shape.rows; ++r) {
    const float* row = inputs.rowsFrom(r, 1).data;
    std::vector<float> x(row, row + shape.in * shape.groups);
    if (shape.rounding == ActivationRounding::Fp8Groups && inputs.weight.view.isQuantised()) {
      roundGroupsToE4m3(x, WeightMatrix::kFp8Block);
    }
    for (std::int64_t n = 0; n < shape.out * shape.groups; ++n) {
      const float* input = x.data() + n / shape.out * shape.in;
      double magnitude = 0;
      for (std::int64_t k = 0; k < shape.in; ++k) {
        magnitude +=
            std::fabs(static_cast<double>(input[k]) *
                      static_cast<double>(weight[static_cast<std::size_t>(n * shape.in + k)]));
      }
      allowed.row(r)[n] = static_cast<float>(sumError(shape.in) * magnitude);
    }
  }
}

OperatorCase makeCase(std::uint64_t seed, const Shape& shape) {
  const std::shared_ptr<const Inputs> inputs = makeInputs(seed, shape);
  OperatorCase made;
  made.op = shape.groups > 1 ? OperatorId::GroupedLinear : OperatorId::Linear;
  made.name = fmt::format("{}, {} x {} -> {}", shape.what, shape.rows, shape.in, shape.out);
  made.rows = shape.rows;
  made.columns = shape.out * shape.groups;
  made.run = [inputs](Operators& operators, std::int64_t first, Matrix<float> out) {
    const Matrix<const float> x = inputs->rowsFrom(first, out.rows);
    if (inputs->shape.groups > 1) {
      operators.groupedLinear(out, x, inputs->weight.view, inputs->shape.groups);
    } else {
      operators.linear(out, x, inputs->weight.view, inputs->shape.rounding);
    }
  };
  made.allow = [inputs](Matrix<float> allowed, Matrix<const float> /*expected*/) {
    allowLinear(*inputs, allowed);
  };
  return made;
}

}  // namespace

std::vector<OperatorCase> linearCases() {
  constexpr auto kNone = ActivationRounding::None;
  constexpr auto kFp8 = ActivationRounding::Fp8Groups;
  const std::vector<Shape> shapes{
      {"known answer, fp8", WeightFormat::Fp8Block, 2, 160, 5},
      {"known answer, fp8, in 2 groups", WeightFormat::Fp8Block, 2, 136, 3, kNone, 0, 0, 2},
      {"float", WeightFormat::F32, 3, 97, 13},
      {"bf16", WeightFormat::Bf16, 3, 130, 17},
      {"bf16, as many rows as drafts verify", WeightFormat::Bf16, 8, 512, 64},
      {"fp8, full blocks", WeightFormat::Fp8Block, 1, 512, 256},
      {"fp8, odd shape", WeightFormat::Fp8Block, 5, 259, 131},
      {"fp8, begins inside a block", WeightFormat::Fp8Block, 3, 192, 200, kNone, 64, 64},
      {"fp8, begins inside a block, odd", WeightFormat::Fp8Block, 2, 100, 7, kNone, 125, 37},
      {"fp8, more rows than a decode step", WeightFormat::Fp8Block, 19, 1024, 40},
      {"fp8, rounded input", WeightFormat::Fp8Block, 4, 384, 33, kFp8},
      {"fp4", WeightFormat::Mxfp4, 3, 96, 21},
      {"fp4, long", WeightFormat::Mxfp4, 8, 2048, 48},
      {"fp4, rounded input", WeightFormat::Mxfp4, 2, 256, 19, kFp8},
      {"bf16, unrounded although asked", WeightFormat::Bf16, 2, 128, 9, kFp8},
      {"bf16, in 4 groups", WeightFormat::Bf16, 3, 64, 24, kNone, 0, 0, 4},
      {"fp8, in 2 groups inside one block", WeightFormat::Fp8Block, 5, 257, 80, kNone, 32, 96, 2},
      {"bf16, many outputs", WeightFormat::Bf16, 2, 72, 4099},
      {"fp8, many outputs", WeightFormat::Fp8Block, 3, 144, 4112},
      {"fp4, many outputs", WeightFormat::Mxfp4, 2, 128, 4100},
  };
  std::vector<OperatorCase> cases;
  cases.reserve(shapes.size());
  std::uint64_t seed = 100;
  for (const Shape& shape : shapes) {
    cases.push_back(makeCase(seed++, shape));
  }
  cases[0].answer = knownAnswer(OperatorId::Linear);
  cases[1].answer = knownAnswer(OperatorId::GroupedLinear);
  return cases;
}

}  // namespace tandem::kernels
