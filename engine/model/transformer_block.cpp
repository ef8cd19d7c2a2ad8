// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/transformer_block.h"

namespace tandem::model {

TransformerBlock::TransformerBlock(const WeightBinder& weights,
                                   const std::string& prefix,
                                   const Shape& shape)
    : hyperAttention_(weights.hyper(prefix + "hc_attn")),
      hyperFfn_(weights.hyper(prefix + "hc_ffn")),
      attentionNorm_(weights.norm(prefix + "attn_norm.weight")),
      ffnNorm_(weights.norm(prefix + "ffn_norm.weight")),
      attention_(weights, prefix + "attn.", shape.ratio, shape.layer, shape.ranks),
      moe_(weights, prefix + "ffn.", shape.hashed),
      width_(weights.config().hiddenSize),
      streams_(weights.config().hcMult),
      eps_(weights.config().rmsNormEps) {}

Result<void> TransformerBlock::forward(Step& step, kernels::Matrix<float> streams) {
  kernels::Operators& op = step.operators;
  const std::int64_t rows = step.rows();
  const kernels::Matrix<float> x = x_.take(rows, width_);
  const kernels::Matrix<float> y = y_.take(rows, width_);
  const kernels::HyperConnectionMix mix{post_.take(rows, streams_),
                                        comb_.take(rows, streams_ * streams_)};

  op.hyperPre(x, mix, streams, hyperAttention_);
  op.rmsNorm(x, x, attentionNorm_, eps_);
  if (Result<void> attended = attention_.forward(step, y, x); !attended) {
    return attended;
  }
  op.hyperPost(streams, y, mix);

  op.hyperPre(x, mix, streams, hyperFfn_);
  op.rmsNorm(x, x, ffnNorm_, eps_);
  if (Result<void> mixed = moe_.forward(step, y, x); !mixed) {
    return mixed;
  }
  op.hyperPost(streams, y, mix);
  return {};
}

}  // namespace tandem::model
