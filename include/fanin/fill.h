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

/// Makes the check of a Formula's values for a fill in parts: throws InvalidArgument if one of them is not finite in
/// the dtype, or needs a function that this build lacks. Returns the parameters, with which fills of parts do not check
/// again. Other fills return unchanged at once.
FANIN_API FillParams checked(const FillParams& params, int threads = 0);

}  // namespace fanin
