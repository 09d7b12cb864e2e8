// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fanin/export.h"
#include "fanin/model_spec.h"
#include "fanin/plan.h"
#include "fanin/shape.h"
#include "fanin/view.h"

namespace fanin {

/// Adds a tensor of a model, or a block of it, to a plan over memory that the caller owns, so that a program of one's
/// own starts from the weights that `fanin model` writes:
///
///     for (const ModelTensor& tensor : spec.tensors) add(plan, tensor, memory_of(tensor.name));
///     plan.fill();
///
/// A rank of a sharded model gives the block that it holds; blocks need no communication. The view holds the block in
/// row-major order, with any leading dimension, in host or device memory, in any dtype: tensor.dtype is what the
/// specification proposes. Each part of the tensor that meets the block becomes one entry of the plan, or several if
/// its memory is not rows at one distance; a tensor without parts becomes one. Names that share the tensor's memory
/// (ties) need no entry.
///
/// Throws as Plan::add does, and InvalidArgument for values that are loaded, and for a block of a part whose shape is
/// not the tensor's along the other axes. If a part is refused, those before it stay in the plan.
FANIN_API void add(Plan& plan, const ModelTensor& tensor, const View& view, const Block& block = {});

}  // namespace fanin
