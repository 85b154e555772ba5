/// Everything that a program needs to build, train and run a network.
///
/// To read them in order: tensor.h (shapes), graph.h, ops.h, layers.h and recurrent.h (what a
/// network is made of), optimizer.h, session.h (runs it), device.h (where).
///
/// Few programs need the others: cuda_report.h (what there is of CUDA on this machine),
/// cpu_limits.h (what the process may use of it), and backend.h (the interface that a device
/// implements).
#pragma once

#include "unroll/device.h"
#include "unroll/gradients.h"
#include "unroll/graph.h"
#include "unroll/initializer.h"
#include "unroll/layers.h"
#include "unroll/ops.h"
#include "unroll/optimizer.h"
#include "unroll/recurrent.h"
#include "unroll/session.h"
#include "unroll/tensor.h"
#include "unroll/variable_store.h"
#include "unroll/version.h"
