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

}  // namespace fanin
