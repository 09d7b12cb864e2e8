// SPDX-License-Identifier: Apache-2.0
// Everything of the C++ interface.
#pragma once

#include "fanin/available.h"
#include "fanin/config.h"
#include "fanin/cpu.h"
#include "fanin/device_blocks.h"
#include "fanin/distribution.h"
#include "fanin/dtype.h"
#include "fanin/error.h"
#include "fanin/fans.h"
#include "fanin/fill_params.h"
#include "fanin/initializer.h"
#include "fanin/initializers.h"
#include "fanin/options.h"
#include "fanin/plan.h"
#include "fanin/seed.h"
#include "fanin/shape.h"
#include "fanin/tensor.h"
#include "fanin/version.h"
#include "fanin/view.h"
