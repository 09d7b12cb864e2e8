// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fanin/export.h"
#include "fanin/fill_params.h"
#include "fanin/options.h"
#include "fanin/view.h"

namespace fanin {

/// Writes a fill that Initializer::params prepared, or a part of it (part_of): its first element goes to view.address,
/// and view.dtype must equal params.dtype. Host memory is filled when the call returns; device memory is filled
/// asynchronously on options.stream. Throws InvalidArgument and DeviceError as Initializer::fill does, before a byte is
/// written.
FANIN_API void fill(const View& view, const FillParams& params, const RunOptions& options = {});

/// Does what a fill in parts needs only once, with the threads, the CPU target and the pause of `options`. It checks a
/// Formula's values: throws InvalidArgument if one of them is not finite in the dtype, or needs a function that this
/// build lacks. It computes an Orthogonal's matrix, which the initializer keeps for the parts; throws InvalidArgument
/// if the matrix needs more memory than the machine has, and std::bad_alloc. Returns the parameters, with which fills
/// of parts do not check again. Other fills return unchanged at once.
FANIN_API FillParams checked(const FillParams& params, const RunOptions& options = {});

}  // namespace fanin
