// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/mtp_module.h"

#include <fmt/core.h>

namespace tandem::model {

namespace {

std::string prefixOf(std::int64_t module) {
  return fmt::format("mtp.{}.", module);
}

}  // namespace

MtpModule::MtpModule(const WeightBinder& weights, std::int64_t module, int ranks)
    : eProj_(weights.matrix(prefixOf(module) + "e_proj")),
      hProj_(weights.matrix(prefixOf(module) + "h_proj")),
      eNorm_(weights.norm(prefixOf(module) + "enorm.weight")),
      hNorm_(weights.norm(prefixOf(module) + "hnorm.weight")),
      norm_(weights.norm(prefixOf(module) + "norm.weight")),
      hyperHead_(weights.hyper(prefixOf(module) + "hc_head")),
      // Draft modules are window-only and choose experts by their scores.
      block_(weights,
             prefixOf(module),
             {.ratio = 0,
              .hashed = false,
              .layer = weights.config().numHiddenLayers + module,
              .ranks = ranks}),
      streams_(weights.config().hcMult),
      eps_(weights.config().rmsNormEps) {}

Result<void> MtpModule::forward(Step& step,
                                kernels::Matrix<float> h,
                                kernels::Matrix<float> streams,
                                kernels::Matrix<const float> embedded) {
  kernels::Operators& op = step.operators;
  const std::int64_t rows = step.rows();
  const std::int64_t width = h.cols;

  const kernels::Matrix<float> e = e_.take(rows, width);
  op.rmsNorm(h, embedded, eNorm_, eps_);
  op.linear(e, h, eProj_, step.rounding());

  // Each stream is a row of its own here.
  const kernels::Matrix<float> perStream(streams.data, rows * streams_, width);
  const kernels::Matrix<float> normalised = normalised_.take(perStream.rows, width);
  op.rmsNorm(normalised, perStream, hNorm_, eps_);
  const kernels::Matrix<float> projected = projected_.take(perStream.rows, width);
  op.linear(projected, normalised, hProj_, step.rounding());
  for (std::int64_t r = 0; r < perStream.rows; ++r) {
    const float* shared = e.row(r / streams_);
    for (std::int64_t c = 0; c < width; ++c) {
      perStream.row(r)[c] = shared[c] + projected.row(r)[c];
    }
  }
  if (Result<void> run = block_.forward(step, streams); !run) {
    return run;
  }
  op.hyperHead(h, streams, hyperHead_);
  op.rmsNorm(h, h, norm_, eps_);
  return {};
}

}  // namespace tandem::model
