/// Everything that a program needs to build, train and run a network.
///
/// To read them in order: tensor.h (shapes), graph.h, ops.h, layers.h and recurrent.h (what a
/// network is made of), optimizer.h, session.h (runs it), device.h and recurrent_algorithm.h (where
/// and how).
///
/// Included, too: gradients.h, initializer.h, queue.h (from threads that read to the one that
/// trains), variable_store.h (saves and loads), version.h.
///
/// Not included, because few programs need them: cuda_report.h (what this machine has of CUDA),
/// cpu_limits.h (what the process may use of the machine), and backend.h (for authors of devices).
#pragma once

#include "unroll/device.h"
#include "unroll/gradients.h"
#include "unroll/graph.h"
#include "unroll/initializer.h"
#include "unroll/layers.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/queue.h"
#include "unroll/recurrent.h"
#include "unroll/recurrent_algorithm.h"
#include "unroll/session.h"
#include "unroll/tensor.h"
#include "unroll/variable_store.h"
#include "unroll/version.h"
