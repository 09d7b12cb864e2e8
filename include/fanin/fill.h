// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "fanin/export.h"
#include "fanin/fill_params.h"
#include "fanin/options.h"
#include "fanin/view.h"

namespace fanin {

/// Writes what Initializer::params has prepared, or a part of it: view.address is the place of its first element, and
/// view.dtype must be its dtype. Host memory is filled when the call returns; device memory is filled asynchronously on
/// options.stream. Throws, before a byte is written, InvalidArgument and DeviceError as Initializer::fill does.
FANIN_API void fill(const View& view, const FillParams& params, const RunOptions& options = {});

}  // namespace fanin
